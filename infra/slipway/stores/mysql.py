"""MySQL inside the cluster, with its backups. The image may contain MySQL or MariaDB: mysql.sh supports both.

The services' account has all rights on their database. If migrations have an account of their own, that has these
rights, and the services may only read and write rows. Passwords are set from the secret at each start of the server, so
a new secret is a new password. root is locked and has no password that could leak.
"""

from __future__ import annotations

import pulumi
from pulumi_kubernetes import batch, core, meta

from slipway.environment import Environment
from slipway.naming import labels, network_labels
from slipway.scope import Scope
from slipway.service import jobs, pod
from slipway.service.container import resource_requirements, restricted_container
from slipway.settings.names import MYSQL_BACKUP
from slipway.settings.sections.stores import Backup, Mysql
from slipway.settings.settings import Settings
from slipway.settings.types.units import mebibytes
from slipway.stores import one_pod, store

RUN = "/run/mysqld"
BACKUPS = "/backup"
SCRIPT = f"{store.FILES_DIR}/mysql.sh"
# Written by mysql.sh from the secret: other processes could read a password on a command line.
LOGIN = f"--defaults-file={RUN}/login.cnf"
# A dump that takes longer hangs.
BACKUP_SECONDS = 3600


class MysqlStore(store.Store):
    """One server with a volume, and a CronJob that dumps its database to another volume."""

    def __init__(
        self, settings: Settings, section: Mysql, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:MysqlStore", "mysql", None, opts)
        scope = Scope("mysql", settings, environment.namespace, self, environment.retaining, component="database")
        server = _server(section)
        config = store.config(scope, server.files)
        self.address = store.run(scope, environment, server, config, MYSQL_BACKUP if section.backup else None)
        _backups(scope, environment, section, config, self.address)
        self.register_outputs({})


def _server(section: Mysql) -> store.Server:
    return store.Server(
        section=section,
        env=_env(section),
        files={"my.cnf": _config_file(section), "mysql.sh": store.script("mysql.sh")},
        start=["sh", SCRIPT, "start"],
        alive=["mysqladmin", LOGIN, "ping"],
        ready=["mysql", LOGIN, "--execute=SELECT 1"],
        data="/var/lib/mysql",
        scratch=(RUN, "/tmp"),  # noqa: S108 its own
        # The buffer pool has to be written to the disk.
        grace_seconds=120,
    )


def _env(section: Mysql) -> dict[str, str]:
    migration = {"MYSQL_MIGRATION_USER": section.migration_user} if section.migration_user else {}
    return {"MYSQL_DATABASE": section.database, "MYSQL_USER": section.user, **migration}


def _config_file(section: Mysql) -> str:
    """Return my.cnf. A server ignores a setting with the prefix `loose` that it does not know."""
    return f"""[mysqld]
datadir = /var/lib/mysql/data
tmpdir = /var/lib/mysql/tmp
socket = {RUN}/mysqld.sock
pid-file = {RUN}/mysqld.pid
bind-address = *
port = {section.port}
skip-name-resolve
character-set-server = utf8mb4
innodb-buffer-pool-size = {mebibytes(section.resources.memory) // 2}M
max-allowed-packet = 64M
max-connections = {section.max_connections}
local-infile = OFF
performance-schema = OFF
# Nobody replicates from one server, and its log would fill the volume.
skip-log-bin
loose-mysqlx = OFF
"""


def _backups(
    scope: Scope, environment: Environment, section: Mysql, config: store.Config, address: core.v1.Service
) -> None:
    """Declare the CronJob for backups, if any. `./slipway backup` and `restore` run its pod with other arguments."""
    backup = section.backup
    if backup is None:
        return
    account = pod.account(scope, environment.pull_secret, MYSQL_BACKUP)
    volume = one_pod.claim(scope, MYSQL_BACKUP, backup.storage, section.storage_class)
    spec = batch.v1.JobSpecArgs(
        backoff_limit=2,
        active_deadline_seconds=BACKUP_SECONDS,
        template=core.v1.PodTemplateSpecArgs(
            metadata=meta.v1.ObjectMetaArgs(labels={**labels(MYSQL_BACKUP, "backup"), **network_labels(MYSQL_BACKUP)}),
            spec=core.v1.PodSpecArgs(
                **pod.restricted_pod(MYSQL_BACKUP, fs_group_change_policy="OnRootMismatch"),
                restart_policy="Never",
                containers=[_backup_container(scope, section, backup)],
                volumes=store.volumes(config, {"backup": MYSQL_BACKUP}, (RUN, "/tmp")),  # noqa: S108 its own
            ),
        ),
    )
    jobs.cron_job(scope, MYSQL_BACKUP, backup, spec, account, volume, address)


def _backup_container(scope: Scope, section: Mysql, backup: Backup) -> core.v1.ContainerArgs:
    return core.v1.ContainerArgs(
        name=MYSQL_BACKUP,
        image=scope.settings.server_image(scope.name),
        image_pull_policy="IfNotPresent",
        command=["sh", SCRIPT],
        args=["backup"],
        env=store.variables({**_env(section), "MYSQL_HOST": scope.name, "KEEP": str(backup.keep)}),
        volume_mounts=store.mounts({"backup": BACKUPS}, (RUN, "/tmp")),  # noqa: S108 its own
        resources=resource_requirements(backup.resources),
        security_context=restricted_container(),
    )

"""MySQL inside the cluster, with its backups. The image may hold MySQL or MariaDB: mysql.sh knows both.

The services' account has all rights on their database; where migrations have one, that has them, and the services may
read and write rows only. A password is the secret's whenever the server starts, so a new secret is a new password. root
is locked and has no password to lose.
"""

from __future__ import annotations

import backing
import jobs
import pod
import pulumi
from environment import Environment
from naming import labels, pods_of
from pulumi_kubernetes import batch, core, meta
from scope import Scope
from settings import MYSQL_BACKUP, Backup, Mysql, Settings, mebibytes

PORT = 3306
RUN = "/run/mysqld"
BACKUPS = "/backup"
SCRIPT = f"{backing.FILES_DIR}/mysql.sh"
# mysql.sh writes it, from the secret: a password on a command line is everybody's.
LOGIN = f"--defaults-file={RUN}/login.cnf"
# Dumping is over by then, or it hangs.
BACKUP_SECONDS = 3600


class MysqlStore(backing.Store):
    """One server with a volume; a CronJob that dumps its database to another one."""

    def __init__(
        self, settings: Settings, section: Mysql, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:MysqlStore", "mysql", None, opts)
        scope = Scope("mysql", settings, environment.namespace, self, environment.retaining, component="database")
        server = _server(section)
        config = backing.config(scope, server.files)
        self.address = backing.run(scope, environment, server, config, MYSQL_BACKUP if section.backup else None)
        _backups(scope, environment, section, config, self.address)
        self.register_outputs({})


def _server(section: Mysql) -> backing.Server:
    return backing.Server(
        section=section,
        port=PORT,
        env=_env(section),
        files={"my.cnf": _settings(section), "mysql.sh": backing.script("mysql.sh")},
        start=["sh", SCRIPT, "start"],
        alive=["mysqladmin", LOGIN, "ping"],
        ready=["mysql", LOGIN, "--execute=SELECT 1"],
        data="/var/lib/mysql",
        scratch=(RUN, "/tmp"),  # noqa: S108 its own
        # What is in the buffer pool has to reach the disk.
        grace_seconds=120,
    )


def _env(section: Mysql) -> dict[str, str]:
    migrates = {"MYSQL_MIGRATION_USER": section.migration_user} if section.migration_user else {}
    return {"MYSQL_DATABASE": section.database, "MYSQL_USER": section.user, **migrates}


def _settings(section: Mysql) -> str:
    """my.cnf. A server that does not know a setting with `loose` starts all the same."""
    return f"""[mysqld]
datadir = /var/lib/mysql/data
tmpdir = /var/lib/mysql/tmp
socket = {RUN}/mysqld.sock
pid-file = {RUN}/mysqld.pid
bind-address = *
port = {PORT}
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
    scope: Scope, environment: Environment, section: Mysql, config: backing.Config, address: core.v1.Service
) -> None:
    """The CronJob, if backups are asked for. `./slipway backup` and `restore` run its pod with other arguments."""
    backup = section.backup
    if backup is None:
        return
    account = pod.account(scope, environment.pull_secret, MYSQL_BACKUP)
    volume = backing.claim(scope, MYSQL_BACKUP, backup.storage, section.storage_class)
    spec = batch.v1.JobSpecArgs(
        backoff_limit=2,
        active_deadline_seconds=BACKUP_SECONDS,
        template=core.v1.PodTemplateSpecArgs(
            metadata=meta.v1.ObjectMetaArgs(labels={**labels(MYSQL_BACKUP, "backup"), **pods_of(MYSQL_BACKUP)}),
            spec=core.v1.PodSpecArgs(
                **pod.without_rights(MYSQL_BACKUP, fs_group_change_policy="OnRootMismatch"),
                restart_policy="Never",
                containers=[_dumping(scope, section, backup)],
                volumes=backing.volumes(config, {"backup": MYSQL_BACKUP}, (RUN, "/tmp")),  # noqa: S108 its own
            ),
        ),
    )
    jobs.by_the_clock(scope, MYSQL_BACKUP, backup, spec, account, volume, address)


def _dumping(scope: Scope, section: Mysql, backup: Backup) -> core.v1.ContainerArgs:
    return core.v1.ContainerArgs(
        name=MYSQL_BACKUP,
        image=scope.settings.server_image(scope.name),
        image_pull_policy="IfNotPresent",
        command=["sh", SCRIPT],
        args=["backup"],
        env=backing.variables({**_env(section), "MYSQL_HOST": scope.name, "KEEP": str(backup.keep)}),
        volume_mounts=backing.mounts({"backup": BACKUPS}, (RUN, "/tmp")),  # noqa: S108 its own
        resources=pod.sized(backup.resources),
        security_context=pod.hardened(),
    )

"""What the backing services this stack runs have in common: one pod with a volume, behind an address that stays.

One pod only: it is gone for some seconds when its node is drained or its settings change, and what needs it has to
bear that. Who cannot takes a managed one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import configuration
import network
import pod
import pulumi
import scaling
from environment import Environment
from naming import content_name, labels, pods_of, selector
from pulumi_kubernetes import apps, core, meta
from scope import Scope
from settings import Mysql, Redis

FILES_DIR = pod.CONFIG_DIR
DATA = "data"
# A server that has much to repair or to read again is left alone that long.
STARTUP_SECONDS = 600


@dataclass(frozen=True)
class Server:
    """What makes the pod of one backing service differ from that of another."""

    section: Mysql | Redis
    port: int
    env: dict[str, str]
    files: dict[str, str]
    """Texts by file name, in FILES_DIR."""
    start: list[str]
    alive: list[str]
    """A command that ends with 0 while the server answers at all."""
    ready: list[str]
    """A command that ends with 0 while the server does what it is asked by who has logged in."""
    data: str
    """Where the volume is."""
    scratch: tuple[str, ...]
    """Folders it writes to besides, in memory."""
    grace_seconds: int
    """From SIGTERM to SIGKILL."""


@dataclass(frozen=True)
class Config:
    """The names of the objects the pods of a backing service read their files from."""

    files: pulumi.Input[str]
    secret: pulumi.Input[str]


class Store(pulumi.ComponentResource):
    """A backing service this stack runs."""

    address: core.v1.Service
    """Answers once this is there."""


def config(scope: Scope, files: dict[str, str]) -> Config:
    """The server's files and passwords, under names that tell their content: a change of any restarts the pod."""
    made = core.v1.ConfigMap(
        f"{scope.name}-files",
        metadata=scope.meta(content_name(f"{scope.name}-files", files)),
        data=files,
        immutable=True,
        opts=scope.child(),
    )
    passwords = {name: name for name in scope.settings.passwords_of(scope.name)}
    secret = configuration.secret(scope, f"{scope.name}-secret", passwords, scope.child())
    return Config(made.metadata.name, secret)


def run(
    scope: Scope, environment: Environment, server: Server, config: Config, helper: str | None = None
) -> core.v1.Service:
    """The server, and its address. Besides those who need the service its `helper` may connect to it."""
    account = pod.account(scope, environment.pull_secret)
    network.edges_of_server(scope, server.port, helper)
    data = claim(scope, f"{scope.name}-{DATA}", server.section.storage, server.section.storage_class)
    running = apps.v1.StatefulSet(
        scope.name,
        metadata=scope.meta(scope.name),
        spec=apps.v1.StatefulSetSpecArgs(
            replicas=1,
            service_name=scope.name,
            selector=meta.v1.LabelSelectorArgs(match_labels=selector(scope.name)),
            # OrderedReady would wait for a pod that cannot start, instead of replacing it with one that can.
            pod_management_policy="Parallel",
            template=_template(scope, server, config),
        ),
        opts=scope.child(account, data),
    )
    scaling.disruption_budget(scope)
    return core.v1.Service(
        scope.name,
        metadata=scope.meta(scope.name),
        spec=core.v1.ServiceSpecArgs(
            # Not headless: clients would go on asking the address of a pod that is gone.
            type="ClusterIP",
            selector=selector(scope.name),
            ports=[core.v1.ServicePortArgs(name=scope.name, port=server.port, target_port=scope.name)],
        ),
        opts=scope.child(running),
    )


def claim(scope: Scope, name: str, storage: str, storage_class: str | None) -> core.v1.PersistentVolumeClaim:
    """A volume. In prod it outlives whatever takes it out of the program: that asks for two deliberate steps."""
    is_prod = pulumi.get_stack() == "prod"
    return core.v1.PersistentVolumeClaim(
        name,
        # It is bound when its first pod comes, and the pod waits for it: nobody else has to.
        metadata=scope.meta(name, {"pulumi.com/skipAwait": "true"}),
        spec=core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=storage_class,
            resources=core.v1.VolumeResourceRequirementsArgs(requests={"storage": storage}),
        ),
        opts=pulumi.ResourceOptions.merge(
            scope.child(), pulumi.ResourceOptions(protect=is_prod, retain_on_delete=is_prod)
        ),
    )


def volumes(config: Config, claims: dict[str, str], scratch: tuple[str, ...]) -> list[core.v1.VolumeArgs]:
    """Volumes of a pod: files, password, claims by volume name, and folders in memory."""
    return [
        core.v1.VolumeArgs(name="files", config_map=core.v1.ConfigMapVolumeSourceArgs(name=config.files)),
        pod.secret_volume(config.secret),
        *(
            core.v1.VolumeArgs(
                name=name, persistent_volume_claim=core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claimed)
            )
            for name, claimed in claims.items()
        ),
        *(
            core.v1.VolumeArgs(
                name=_volume_name(path), empty_dir=core.v1.EmptyDirVolumeSourceArgs(medium="Memory", size_limit="16Mi")
            )
            for path in scratch
        ),
    ]


def mounts(claims: dict[str, str], scratch: tuple[str, ...]) -> list[core.v1.VolumeMountArgs]:
    """Where a container sees them; `claims` has the path of each by volume name."""
    return [
        core.v1.VolumeMountArgs(name="files", mount_path=FILES_DIR, read_only=True),
        pod.secret_mount(),
        *(core.v1.VolumeMountArgs(name=name, mount_path=path) for name, path in claims.items()),
        *(core.v1.VolumeMountArgs(name=_volume_name(path), mount_path=path) for path in scratch),
    ]


def variables(env: dict[str, str]) -> list[core.v1.EnvVarArgs]:
    """Environment of a container; where its password is comes along."""
    return [
        core.v1.EnvVarArgs(name=name, value=value) for name, value in {**env, "PASSWORD_DIR": pod.SECRETS_DIR}.items()
    ]


def script(name: str) -> str:
    """A shell script of this folder."""
    return (Path(__file__).parent / name).read_text()


def _template(scope: Scope, server: Server, config: Config) -> core.v1.PodTemplateSpecArgs:
    container = core.v1.ContainerArgs(
        name=scope.name,
        image=scope.settings.server_image(scope.name),
        image_pull_policy="IfNotPresent",
        command=server.start,
        env=variables(server.env),
        ports=[core.v1.ContainerPortArgs(name=scope.name, container_port=server.port)],
        startup_probe=core.v1.ProbeArgs(
            tcp_socket=core.v1.TCPSocketActionArgs(port=scope.name),
            period_seconds=1,
            failure_threshold=STARTUP_SECONDS,
        ),
        readiness_probe=_probe(server.ready, period_seconds=5, failure_threshold=3),
        liveness_probe=_probe(server.alive, period_seconds=10, failure_threshold=6),
        volume_mounts=mounts({DATA: server.data}, server.scratch),
        resources=pod.sized(server.section.resources),
        security_context=pod.hardened(),
    )
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(labels={**labels(scope.name, scope.component), **pods_of(scope.name)}),
        spec=core.v1.PodSpecArgs(
            # Not file by file at each start: a volume full of data would take minutes.
            **pod.without_rights(scope.name, fs_group_change_policy="OnRootMismatch"),
            termination_grace_period_seconds=server.grace_seconds,
            containers=[container],
            volumes=volumes(config, {DATA: f"{scope.name}-{DATA}"}, server.scratch),
        ),
    )


def _probe(command: list[str], *, period_seconds: int, failure_threshold: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        exec_=core.v1.ExecActionArgs(command=command),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=5,
    )


def _volume_name(path: str) -> str:
    """`/run/mysqld` -> `run-mysqld`."""
    return path.strip("/").replace("/", "-")

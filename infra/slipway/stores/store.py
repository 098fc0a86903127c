"""Objects that all stores have in common: one pod with a volume, behind a stable address.

With one pod a store is unavailable for some seconds when its node is drained or its settings change, and the services
have to bear that. Where they cannot, use a managed store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_kubernetes import core

from slipway import network
from slipway.environment import Environment
from slipway.scope import Scope
from slipway.service import configuration, inputs, pod
from slipway.service.container import resource_requirements, restricted_container
from slipway.settings.names import CONFIG_DIR, SECRETS_DIR
from slipway.settings.sections.stores import Mysql, Redis
from slipway.stores import one_pod

FILES_DIR = CONFIG_DIR
DATA = "data"


@dataclass(frozen=True)
class Server:
    """What differs between the pods of two stores."""

    section: Mysql | Redis
    env: dict[str, str]
    files: dict[str, str]
    """Texts by file name, in FILES_DIR."""
    start: list[str]
    alive: list[str]
    """Liveness probe: a command that succeeds while the server answers at all."""
    ready: list[str]
    """Readiness probe: a command that succeeds while the server serves an authenticated client."""
    data: str
    """Mount path of the volume."""
    scratch: tuple[str, ...]
    """Other folders that the server writes to, in memory."""
    grace_seconds: int
    """Seconds from SIGTERM to SIGKILL."""


@dataclass(frozen=True)
class Config:
    """The names of the objects from which the pods of a store read their files."""

    files: pulumi.Input[str]
    secret: pulumi.Input[str]


class Store(pulumi.ComponentResource):
    """A store that this stack runs."""

    address: core.v1.Service
    """Its Service, declared after the server: whoever depends on it waits until the server is ready."""


def config(scope: Scope, files: dict[str, str]) -> Config:
    """Declare the server's files and passwords, named by their content, so that a change restarts the pod."""
    passwords = {name: name for name in scope.settings.passwords_of(scope.name)}
    secret = configuration.secret(scope, f"{scope.name}-secret", passwords, scope.child())
    return Config(one_pod.files(scope, files), secret)


def run(
    scope: Scope, environment: Environment, server: Server, config: Config, helper: str | None = None
) -> core.v1.Service:
    """Declare the server. Return its address, to which its `helper` may connect as well as the services."""
    account = pod.account(scope, environment.pull_secret)
    network.allow_clients(scope, server.section.port, helper)
    data = one_pod.claim(scope, f"{scope.name}-{DATA}", server.section.storage, server.section.storage_class)
    return one_pod.run(scope, _template(scope, server, config), server.section.port, account, data)


def volumes(config: Config, claims: dict[str, str], scratch: tuple[str, ...]) -> list[core.v1.VolumeArgs]:
    """Return the volumes of a pod: files, passwords, claims by volume name, and folders in memory."""
    return [
        core.v1.VolumeArgs(name="files", config_map=core.v1.ConfigMapVolumeSourceArgs(name=config.files)),
        inputs.secret_volume(config.secret),
        *(
            core.v1.VolumeArgs(
                name=name, persistent_volume_claim=core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim_name)
            )
            for name, claim_name in claims.items()
        ),
        *(
            core.v1.VolumeArgs(
                name=_volume_name(path), empty_dir=core.v1.EmptyDirVolumeSourceArgs(medium="Memory", size_limit="16Mi")
            )
            for path in scratch
        ),
    ]


def mounts(claims: dict[str, str], scratch: tuple[str, ...]) -> list[core.v1.VolumeMountArgs]:
    """Return the mounts of these volumes; `claims` has the mount path of each by volume name."""
    return [
        core.v1.VolumeMountArgs(name="files", mount_path=FILES_DIR, read_only=True),
        inputs.secret_mount(),
        *(core.v1.VolumeMountArgs(name=name, mount_path=path) for name, path in claims.items()),
        *(core.v1.VolumeMountArgs(name=_volume_name(path), mount_path=path) for path in scratch),
    ]


def variables(env: dict[str, str]) -> list[core.v1.EnvVarArgs]:
    """Return the environment of a container, with the folder of its passwords."""
    return [core.v1.EnvVarArgs(name=name, value=value) for name, value in {**env, "PASSWORD_DIR": SECRETS_DIR}.items()]


def script(name: str) -> str:
    """Return a shell script of this folder."""
    return (Path(__file__).parent / name).read_text()


def _template(scope: Scope, server: Server, config: Config) -> core.v1.PodTemplateSpecArgs:
    container = core.v1.ContainerArgs(
        name=scope.name,
        image=scope.settings.server_image(scope.name),
        image_pull_policy="IfNotPresent",
        command=server.start,
        env=variables(server.env),
        ports=[core.v1.ContainerPortArgs(name=scope.name, container_port=server.section.port)],
        startup_probe=core.v1.ProbeArgs(
            tcp_socket=core.v1.TCPSocketActionArgs(port=scope.name),
            period_seconds=1,
            failure_threshold=one_pod.STARTUP_SECONDS,
        ),
        readiness_probe=_probe(server.ready, period_seconds=5, failure_threshold=3),
        liveness_probe=_probe(server.alive, period_seconds=10, failure_threshold=6),
        volume_mounts=mounts({DATA: server.data}, server.scratch),
        resources=resource_requirements(server.section.resources),
        security_context=restricted_container(),
    )
    files = volumes(config, {DATA: f"{scope.name}-{DATA}"}, server.scratch)
    return one_pod.template(scope, container, files, server.grace_seconds)


def _probe(command: list[str], *, period_seconds: int, failure_threshold: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        exec_=core.v1.ExecActionArgs(command=command),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=5,
    )


def _volume_name(path: str) -> str:
    """Return the volume name of a path: `/run/mysqld` -> `run-mysqld`."""
    return path.strip("/").replace("/", "-")

"""What reaches the containers of a service: variables, files and folders.

Kubernetes fills in `$(NAME)` in a container's `env` only, not in a ConfigMap; so such a value stands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes import core

from slipway.scope import Scope
from slipway.settings import pools
from slipway.settings.names import AUTHORITIES_DIR, CONFIG_DIR, SECRETS_DIR
from slipway.settings.sections.pods import Resources
from slipway.settings.sections.service import Service
from slipway.settings.sections.stores import Mysql, Postgres, Redis
from slipway.settings.types.references import is_expanded
from slipway.settings.types.units import mebibytes, millicores


@dataclass(frozen=True)
class Config:
    """The names of the objects from which a pod reads its configuration; None where it needs none."""

    env: pulumi.Input[str] | None
    file: pulumi.Input[str] | None
    secret: pulumi.Input[str] | None
    authorities: pulumi.Input[str] | None = None


def environment(scope: Scope) -> dict[str, str]:
    """Return the variables of a ConfigMap: those of the stack file, and those by which the app learns its contract."""
    service = scope.service
    given = {name: value for name, value in service.env.items() if not is_expanded(value)}
    given = {**_tracing(scope), **given}
    return {**given, **_contract(scope)} if service.reads_contract else given


def variables(service: Service, config: Config) -> dict[str, Any]:
    """Return the fields of a container with its variables: limits of the runtime, secrets, and values with secrets."""
    secret = config.secret
    secrets = (
        [_secret(name, key, secret) for name, key in sorted(service.secret_env.items())] if secret is not None else []
    )
    expanded = {name: value for name, value in sorted(service.env.items()) if is_expanded(value)}
    after = [core.v1.EnvVarArgs(name=name, value=value) for name, value in expanded.items()]
    shared = core.v1.ConfigMapEnvSourceArgs(name=config.env) if config.env is not None else None
    return {
        "env_from": [core.v1.EnvFromSourceArgs(config_map_ref=shared)] if shared else None,
        "env": [*runtime_limits(service.resources), *secrets, *after],
    }


def _secret(name: str, key: str, secret: pulumi.Input[str]) -> core.v1.EnvVarArgs:
    selector = core.v1.SecretKeySelectorArgs(name=secret, key=key)
    return core.v1.EnvVarArgs(name=name, value_from=core.v1.EnvVarSourceArgs(secret_key_ref=selector))


def runtime_limits(resources: Resources) -> list[core.v1.EnvVarArgs]:
    """Return the limits of the Go runtime, which would otherwise assume all cores and memory of the node."""
    cpu = millicores(resources.effective_cpu_limit)
    return [
        core.v1.EnvVarArgs(name="GOMEMLIMIT", value=f"{mebibytes(resources.memory) * 90 // 100}MiB"),
        core.v1.EnvVarArgs(name="GOMAXPROCS", value=str(max(1, -(-cpu // 1000)))),
    ]


def _contract(scope: Scope) -> dict[str, str]:
    service, drain = scope.service, scope.service.drain_in_force
    ports = {"HTTP_PORT": service.http_port, "ADMIN_PORT": service.admin_port}
    return {
        **_addresses(scope),
        "ENVIRONMENT": pulumi.get_stack(),
        **{name: str(port) for name, port in ports.items() if port},
        "DRAIN_DELAY": f"{drain.delay_seconds}s",
        "SHUTDOWN_TIMEOUT": f"{drain.shutdown_seconds}s",
        "CONFIG_FILE": f"{CONFIG_DIR}/config.yaml" if service.file else "",
        "SECRETS_DIR": SECRETS_DIR if scope.settings.mounted_secrets_of(scope.name) else "",
    }


def _tracing(scope: Scope) -> dict[str, str]:
    """Return the variables of OpenTelemetry's SDKs for a service that sends traces; `env` of the service wins."""
    tracing = scope.settings.tracing_of(scope.name)
    if tracing is None:
        return {}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": tracing.address,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": scope.name,
        "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={pulumi.get_stack()}",
        # Requests that arrive with a trace keep their caller's decision, so that no trace has holes.
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{tracing.ratio:g}",
    }


def _addresses(scope: Scope) -> dict[str, str]:
    """Return the variables with the addresses of the stores that a service needs, whoever runs them."""
    variables: dict[str, str] = {}
    for name, store in scope.settings.stores_of(scope.name).items():
        prefix = name.upper()
        variables |= {f"{prefix}_HOST": store.host or name, f"{prefix}_PORT": str(store.port)}
        if store.user:
            variables |= {f"{prefix}_USER": store.user}
        if not isinstance(store, Redis):
            variables |= {f"{prefix}_DATABASE": store.database}
        if isinstance(store, Mysql):
            variables |= {f"{prefix}_CONNECTIONS": str(pools.share(scope.settings, store))}
        if isinstance(store, Postgres):
            variables |= {f"{prefix}_SSLMODE": store.ssl_mode}
        if store.source == "managed":
            variables |= {f"{prefix}_TLS": store.tls}
        if store.ca:
            variables |= {f"{prefix}_CA_FILE": f"{AUTHORITIES_DIR}/{name}.pem"}
    return variables


def volumes(scope: Scope, config: Config) -> list[core.v1.VolumeArgs]:
    """Return the volumes of a service's pods."""
    volumes: list[core.v1.VolumeArgs] = []
    if config.file is not None:
        volumes.append(
            core.v1.VolumeArgs(name="config", config_map=core.v1.ConfigMapVolumeSourceArgs(name=config.file))
        )
    mounted = scope.settings.mounted_secrets_of(scope.name)
    if config.secret is not None and mounted:
        # A secret that is a variable is no file besides.
        others = set(scope.settings.secrets_of(scope.name)) - {*mounted}
        volumes.append(secret_volume(config.secret, mounted if others else None))
    if config.authorities is not None:
        authorities = core.v1.ConfigMapVolumeSourceArgs(name=config.authorities)
        volumes.append(core.v1.VolumeArgs(name="authorities", config_map=authorities))
    for number, (_, size) in enumerate(sorted(scope.service.scratch.items()), 1):
        volumes.append(
            core.v1.VolumeArgs(name=f"scratch-{number}", empty_dir=core.v1.EmptyDirVolumeSourceArgs(size_limit=size))
        )
    return volumes


def secret_volume(secret: pulumi.Input[str], keys: list[str] | None = None) -> core.v1.VolumeArgs:
    """Return a volume of a Secret, or of some of its keys. Mode 0440: only the pod's user and group can read it."""
    items = [core.v1.KeyToPathArgs(key=key, path=key) for key in keys] if keys else None
    source: Any = core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440, items=items)
    return core.v1.VolumeArgs(name="secrets", secret=source)


def mounts(scope: Scope, config: Config) -> list[core.v1.VolumeMountArgs]:
    """Return the mounts of those volumes."""
    mounts: list[core.v1.VolumeMountArgs] = []
    if config.file is not None:
        # The whole directory, never sub_path: only a directory is updated with the ConfigMap.
        mounts.append(core.v1.VolumeMountArgs(name="config", mount_path=CONFIG_DIR, read_only=True))
    if config.secret is not None and scope.settings.mounted_secrets_of(scope.name):
        mounts.append(secret_mount())
    if config.authorities is not None:
        mounts.append(core.v1.VolumeMountArgs(name="authorities", mount_path=AUTHORITIES_DIR, read_only=True))
    for number, path in enumerate(sorted(scope.service.scratch), 1):
        mounts.append(core.v1.VolumeMountArgs(name=f"scratch-{number}", mount_path=path))
    return mounts


def secret_mount() -> core.v1.VolumeMountArgs:
    """Return the mount of the secrets, one file each."""
    return core.v1.VolumeMountArgs(name="secrets", mount_path=SECRETS_DIR, read_only=True)

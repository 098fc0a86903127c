"""What the pods of Prometheus, Alertmanager and Jaeger have in common."""

from __future__ import annotations

from pulumi_kubernetes import core

from slipway.naming import CONTRACT, SHUTDOWN_SECONDS
from slipway.scope import Scope
from slipway.service import inputs
from slipway.service.container import resource_requirements, restricted_container
from slipway.settings.sections.pods import Resources
from slipway.stores import one_pod

# Seconds that either takes at most to write what it has in memory, and the time until SIGKILL.
SHUTDOWN, GRACE = 30, 60


def container(  # noqa: PLR0917 - as in core.v1.ContainerArgs
    scope: Scope,
    args: list[str],
    port: int,
    mounts: list[core.v1.VolumeMountArgs],
    resources: Resources,
    writable_mebibytes: int = 0,
) -> core.v1.ContainerArgs:
    """Return the container of a server, whose program, port and endpoints are named alike in all images."""
    return core.v1.ContainerArgs(
        name=scope.name,
        image=scope.settings.server_image(scope.name),
        image_pull_policy="IfNotPresent",
        command=[scope.name],
        args=[*args, f"--web.listen-address=:{port}", "--log.format=json"],
        env=inputs.runtime_limits(resources),
        ports=[core.v1.ContainerPortArgs(name=scope.name, container_port=port)],
        startup_probe=_probe(scope, "/-/healthy", period_seconds=1, failure_threshold=one_pod.STARTUP_SECONDS),
        readiness_probe=_probe(scope, "/-/ready", period_seconds=5, failure_threshold=3),
        liveness_probe=_probe(scope, "/-/healthy", period_seconds=10, failure_threshold=6),
        volume_mounts=mounts,
        resources=resource_requirements(resources, writable_mebibytes),
        security_context=restricted_container(),
    )


def contract() -> dict[str, str]:
    """Return annotations for the house rules: the pod reads no variables of an app, and how long it takes to stop."""
    return {CONTRACT: "none", SHUTDOWN_SECONDS: str(SHUTDOWN)}


def _probe(scope: Scope, path: str, *, period_seconds: int, failure_threshold: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port=scope.name),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=5,
    )

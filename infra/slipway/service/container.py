"""The container of a service's pods and jobs: image, inputs, ports, probes, size and security."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_kubernetes import core

from slipway.image.reference import ImageReference
from slipway.scope import Scope
from slipway.service import inputs
from slipway.service.inputs import Config
from slipway.settings.sections.contract import Probe
from slipway.settings.sections.pods import Job, Resources
from slipway.settings.sections.service import Service
from slipway.settings.types.units import mebibytes

# What logs and the image's own writable layer may take on the node's disk, besides the folders that the app may write.
EPHEMERAL_MEBIBYTES = 64
# Seconds between two checks, and how many in a row may fail.
READY_PERIOD, READY_FAILURES = 2, 2
LIVE_PERIOD, LIVE_FAILURES = 10, 3


def of_service(scope: Scope, image: ImageReference, config: Config) -> core.v1.ContainerArgs:
    """Return the container of the pods that run all the time."""
    service = scope.service
    return core.v1.ContainerArgs(
        args=service.args or None,
        **_shared(scope.name, scope, image, config),
        ports=_ports(service),
        **_probes(service),
        lifecycle=_lifecycle(service.drain_in_force.pre_stop_seconds),
    )


def of_job(name: str, scope: Scope, job: Job, image: ImageReference, config: Config) -> core.v1.ContainerArgs:
    """Return the container of a job: the program of the service with other arguments."""
    return core.v1.ContainerArgs(args=job.args, **_shared(name, scope, image, config))


def restricted_container() -> core.v1.SecurityContextArgs:
    """Return the security context of every container."""
    return core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
    )


def resource_requirements(resources: Resources, writable_mebibytes: int = 0) -> core.v1.ResourceRequirementsArgs:
    """Return requests and limits of a container. What is in its folders on disk counts as its own."""
    # Memory request == limit: a running pod is never evicted because a neighbour needs more.
    shared = {
        "memory": resources.memory,
        "ephemeral-storage": f"{EPHEMERAL_MEBIBYTES + writable_mebibytes}Mi",
    }
    return core.v1.ResourceRequirementsArgs(
        requests={"cpu": resources.cpu, **shared}, limits={"cpu": resources.effective_cpu_limit, **shared}
    )


def _shared(name: str, scope: Scope, image: ImageReference, config: Config) -> dict[str, Any]:
    """Return the fields that all containers of a service share."""
    service = scope.service
    return {
        "name": name,
        "image": image.reference,
        # The reference has a digest: to ask the registry again could only fail.
        "image_pull_policy": "IfNotPresent",
        "command": service.command,
        **inputs.variables(service, config),
        "volume_mounts": inputs.mounts(scope, config),
        "resources": resource_requirements(service.resources, _writable_mebibytes(service)),
        "security_context": restricted_container(),
    }


def _writable_mebibytes(service: Service) -> int:
    """Return the size of the folders on the node's disk. Beyond the limits of its containers a pod is evicted."""
    empty_dirs = [volume.empty_dir for volume in service.volumes.values() if volume.empty_dir]
    return sum(map(mebibytes, [*service.scratch.values(), *empty_dirs]))


def _ports(service: Service) -> list[core.v1.ContainerPortArgs] | None:
    ports = [
        core.v1.ContainerPortArgs(name=name, container_port=port) for name, port in service.container_ports.items()
    ]
    return ports or None


def _probes(service: Service) -> dict[str, Any]:
    """Return the probes. In an app that follows the contract, readiness fails as soon as the pod drains, and liveness
    asks the process only, never a database."""
    startup, ready, live, _ = service.probes_in_force
    ports = service.container_ports
    period = (startup.period_seconds if startup else None) or 1
    return {
        "startup_probe": _probe(startup, ports, period, -(-service.startup_seconds // period)),
        "readiness_probe": _probe(ready, ports, READY_PERIOD, READY_FAILURES),
        "liveness_probe": _probe(live, ports, LIVE_PERIOD, LIVE_FAILURES),
    }


def _probe(
    probe: Probe | None, ports: Mapping[str, int], period_seconds: int, failure_threshold: int
) -> core.v1.ProbeArgs | None:
    if probe is None:
        return None
    return core.v1.ProbeArgs(
        **_check(probe, ports),
        period_seconds=probe.period_seconds or period_seconds,
        failure_threshold=probe.failure_threshold or failure_threshold,
        timeout_seconds=probe.timeout_seconds,
    )


def _check(probe: Probe, ports: Mapping[str, int]) -> dict[str, Any]:
    port: Any = probe.port
    if probe.path is not None:
        return {"http_get": core.v1.HTTPGetActionArgs(path=probe.path, port=port)}
    if probe.tcp:
        return {"tcp_socket": core.v1.TCPSocketActionArgs(port=port)}
    # The only check whose port has no name in Kubernetes.
    return {"grpc": core.v1.GRPCActionArgs(port=ports[str(probe.port)], service=probe.grpc or None)}


def _lifecycle(pre_stop_seconds: int) -> core.v1.LifecycleArgs | None:
    """Return the kubelet's own sleep before SIGTERM: the image need not have a shell.

    Endpoints are removed while the pod gets SIGTERM, so one that stopped at once would still receive requests.
    """
    if not pre_stop_seconds:
        return None
    sleep = core.v1.SleepActionArgs(seconds=pre_stop_seconds)
    return core.v1.LifecycleArgs(pre_stop=core.v1.LifecycleHandlerArgs(sleep=sleep))

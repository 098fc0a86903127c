"""What a stack file adds to the pods of a service and of its jobs: nodes, containers and volumes.

Each added container is as restricted as the app's own, and sized.
"""

from __future__ import annotations

from typing import cast

from pulumi_kubernetes import core

from slipway.scope import Scope
from slipway.service.container import resource_requirements, restricted_container
from slipway.settings.sections.customization import InitContainer, Sidecar, SidecarProbe, Toleration, Volume
from slipway.settings.sections.service import Service


def added(scope: Scope, template: core.v1.PodTemplateSpecArgs) -> core.v1.PodTemplateSpecArgs:
    """Return a pod template with what the stack file adds to it, in a service and its jobs alike."""
    service, spec = scope.service, cast("core.v1.PodSpecArgs", template.spec)
    _place(service, spec)
    if containers := _containers(service):
        spec.init_containers = containers
    if service.volumes:
        [app] = cast("list[core.v1.ContainerArgs]", spec.containers)
        volumes = [_volume(name, volume) for name, volume in service.volumes.items()]
        spec.volumes = [*cast("list[core.v1.VolumeArgs]", spec.volumes or []), *volumes]
        app.volume_mounts = [*cast("list[core.v1.VolumeMountArgs]", app.volume_mounts or []), *_mounts(service)]
    if any(volume.claim for volume in service.volumes.values()):
        # Not file by file at each start: a volume full of data would take minutes.
        cast("core.v1.PodSecurityContextArgs", spec.security_context).fs_group_change_policy = "OnRootMismatch"
    return template


def _place(service: Service, spec: core.v1.PodSpecArgs) -> None:
    if service.node_selector:
        spec.node_selector = service.node_selector
    if service.tolerations:
        spec.tolerations = [_toleration(each) for each in service.tolerations]
    if service.priority_class:
        spec.priority_class_name = service.priority_class


def _toleration(toleration: Toleration) -> core.v1.TolerationArgs:
    return core.v1.TolerationArgs(
        key=toleration.key,
        operator=toleration.operator,
        value=toleration.value,
        effect=toleration.effect,
        toleration_seconds=toleration.toleration_seconds,
    )


def _containers(service: Service) -> list[core.v1.ContainerArgs]:
    """Return the init containers, then the sidecars: those may use what the former prepared."""
    first = [_container(name, container, service) for name, container in service.init_containers.items()]
    return [*first, *(_sidecar(name, sidecar, service) for name, sidecar in service.sidecars.items())]


def _container(name: str, container: InitContainer, service: Service) -> core.v1.ContainerArgs:
    volumes = service.volumes
    return core.v1.ContainerArgs(
        name=name,
        image=container.image,
        image_pull_policy="IfNotPresent",
        command=container.command or None,
        args=container.args or None,
        env=[core.v1.EnvVarArgs(name=key, value=value) for key, value in container.env.items()] or None,
        volume_mounts=[_mount(each, path, bool(volumes[each].config_map)) for each, path in container.mounts.items()]
        or None,
        resources=resource_requirements(container.resources),
        security_context=restricted_container(),
    )


def _sidecar(name: str, sidecar: Sidecar, service: Service) -> core.v1.ContainerArgs:
    container = _container(name, sidecar, service)
    # What makes it a native sidecar: it starts before the app, and ends after it, or with the job.
    container.restart_policy = "Always"
    container.ports = [
        core.v1.ContainerPortArgs(name=key, container_port=port) for key, port in sidecar.ports.items()
    ] or None
    if sidecar.probe:
        # The app starts when it succeeds; afterwards it restarts the sidecar. It takes no pod out of the Service: that
        # the app serves is for the app's own probes to say.
        container.startup_probe = _probe(sidecar.probe, period_seconds=1, failure_threshold=service.startup_seconds)
        container.liveness_probe = _probe(
            sidecar.probe,
            period_seconds=sidecar.probe.period_seconds,
            failure_threshold=sidecar.probe.failure_threshold,
        )
    return container


def _probe(probe: SidecarProbe, *, period_seconds: int, failure_threshold: int) -> core.v1.ProbeArgs:
    http = core.v1.HTTPGetActionArgs(path=probe.path, port=probe.port) if probe.path else None
    return core.v1.ProbeArgs(
        http_get=http,
        tcp_socket=None if http else core.v1.TCPSocketActionArgs(port=probe.port),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=2,
    )


def _volume(name: str, volume: Volume) -> core.v1.VolumeArgs:
    if volume.config_map:
        return core.v1.VolumeArgs(name=name, config_map=core.v1.ConfigMapVolumeSourceArgs(name=volume.config_map))
    if volume.claim:
        claim = core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=volume.claim)
        return core.v1.VolumeArgs(name=name, persistent_volume_claim=claim)
    return core.v1.VolumeArgs(name=name, empty_dir=core.v1.EmptyDirVolumeSourceArgs(size_limit=volume.empty_dir))


def _mounts(service: Service) -> list[core.v1.VolumeMountArgs]:
    """Return the mounts of the app itself."""
    return [
        _mount(name, volume.mount_path, volume.read_only or bool(volume.config_map))
        for name, volume in service.volumes.items()
    ]


def _mount(name: str, path: str, read_only: bool) -> core.v1.VolumeMountArgs:
    return core.v1.VolumeMountArgs(name=name, mount_path=path, read_only=read_only or None)

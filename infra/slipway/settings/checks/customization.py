"""Rules about a service's containers, volumes and patches, each with the line it is about."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.settings.checks import patches
from slipway.settings.errors import InvalidSetting, Key
from slipway.settings.names import FILLED_FOLDERS
from slipway.settings.sections.service import Service
from slipway.settings.settings import Settings

# Volumes of the app's own configuration (service/inputs.py).
RESERVED_VOLUMES = frozenset({"config", "secrets", "authorities"})


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report what a service's pods cannot have, and patches that change nothing or too much."""
    for name, service in settings.services.items():
        at: Key = ("services", name)
        yield from _container_names(at, name, service)
        yield from _ports(at, service)
        yield from _mounts(at, service)
        yield from _volumes(at, service)
        yield from patches.check((*at, "patch"), service)


def _container_names(at: Key, name: str, service: Service) -> Iterator[InvalidSetting]:
    """Report containers that would be named like another one of the same pod."""
    taken = {name: "the app's container", **{f"{name}-{job}": "a job's container" for job in service.jobs}}
    for key, containers in (("initContainers", service.init_containers), ("sidecars", service.sidecars)):
        for container in containers:
            if other := taken.get(container):
                yield InvalidSetting((*at, key, container), f"is the name of {other}; call it something else")
            taken[container] = f"a container under {key}"


def _ports(at: Key, service: Service) -> Iterator[InvalidSetting]:
    """Report ports that two containers of a pod have: they share one network."""
    taken = {port: f"the app's port {name}" for name, port in service.container_ports.items()}
    for name, sidecar in service.sidecars.items():
        for label, port in sidecar.ports.items():
            if other := taken.get(port):
                rule = f"is {other} already; the containers of a pod share their ports"
                yield InvalidSetting((*at, "sidecars", name, "ports", label), rule, port)
            taken[port] = f"a port of the sidecar {name}"


def _mounts(at: Key, service: Service) -> Iterator[InvalidSetting]:
    """Report volumes that a container mounts and the service does not have."""
    for key, containers in (("initContainers", service.init_containers), ("sidecars", service.sidecars)):
        for name, container in containers.items():
            for volume in container.mounts:
                if volume not in service.volumes:
                    known = ", ".join(service.volumes) or "none"
                    rule = f"the service has no volume of this name under `volumes`; there are: {known}"
                    yield InvalidSetting((*at, key, name, "mounts", volume), rule)


def _volumes(at: Key, service: Service) -> Iterator[InvalidSetting]:
    """Report volumes that take the name or the folder of another one."""
    taken: dict[str, str] = {}
    for name, volume in service.volumes.items():
        if name in RESERVED_VOLUMES or name.startswith("scratch-"):
            rule = "is the name of a volume that the program declares; call it something else"
            yield InvalidSetting((*at, "volumes", name), rule)
        path = volume.mount_path
        if any(path == reserved or path.startswith(f"{reserved}/") for reserved in FILLED_FOLDERS):
            rule = "is a folder of the app's own configuration; use another"
            yield InvalidSetting((*at, "volumes", name, "mountPath"), rule, path)
        if path in service.scratch:
            yield InvalidSetting((*at, "volumes", name, "mountPath"), "is one of the `scratch` folders already", path)
        if (other := taken.setdefault(path, name)) != name:
            yield InvalidSetting((*at, "volumes", name, "mountPath"), f"{other} is mounted there already", path)

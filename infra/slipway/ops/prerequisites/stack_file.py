"""What a stack file names and the cluster, the registry or this machine does not have.

Each problem has its place in the stack file and a fix. What the user may not list is not checked: a shared cluster may
forbid it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from slipway.ops.prerequisites import docker
from slipway.ops.prerequisites.result import Problem
from slipway.settings.sections.images import Image
from slipway.settings.settings import Settings

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
DEFAULT_STORAGE = "storageclass.kubernetes.io/is-default-class"
INGRESS_CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"

Listed = list[dict[str, Any]] | None
"""Objects of the cluster; None where the user may not list them."""
Lister = Callable[[str], Listed]


def file_of(stack: str) -> str:
    """Return the stack file as messages name it."""
    return f"stacks/Pulumi.{stack}.yaml"


def missing(stack: str, settings: Settings, list_: Lister) -> Iterator[Problem]:
    """Yield what the stack file names and the cluster does not have."""
    file = file_of(stack)
    routes = {name: service.ingress for name, service in settings.services.items() if service.ingress}
    namespaces = names(list_("/api/v1/namespaces")) if routes else None
    if namespaces is not None and settings.cluster.ingress_namespace not in namespaces:
        key = f"{file}: slipway:cluster.ingressNamespace"
        yield absent(key, settings.cluster.ingress_namespace, "namespace", namespaces)
    classes = list_(INGRESS_CLASSES) if routes else None
    for name, route in routes.items() if classes is not None else ():
        if not route.gateway:
            key = f"{file}: slipway:services.{name}.ingress.className"
            yield from missing_class(key, route.class_name, "IngressClass", classes or [], DEFAULT_CLASS)
    classes_of_volumes = {name: store.storage_class for name, store in settings.servers.items()}
    classes_of_volumes |= {"monitoring": settings.monitoring.storage_class} if settings.monitoring.servers else {}
    storage = list_(STORAGE_CLASSES) if classes_of_volumes else None
    for section, name in classes_of_volumes.items() if storage is not None else ():
        key = f"{file}: slipway:{section}.storageClass"
        yield from missing_class(key, name, "StorageClass", storage or [], DEFAULT_STORAGE)
    yield from other_architecture(stack, settings, list_("/api/v1/nodes"))


def missing_class(
    key: str, name: str | None, kind: str, there: list[dict[str, Any]], default: str
) -> Iterator[Problem]:
    """Yield a problem if the cluster lacks the class, or a default where none is named."""
    if name is None:
        if not any(item["metadata"].get("annotations", {}).get(default) == "true" for item in there):
            cause = f"{key} is not set, and the cluster has no default {kind}"
            yield Problem(cause, f"set it to one of these: {', '.join(names(there) or []) or 'none yet'}")
    elif name not in (names(there) or []):
        yield absent(key, name, kind, names(there) or [])


def absent(key: str, value: str, kind: str, there: list[str]) -> Problem:
    """Return the problem of a name that the cluster does not have."""
    known = ", ".join(there) or "none"
    return Problem(f"{key}: {value}: the cluster has no such {kind}", f"set it to one of these: {known}")


def architectures(nodes: Listed) -> set[str]:
    """Return the processors of the nodes; empty if they are not known."""
    return {node["status"]["nodeInfo"]["architecture"] for node in nodes or []}


def other_architecture(stack: str, settings: Settings, nodes: Listed) -> Iterator[Problem]:
    """Yield a problem for images that are built for another processor than that of the nodes."""
    have = architectures(nodes)
    for key, image in built(settings).items() if have else ():
        platforms = image.platforms or [image.platform]
        if not have & {platform.partition("/")[2] for platform in platforms}:
            where = f"{file_of(stack)}: {key}.platform: {', '.join(platforms)}"
            cause = f"{where}: the nodes of the cluster are {', '.join(sorted(have))}"
            yield Problem(cause, f"set it to linux/{min(have)}")


def built(settings: Settings) -> dict[str, Image]:
    """Return the images that are built from this project and pushed, by their key in the stack file."""
    images = {"slipway:image" if settings.image else f"slipway:images.{name}": i for name, i in settings.images.items()}
    return {key: image for key, image in images.items() if image.source == "build"}


def unreachable_registry(stack: str, settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each image whose registry does not answer this machine."""
    from slipway.image import registry  # noqa: PLC0415 - a stack whose images are built elsewhere asks no registry

    for key, image in built(settings).items():
        if not image.load and (reason := registry.unreachable(image.repository)):
            fix = "start it, or name another one; the nodes have to reach it by that name as well"
            yield Problem(f"{file_of(stack)}: {key}.repository: {image.repository}: {reason}", fix)


def missing_builder(stack: str, settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each image that a Docker daemon should build, if none answers."""
    for key, image in built(settings).items():
        if image.builder == "docker" and not docker.docker_answers():
            cause = f"{file_of(stack)}: {key}.builder: docker: no Docker daemon answers on this machine"
            yield Problem(cause, "start one, or set builder: daemonless and remove target")


def names(objects: Listed) -> list[str] | None:
    """Return the names of objects; None if they are not known."""
    return None if objects is None else [item["metadata"]["name"] for item in objects]

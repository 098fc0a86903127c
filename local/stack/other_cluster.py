"""Check a cluster and a registry that are not ours before the local stack is deployed to them.

Everything that is missing is reported at once, each with its place in the stack file and a fix. What the user may not
list is not checked: a shared cluster may forbid it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx2
import pulumi

from local.bootstrap.downloads import architecture
from local.bootstrap.host import docker_answers
from local.errors import SetupError, raise_errors
from local.node.names import CONTEXT
from local.progress import Task
from local.stack.stack_file import STACK_FILE
from slipway.cluster import api_client
from slipway.cluster.connection import ForeignServerError, accepted
from slipway.cluster.kubeconfig import KubeconfigError
from slipway.image import registry
from slipway.ops.program import config
from slipway.settings.names import MONITORING_IMAGES
from slipway.settings.sections.images import Image
from slipway.settings.sections.stack import Cluster
from slipway.settings.settings import Settings

STACK = "local"
OK = 200
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
DEFAULT_STORAGE = "storageclass.kubernetes.io/is-default-class"
INGRESS_CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"

Objects = list[dict[str, Any]]
Listed = Objects | None
"""Objects of the cluster; None where the user may not list them."""
Lister = Callable[[str], Listed]


def read_settings() -> Settings:
    """Return the settings of the local stack. Raises SetupError with all errors of its file."""
    try:
        return config.settings(STACK)
    except pulumi.RunError as error:
        raise SetupError(str(error), f"correct {STACK_FILE}, then run `make up` again") from None


def check(task: Task, settings: Settings) -> None:
    """Raise SetupFailedError with everything that the cluster, the registry or this machine lacks for the stack."""
    # Not `with connect(...)`: a client that has sent a request cannot be entered any more.
    with closing(connect(settings.cluster, task)) as server:
        errors = list(missing(settings, lambda path: listed(server, path)))
    raise_errors([*errors, *unreachable_registry(settings), *missing_builder(settings)])


def connect(cluster: Cluster, task: Task) -> httpx2.Client:
    """Return a client for the API server of the context. Raises SetupError unless it is there and answers."""
    where, native = f"{STACK_FILE}: slipway:cluster.context: {cluster.context}", f"{CONTEXT} for the native cluster"
    try:
        access = accepted(cluster, STACK)
        server = api_client.http(access)
    except ForeignServerError as error:
        raise SetupError(str(error), "remove slipway:cluster.server, or set it to that of your cluster") from None
    except KubeconfigError as error:
        raise SetupError(f"{where}: {error}", f"use another context, or {native}") from None
    try:
        answer = server.get("/version")
    except httpx2.TransportError as error:
        cause = f"its API server {access.server} cannot be reached: {error or type(error).__name__}"
        raise SetupError(f"{where}: {cause}", f"start that cluster, or use {native}") from None
    if answer.status_code == api_client.UNAUTHORIZED:
        cause = f"its API server {access.server} does not accept the credentials of the kubeconfig"
        raise SetupError(f"{where}: {cause}", "log in to that cluster again")
    task.report(f"using kube context {cluster.context} ({access.server})")
    return server


def listed(server: httpx2.Client, path: str) -> Listed:
    """Return the objects at a path of the API; None if the user may not list them, or there is no such kind."""
    answer = server.get(path)
    return answer.json().get("items", []) if answer.status_code == OK else None


def missing(settings: Settings, list_: Lister) -> Iterator[SetupError]:
    """Yield what the stack file names and the cluster does not have."""
    routes = {name: service.ingress for name, service in settings.services.items() if service.ingress}
    namespaces = names(list_("/api/v1/namespaces")) if routes else None
    if namespaces is not None and settings.cluster.ingress_namespace not in namespaces:
        yield absent("slipway:cluster.ingressNamespace", settings.cluster.ingress_namespace, "namespace", namespaces)
    classes = list_(INGRESS_CLASSES) if routes else None
    for name, route in routes.items() if classes is not None else ():
        if not route.gateway:
            key = f"slipway:services.{name}.ingress.className"
            yield from missing_class(key, route.class_name, "IngressClass", classes or [], DEFAULT_CLASS)
    classes_of_volumes = {name: store.storage_class for name, store in settings.servers.items()}
    classes_of_volumes |= {"monitoring": settings.monitoring.storage_class} if settings.monitoring.servers else {}
    storage = list_(STORAGE_CLASSES) if classes_of_volumes else None
    for section, name in classes_of_volumes.items() if storage is not None else ():
        key = f"slipway:{section}.storageClass"
        yield from missing_class(key, name, "StorageClass", storage or [], DEFAULT_STORAGE)
    yield from other_architecture(settings, list_("/api/v1/nodes"))


def missing_class(
    key: str, name: str | None, kind: str, there: list[dict[str, Any]], default: str
) -> Iterator[SetupError]:
    """Yield an error if the cluster lacks the class, or a default where none is named."""
    if name is None:
        if not any(item["metadata"].get("annotations", {}).get(default) == "true" for item in there):
            cause = f"{STACK_FILE}: {key} is not set, and the cluster has no default {kind}"
            yield SetupError(cause, f"set it to one of these: {', '.join(names(there) or []) or 'none yet'}")
    elif name not in (names(there) or []):
        yield absent(key, name, kind, names(there) or [])


def absent(key: str, value: str, kind: str, there: list[str]) -> SetupError:
    """Return the error for a name that the cluster does not have."""
    known = ", ".join(there) or "none"
    return SetupError(
        f"{STACK_FILE}: {key}: {value}: the cluster has no such {kind}", f"set it to one of these: {known}"
    )


def other_architecture(settings: Settings, nodes: Listed) -> Iterator[SetupError]:
    """Yield an error for images of another processor than that of the nodes."""
    have = {node["status"]["nodeInfo"]["architecture"] for node in nodes or []}
    if not have:
        return
    nodes_are = f"the nodes of the cluster are {', '.join(sorted(have))}"
    for key, image in built(settings).items():
        platforms = image.platforms or [image.platform]
        if not have & {platform.partition("/")[2] for platform in platforms}:
            where = f"{STACK_FILE}: {key}.platform: {', '.join(platforms)}"
            yield SetupError(f"{where}: {nodes_are}", f"set it to linux/{min(have)}")
    for name in from_packages(settings):
        if architecture() not in have:
            own = f"{architecture()}, the processor of this machine"
            cause = f"the image of {name} would be built for {own}; {nodes_are}"
            yield SetupError(cause, f"set {image_key(name)} in {STACK_FILE} to a pinned image")


def built(settings: Settings) -> dict[str, Image]:
    """Return the images that are built from this project and pushed, by their key in the stack file."""
    images = {"slipway:image" if settings.image else f"slipway:images.{name}": i for name, i in settings.images.items()}
    return {key: image for key, image in images.items() if image.source == "build"}


def repositories(settings: Settings) -> str:
    """Return the name below which the images of the stores are pushed: beside the first image of the stack."""
    return next((image.repository.rpartition("/")[0] for image in settings.images.values()), "")


def ingress_addresses(context: str, namespace: str) -> list[str]:
    """Return the addresses that the ingress controller reports for the Ingresses of a namespace."""
    with api_client.http(accepted(Cluster(context=context), STACK)) as server:
        ingresses = listed(server, f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses") or []
    found = [entry for one in ingresses for entry in one.get("status", {}).get("loadBalancer", {}).get("ingress", [])]
    return [entry.get("ip") or entry["hostname"] for entry in found]


def from_packages(settings: Settings) -> list[str]:
    """Return the servers whose images `make up` builds from Debian packages: those that name none."""
    return [name for name, image in settings.server_images.items() if settings.image_files and not image]


def image_key(server: str) -> str:
    """Return the key of the stack file that names the image of a server."""
    key = MONITORING_IMAGES.get(server)
    return f"slipway:monitoring.{key}" if key else f"slipway:{server}.image"


def unreachable_registry(settings: Settings) -> Iterator[SetupError]:
    """Yield an error for each image whose registry does not answer this machine."""
    for key, image in built(settings).items():
        if not image.load and (reason := registry.unreachable(image.repository)):
            fix = "start it, or name another one; the nodes have to reach it by that name as well"
            yield SetupError(f"{STACK_FILE}: {key}.repository: {image.repository}: {reason}", fix)
    if not settings.images and (stores := from_packages(settings)):
        cause = f"{STACK_FILE}: there is no repository to push the images of {' and '.join(stores)} to"
        yield SetupError(cause, f"set {' and '.join(map(image_key, stores))} to a pinned image")


def missing_builder(settings: Settings) -> Iterator[SetupError]:
    """Yield an error for each image that a Docker daemon should build, if none answers."""
    for key, image in built(settings).items():
        if image.builder == "docker" and not docker_answers():
            cause = f"{STACK_FILE}: {key}.builder: docker: no Docker daemon answers on this machine"
            yield SetupError(cause, "start one, or set builder: daemonless and remove target")


def names(objects: Listed) -> list[str] | None:
    """Return the names of objects; None if they are not known."""
    return None if objects is None else [item["metadata"]["name"] for item in objects]

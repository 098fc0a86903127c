"""Check a cluster and a registry that are not ours before the local stack is deployed to them.

Everything that is missing is reported at once, each with its place in the stack file and a fix. What the user may not
list is not checked: a shared cluster may forbid it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import httpx2
import pulumi

from local.bootstrap.downloads import architecture
from local.errors import SetupError, raise_errors
from local.node.names import CONTEXT
from local.progress import Task
from local.stack.stack_file import STACK_FILE
from slipway.cluster import api_client
from slipway.cluster.connection import ForeignServerError, accepted
from slipway.cluster.kubeconfig import KubeconfigError
from slipway.ops.prerequisites import stack_file
from slipway.ops.prerequisites.api_server import listed
from slipway.ops.prerequisites.stack_file import Listed
from slipway.ops.program import config
from slipway.settings.names import MONITORING_IMAGES
from slipway.settings.sections.stack import Cluster
from slipway.settings.settings import Settings

STACK = "local"


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
        problems = list(stack_file.missing(STACK, settings, lambda path: listed(server, path)))
        errors = list(other_processor(settings, listed(server, "/api/v1/nodes")))
    problems += [*stack_file.unreachable_registry(STACK, settings), *stack_file.missing_builder(STACK, settings)]
    named = [SetupError(problem.cause, problem.fix) for problem in problems]
    raise_errors([*named, *errors, *homeless_images(settings)])


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


def other_processor(settings: Settings, nodes: Listed) -> Iterator[SetupError]:
    """Yield an error for each image that would be built here, from Debian packages, for another processor."""
    have = stack_file.architectures(nodes)
    for name in from_packages(settings) if have and architecture() not in have else ():
        own = f"{architecture()}, the processor of this machine"
        cause = f"the image of {name} would be built for {own}; the nodes of the cluster are {', '.join(sorted(have))}"
        yield SetupError(cause, f"set {image_key(name)} in {STACK_FILE} to a pinned image")


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


def homeless_images(settings: Settings) -> Iterator[SetupError]:
    """Yield an error if there is no repository to push the images of the stores to."""
    if not settings.images and (stores := from_packages(settings)):
        cause = f"{STACK_FILE}: there is no repository to push the images of {' and '.join(stores)} to"
        yield SetupError(cause, f"set {' and '.join(map(image_key, stores))} to a pinned image")

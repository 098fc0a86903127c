"""The one cluster a stack may touch: checked by context and server, then used by the provider and by our client."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_kubernetes import Provider

from slipway.cluster.exec_credential import pinned
from slipway.cluster.kubeconfig import Access, KubeconfigError, load
from slipway.settings.sections.stack import Cluster
from slipway.settings.settings import Settings

if TYPE_CHECKING:
    from lightkube import Client


def connect(cluster: Cluster) -> Provider:
    """Return the provider for the stack's cluster. Raises `pulumi.RunError` if the kubeconfig leads to another one.

    A preview also works without a kubeconfig, or if the cluster cannot be reached.
    """
    access = check_context(cluster)
    if access and not pulumi.runtime.is_dry_run():
        check_server(access)
    return Provider(
        "cluster",
        **_options(cluster, access),
        # ConfigMaps and Secrets are changed in place, but for those that roll pods, which are named by their content.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


def connect_for_retained(cluster: Cluster) -> Provider:
    """Return the provider for objects named by their content. It adopts an object that an earlier update has retained.

    The provider of `connect` refuses to take over an existing object, since somebody else has created it.
    """
    return Provider("retained", **_options(cluster, check_context(cluster)), upsert_existing_objects=True)


def _options(cluster: Cluster, access: Access | None) -> dict[str, Any]:
    return {
        "context": cluster.context,
        # For `pulumi destroy` and `refresh`, which do not run this program. Never None: the SDK would put the value of
        # KUBECONFIG there, one or several paths of this machine, which the provider cannot read.
        "kubeconfig": _kubeconfig(access),
        # Only a new context means a new cluster: an edited kubeconfig must not replace every object.
        "cluster_identifier": cluster.context,
        "enable_server_side_apply": True,
    }


def _kubeconfig(access: Access | None) -> str:
    try:
        return pinned(access) if access else ""
    except KubeconfigError as error:  # a certificate authority that cannot be read
        raise pulumi.RunError(f"{error}. Fix the kubeconfig; nothing was changed.") from None


def check_context(cluster: Cluster) -> Access | None:
    """Return how to reach the cluster. Raises `pulumi.RunError` unless the kubeconfig leads to the right server.

    Returns None in a preview without the context.
    """
    try:
        return accepted(cluster, pulumi.get_stack())
    except ForeignServerError as error:
        raise pulumi.RunError(f"{error} Nothing was changed.") from None
    except KubeconfigError as error:
        problem = f"stacks/Pulumi.{pulumi.get_stack()}.yaml: slipway:cluster.context: {error}"
    if not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(f"{problem}. Name another context, or fix the kubeconfig; nothing was changed.")
    pulumi.log.warn(f"{problem}. This preview compares with the last known state only.")
    return None


class ForeignServerError(KubeconfigError):
    """The context leads to a server that the stack file does not accept."""


def accepted(cluster: Cluster, stack: str) -> Access:
    """Return how to reach the cluster. Raises KubeconfigError for an unusable context or a foreign server."""
    access = load().access(cluster.context)
    if cluster.server and not re.fullmatch(cluster.server, access.server):
        raise ForeignServerError(
            f"stacks/Pulumi.{stack}.yaml: slipway:cluster.server: context {cluster.context!r} leads to "
            f"{access.server}, which does not match {cluster.server!r}. Use the right kubeconfig, or correct the "
            "pattern if the cluster has moved."
        )
    return access


def check_server(access: Access) -> None:
    """Raise `pulumi.RunError` unless the API server can be reached and accepts the credentials."""
    import httpx2  # noqa: PLC0415 - a large part of the start-up time of a preview, which needs no connection

    from slipway.cluster.api_client import UNAUTHORIZED, http  # noqa: PLC0415

    try:
        with http(access) as server:
            answer = server.get("/version")
    except (KubeconfigError, httpx2.TransportError) as error:
        cause = f"cannot be reached: {error or type(error).__name__}"
    else:
        if answer.status_code != UNAUTHORIZED:
            return
        cause = "does not accept the credentials of the kubeconfig (401)"
    raise pulumi.RunError(
        f"the API server {access.server} (context {access.context!r}, stack {pulumi.get_stack()}) {cause}; "
        "nothing was changed."
    )


def client(settings: Settings) -> Client:
    """Return a client for the API server of a stack, in its namespace."""
    cluster = settings.cluster
    return _client(cluster.context, cluster.server, settings.namespace, os.environ.get("KUBECONFIG"))


@lru_cache(maxsize=1)
def _client(context: str, server: str | None, namespace: str, _kubeconfig: str | None) -> Client:
    # Cached, since each new client would run the exec plugin of the kubeconfig again.
    from slipway.cluster import api_client  # noqa: PLC0415

    try:
        return api_client.client(accepted(Cluster(context=context, server=server), pulumi.get_stack()), namespace)
    except KubeconfigError as error:
        raise pulumi.RunError(f"the API server cannot be reached: {error}") from None

"""The one cluster a stack may touch: accepted by context and server, then given to the provider and to our client."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pulumi
from exec_credential import pinned
from kubeconfig import Access, KubeconfigError, load
from pulumi_kubernetes import Provider
from settings import Cluster, Settings

if TYPE_CHECKING:
    from lightkube import Client


def connect(cluster: Cluster) -> Provider:
    """Return the provider for the stack's own cluster; `pulumi.RunError` when the kubeconfig leads somewhere else.

    A preview also works without a kubeconfig or with the cluster out of reach.
    """
    access = check_context(cluster)
    if access and not pulumi.runtime.is_dry_run():
        check_server(access)
    return Provider(
        "cluster",
        **_options(cluster, access),
        # Change ConfigMaps and Secrets in place. Those that roll pods are immutable and named by their content.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


def connect_for_retained(cluster: Cluster) -> Provider:
    """The provider for objects named by their content: one that is still there from an earlier time is taken as it is.

    Any other object that is there already is a stranger's, and `connect` refuses to take it over.
    """
    return Provider("retained", **_options(cluster, check_context(cluster)), upsert_existing_objects=True)


def _options(cluster: Cluster, access: Access | None) -> dict[str, Any]:
    return {
        "context": cluster.context,
        # What `pulumi destroy` and `refresh` use, which do not run this program. Never None: the SDK would put the
        # value of KUBECONFIG there, a path of this machine or several of them, which the provider cannot read.
        "kubeconfig": _kubeconfig(access),
        # Only a new context means a new cluster; an edited kubeconfig must not replace every object.
        "cluster_identifier": cluster.context,
        "enable_server_side_apply": True,
    }


def _kubeconfig(access: Access | None) -> str:
    try:
        return pinned(access) if access else ""
    except KubeconfigError as error:  # a certificate authority that cannot be read
        raise pulumi.RunError(f"{error}. Mend the kubeconfig; nothing was changed.") from None


def check_context(cluster: Cluster) -> Access | None:
    """Return how to reach the cluster; `pulumi.RunError` unless the kubeconfig leads to the right server.

    None in a preview without that context.
    """
    try:
        return accepted(cluster, pulumi.get_stack())
    except ForeignServerError as error:
        raise pulumi.RunError(f"{error} Nothing was changed.") from None
    except KubeconfigError as error:
        problem = f"stacks/Pulumi.{pulumi.get_stack()}.yaml: slipway:cluster.context: {error}"
    if not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(f"{problem}. Name another context, or mend the kubeconfig; nothing was changed.")
    pulumi.log.warn(f"{problem}. This preview compares with the last known state only.")
    return None


class ForeignServerError(KubeconfigError):
    """The context leads to a server that the stack file does not accept."""


def accepted(cluster: Cluster, stack: str) -> Access:
    """Return how to reach the cluster; KubeconfigError if its context is unusable or leads to a foreign server."""
    access = load().access(cluster.context)
    if cluster.server and not re.fullmatch(cluster.server, access.server):
        raise ForeignServerError(
            f"stacks/Pulumi.{stack}.yaml: slipway:cluster.server: context {cluster.context!r} leads to "
            f"{access.server}, which does not match {cluster.server!r}. Use the right kubeconfig, or correct the "
            "pattern if the cluster has moved."
        )
    return access


def check_server(access: Access) -> None:
    """`pulumi.RunError` unless we can sign in and the API server answers: found out before anything changes."""
    import httpx2  # noqa: PLC0415 - a preview connects to nothing, and this is a good part of its start-up
    from api_client import UNAUTHORIZED, http  # noqa: PLC0415

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
    # Kept, since each new one would run the exec plugin of the kubeconfig again.
    from api_client import client as connected  # noqa: PLC0415

    try:
        return connected(accepted(Cluster(context=context, server=server), pulumi.get_stack()), namespace)
    except KubeconfigError as error:
        raise pulumi.RunError(f"the API server cannot be asked: {error}") from None

"""Environment: the cluster connection and the namespace a stack owns."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pulumi
import yaml
from naming import PART_OF, labels
from pulumi_kubernetes import Provider, core, meta
from settings import Cluster


def connect(cluster: Cluster) -> Provider:
    """The provider for the stack's own cluster; `pulumi.RunError` when the kubeconfig leads somewhere else.

    A preview also works without a kubeconfig or with the cluster out of reach.
    """
    check_context(cluster)
    return Provider(
        "cluster",
        context=cluster.context,
        # Only a new context means a new cluster; an edited kubeconfig must not replace every object.
        cluster_identifier=cluster.context,
        enable_server_side_apply=True,
        # Change ConfigMaps and Secrets in place. Those that roll pods are immutable and named by their content.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


class Environment(pulumi.ComponentResource):
    """The namespace a stack owns, enforcing the `restricted` Pod Security Standard."""

    namespace: pulumi.Output[str]
    """Name of the namespace, known once it exists."""

    def __init__(self, namespace: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Environment", PART_OF, None, opts)
        enforced = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
        created = core.v1.Namespace(
            namespace,
            metadata=meta.v1.ObjectMetaArgs(name=namespace, labels={**labels(PART_OF, "environment"), **enforced}),
            opts=pulumi.ResourceOptions(parent=self, protect=pulumi.get_stack() == "prod"),
        )
        self.namespace = created.metadata.apply(lambda metadata: metadata.name or namespace)
        self.register_outputs({"namespace": self.namespace})


def check_context(cluster: Cluster) -> None:
    """`pulumi.RunError` unless the kubeconfig has the context, and it leads to the right server."""
    servers = _servers()
    here = f"stacks/Pulumi.{pulumi.get_stack()}.yaml: slipway:cluster"
    if cluster.context not in servers:
        problem = (
            f"{here}.context: {cluster.context!r} is not in the kubeconfig (found: {', '.join(servers) or 'none'})"
        )
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"{problem}. Set it to one of those, or add the context; nothing was changed.")
        pulumi.log.warn(f"{problem}. This preview compares with the last known state only.")
        return
    server = servers[cluster.context]
    if cluster.server and not re.fullmatch(cluster.server, server):
        raise pulumi.RunError(
            f"{here}.server: context {cluster.context!r} leads to {server}, which does not match {cluster.server!r}. "
            "Use the right kubeconfig, or correct the pattern if the cluster has moved; nothing was changed."
        )


def _servers() -> dict[str, str]:
    """Server URL of every context in the kubeconfig files."""
    servers: dict[str, str] = {}
    contexts: dict[str, str] = {}
    for file in os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config")).split(os.pathsep):
        if not file or not Path(file).is_file():
            continue
        config: dict[str, Any] = yaml.safe_load(Path(file).read_text()) or {}
        # The first file that names a thing wins, as for kubectl.
        servers = {c["name"]: c["cluster"]["server"] for c in config.get("clusters") or []} | servers
        contexts = {c["name"]: c["context"]["cluster"] for c in config.get("contexts") or []} | contexts
    return {name: servers[cluster] for name, cluster in contexts.items() if cluster in servers}

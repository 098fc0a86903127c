"""Environment: the cluster connection and the namespace a stack owns."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, cast

import checks
import network
import pulumi
import yaml
from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from naming import PART_OF, labels
from pulumi_kubernetes import Provider, core, meta
from settings import REGISTRY_PASSWORD, Cluster, Quota, Registry, Settings


def connect(cluster: Cluster) -> Provider:
    """The provider for the stack's own cluster; `pulumi.RunError` when the kubeconfig leads somewhere else.

    A preview also works without a kubeconfig or with the cluster out of reach.
    """
    check_context(cluster)
    return Provider(
        "cluster",
        **_options(cluster),
        # Change ConfigMaps and Secrets in place. Those that roll pods are immutable and named by their content.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


def connect_for_retained(cluster: Cluster) -> Provider:
    """The provider for objects named by their content: one that is still there from an earlier time is taken as it is.

    Any other object that is there already is a stranger's, and `connect` refuses to take it over.
    """
    return Provider("retained", **_options(cluster), upsert_existing_objects=True)


def _options(cluster: Cluster) -> dict[str, Any]:
    # Only a new context means a new cluster; an edited kubeconfig must not replace every object.
    return {"context": cluster.context, "cluster_identifier": cluster.context, "enable_server_side_apply": True}


class Environment(pulumi.ComponentResource):
    """The namespace a stack owns: restricted pods, bounded use, and no connection that is not declared."""

    namespace: pulumi.Output[str]
    """Name of the namespace, known once it exists."""
    retaining: Provider
    """For objects that stay when they are superseded (configuration.py)."""
    pull_secret: pulumi.Output[str] | None
    """Name of the Secret with which nodes pull the image; None for an open registry."""

    def __init__(
        self, settings: Settings, candidate: Settings | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:Environment", PART_OF, None, opts)
        # Room for a rollout of either is room for the pods of the one and a canary of the other.
        self._to_hold = [settings, *([candidate] if candidate else [])]
        self._child = pulumi.ResourceOptions(parent=self)
        self.retaining = connect_for_retained(settings.cluster)
        self.namespace = self._namespace(settings.namespace)
        self._quota(settings.quota)
        self._defaults()
        network.closed(self.namespace, self._child)
        self.pull_secret = self._pull_secret(settings, settings.registry) if settings.registry else None
        self.register_outputs({"namespace": self.namespace})

    def _meta(self, name: str) -> meta.v1.ObjectMetaArgs:
        return meta.v1.ObjectMetaArgs(name=name, namespace=self.namespace, labels=labels(PART_OF, "environment"))

    def _namespace(self, name: str) -> pulumi.Output[str]:
        enforced = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
        created = core.v1.Namespace(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=name, labels={**labels(PART_OF, "environment"), **enforced}),
            opts=pulumi.ResourceOptions(parent=self, protect=pulumi.get_stack() == "prod"),
        )
        return created.metadata.apply(lambda metadata: metadata.name or name)

    def _quota(self, quota: Quota) -> None:
        memory = quota.memory or f"{max(map(checks.needed_mebibytes, self._to_hold))}Mi"
        core.v1.ResourceQuota(
            "quota",
            metadata=self._meta("quota"),
            spec=core.v1.ResourceQuotaSpecArgs(
                hard={
                    "pods": str(quota.pods or max(map(checks.needed_pods, self._to_hold))),
                    "requests.cpu": quota.cpu or f"{max(map(checks.needed_millicores, self._to_hold))}m",
                    "requests.memory": memory,
                    "limits.memory": memory,
                    # The only way in is the ingress.
                    "services.nodeports": "0",
                    "services.loadbalancers": "0",
                }
            ),
            opts=self._child,
        )

    def _defaults(self) -> None:
        """The size of a container that says nothing about it: one of `kubectl run`, say."""
        small = {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
        core.v1.LimitRange(
            "defaults",
            metadata=self._meta("defaults"),
            spec=core.v1.LimitRangeSpecArgs(
                limits=[
                    core.v1.LimitRangeItemArgs(type="Container", default={**small, "cpu": "1"}, default_request=small)
                ]
            ),
            opts=self._child,
        )

    def _pull_secret(self, settings: Settings, registry: Registry) -> pulumi.Output[str]:
        host = settings.image.repository.partition("/")[0]
        login = settings.secret(REGISTRY_PASSWORD).apply(
            lambda password: json.dumps({"auths": {host: {"username": registry.username, "password": password}}})
        )
        secret = core.v1.Secret(
            "registry",
            metadata=self._meta("registry"),
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": login},
            opts=self._child,
        )
        return secret.metadata.apply(lambda metadata: metadata.name or "registry")


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


def kubeconfig(context: str) -> SingleConfig:
    """How to reach the cluster of a context: server, certificates, credentials."""
    for file in _files():
        config = KubeConfig.from_file(file)
        if context in config.contexts:
            return cast("SingleConfig", config.get(context))
    raise pulumi.RunError(f"context {context!r} is not in the kubeconfig")


def client(settings: Settings) -> Client:
    """What asks the API server of a stack, in its namespace."""
    return Client(kubeconfig(settings.cluster.context), namespace=settings.namespace)


def _servers() -> dict[str, str]:
    """Server URL of every context in the kubeconfig files."""
    servers: dict[str, str] = {}
    contexts: dict[str, str] = {}
    for file in _files():
        config: dict[str, Any] = yaml.safe_load(file.read_text()) or {}
        # The first file that names a thing wins, as for kubectl.
        servers = {c["name"]: c["cluster"]["server"] for c in config.get("clusters") or []} | servers
        contexts = {c["name"]: c["context"]["cluster"] for c in config.get("contexts") or []} | contexts
    return {name: servers[cluster] for name, cluster in contexts.items() if cluster in servers}


def _files() -> list[Path]:
    """The kubeconfig files there are, in kubectl's order."""
    names = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config")).split(os.pathsep)
    return [Path(name) for name in names if name and Path(name).is_file()]

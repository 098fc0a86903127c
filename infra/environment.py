"""Environment: the namespace a stack owns."""

from __future__ import annotations

import json

import checks
import network
import pulumi
from connection import connect_for_retained
from image_names import login_of
from naming import PART_OF, labels
from pulumi_kubernetes import Provider, core, meta
from settings import REGISTRY_PASSWORD, Quota, Registry, Settings


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
        if any(held.solved for held in self._to_hold):
            network.open_for_challenges(self.namespace, settings.cluster, self._child)
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
                    # The only way in is the ingress. By default cert-manager answers a challenge by a Service with a
                    # node port, and no certificate would come without; the NetworkPolicies keep others out of it.
                    "services.nodeports": str(max(len(held.solved) for held in self._to_hold)),
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
        registry_login = login_of(settings.image.repository)
        login = settings.secret(REGISTRY_PASSWORD).apply(
            lambda password: json.dumps(
                {"auths": {registry_login: {"username": registry.username, "password": password}}}
            )
        )
        secret = core.v1.Secret(
            "registry",
            metadata=self._meta("registry"),
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": login},
            opts=self._child,
        )
        return secret.metadata.apply(lambda metadata: metadata.name or "registry")

"""Environment: the namespace a stack owns, with its quota, defaults and basic network policies."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
from pulumi_kubernetes import Provider, core, meta

from slipway import network
from slipway.cluster.connection import connect_for_retained
from slipway.naming import ENVIRONMENT, labels
from slipway.settings import checks
from slipway.settings.sections.stack import Quota
from slipway.settings.settings import Settings
from slipway.settings.tiers import TIERS
from slipway.settings.types.image_names import login_of


class Environment(pulumi.ComponentResource):
    """The namespace a stack owns. Its pods are restricted, its resources bounded, and undeclared connections denied."""

    namespace: pulumi.Output[str]
    """Name of the namespace, known once it exists."""
    retaining: Provider
    """Provider for objects that stay in the cluster when they are superseded (configuration.py)."""
    pull_secret: pulumi.Output[str] | None
    """Name of the Secret with which nodes pull the images; None for open registries."""

    def __init__(
        self, settings: Settings, candidate: Settings | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:Environment", ENVIRONMENT, None, opts)
        # A quota that lets either roll out also has room for one and a canary of the other.
        self._variants = [settings, *([candidate] if candidate else [])]
        self._child = pulumi.ResourceOptions(parent=self)
        self.retaining = connect_for_retained(settings.cluster)
        self.namespace = self._namespace(settings)
        self._quota(settings.quota)
        self._defaults()
        network.deny_by_default(self.namespace, settings.cluster.dns, self._child)
        if any(variant.challenge_hosts for variant in self._variants):
            network.allow_acme_challenges(self.namespace, settings.cluster, self._child)
        self.pull_secret = self._pull_secret(settings) if settings.registry_logins else None
        self.register_outputs({"namespace": self.namespace})

    def _meta(self, name: str) -> meta.v1.ObjectMetaArgs:
        return meta.v1.ObjectMetaArgs(name=name, namespace=self.namespace, labels=labels(ENVIRONMENT, "environment"))

    def _namespace(self, settings: Settings) -> pulumi.Output[str]:
        enforced = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
        name = settings.namespace
        created = core.v1.Namespace(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=name, labels={**labels(ENVIRONMENT, "environment"), **enforced}),
            opts=pulumi.ResourceOptions(parent=self, protect=TIERS[settings.tier].protects_data),
        )
        return created.metadata.apply(lambda metadata: metadata.name or name)

    def _quota(self, quota: Quota) -> None:
        memory = quota.memory or f"{max(map(checks.needed_mebibytes, self._variants))}Mi"
        core.v1.ResourceQuota(
            "quota",
            metadata=self._meta("quota"),
            spec=core.v1.ResourceQuotaSpecArgs(
                hard={
                    "pods": str(quota.pods or max(map(checks.needed_pods, self._variants))),
                    "requests.cpu": quota.cpu or f"{max(map(checks.needed_millicores, self._variants))}m",
                    "requests.memory": memory,
                    "limits.memory": memory,
                    # Requests come in by the ingress only. cert-manager's default solver is a Service with a node port
                    # and gets no certificate without it; the NetworkPolicies close that port to everyone else.
                    "services.nodeports": str(max(len(variant.challenge_hosts) for variant in self._variants)),
                    "services.loadbalancers": "0",
                }
            ),
            opts=self._child,
        )

    def _defaults(self) -> None:
        """Set the size of containers that request none, such as those of `kubectl run`."""
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

    def _pull_secret(self, settings: Settings) -> pulumi.Output[str]:
        logins = settings.registry_logins
        passwords = pulumi.Output.all(**{host: settings.secret(secret) for host, (_, secret) in logins.items()})
        users = {host: user for host, (user, _) in logins.items()}
        login = passwords.apply(lambda passwords: docker_config(users, passwords))
        secret = core.v1.Secret(
            "registry",
            metadata=self._meta("registry"),
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": login},
            opts=self._child,
        )
        return secret.metadata.apply(lambda metadata: metadata.name or "registry")


def docker_config(users: Mapping[str, str], passwords: Mapping[str, str]) -> str:
    """Return the logins of registries, by host, in the form that nodes read."""
    logins = {login_of(host): {"username": user, "password": passwords[host]} for host, user in users.items()}
    return json.dumps({"auths": logins})

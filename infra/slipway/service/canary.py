"""Canary: the candidate of a service beside the release in force, with a small share of its requests.

It is declared only in the first step of `./slipway up` (ops/releases/up.py) and removed as a whole. Everything else
of the stack stays as in the release in force.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes import apps, core, meta

from slipway import network
from slipway.environment import Environment
from slipway.image.reference import ImageReference
from slipway.image.stack_images import StackImages
from slipway.naming import CANARY
from slipway.scope import Scope
from slipway.service import configuration, customization, jobs, patches, pod, traffic
from slipway.service.inputs import Config
from slipway.settings.settings import Settings


def declare(
    candidate: Settings,
    in_force: Settings,
    environment: Environment,
    addresses: Mapping[str, core.v1.Service],
    opts: pulumi.ResourceOptions,
) -> dict[str, traffic.Share]:
    """Declare a canary for each service that wants one. Return the shares of those that are behind a Gateway."""
    images = StackImages(candidate)
    names = [name for name in candidate.canary_services if name in in_force.services]
    canaries = [
        Canary(name, candidate, in_force, images.of(name), environment, addresses=addresses, opts=opts)
        for name in names
    ]
    return {name: canary.share for name, canary in zip(names, canaries, strict=True) if canary.share}


class Canary(pulumi.ComponentResource):
    """One service of the candidate: its configuration, migration, connections and pods."""

    TYPE = "slipway:index:Canary"
    share: traffic.Share | None
    """Its share of the route; None if the Service of the release selects its pods."""

    def __init__(
        self,
        name: str,
        candidate: Settings,
        in_force: Settings,
        image: ImageReference,
        environment: Environment,
        *,
        addresses: Mapping[str, core.v1.Service],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(self.TYPE, name, None, opts)
        current, service = in_force.services[name], candidate.services[name]
        pods = current.canary_pods(service.canary)
        if not pods:
            raise pulumi.RunError(
                f"slipway:services.{name}: the release in force: {current.canary_refusal(service.canary)}; nothing was "
                "changed. Roll that out by itself before, or this once with rollout: rolling"
            )
        # Behind a Gateway the weight sets the share, so the Service of the release must not select these pods.
        selected_as = f"{name}-{CANARY}" if current.is_routed else ""
        scope = Scope(
            name, candidate, environment.namespace, self, environment.retaining, track=CANARY, selected_as=selected_as
        )
        patches.apply(scope, f"{self.TYPE}::{name}")

        config = configuration.declare(scope)
        network.allow_canary(scope, current)
        ready = [addresses[need] for need in service.needs if need in addresses]
        migrated = jobs.migration(scope, image, config, ready)
        deployment = _deployment(scope, pods, image, config, [*ready, *([migrated] if migrated else [])])
        self.share = None
        if current.is_routed:
            self.share = traffic.Share(scope.title, service.canary.percent, traffic.cluster_address(scope, deployment))
        self.register_outputs({})


def _deployment(
    scope: Scope, pods: int, image: ImageReference, config: Config, after: list[pulumi.Resource]
) -> apps.v1.Deployment:
    return apps.v1.Deployment(
        scope.title,
        metadata=scope.meta(scope.title, {**scope.selector_annotation, **scope.external_annotation}),
        spec=apps.v1.DeploymentSpecArgs(
            replicas=pods,
            selector=meta.v1.LabelSelectorArgs(match_labels=scope.selector),
            # A new candidate replaces one that was left behind: both together would exceed the share.
            strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
            revision_history_limit=pod.REVISIONS,
            progress_deadline_seconds=scope.service.progress_deadline,
            template=customization.added(scope, pod.template(scope, image, config)),
        ),
        opts=scope.child(*after),
    )

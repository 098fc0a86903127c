"""Canary: the candidate of a service beside the release in force, with a small share of its requests.

Declared in the first step of `./slipway up` only (ops/canary.py); it comes and goes as a whole. All else of the stack
stays as the release in force has it.
"""

from __future__ import annotations

from collections.abc import Mapping

import configuration
import jobs
import network
import pod
import pulumi
import retention
import traffic
from backing import Store
from environment import Environment
from image import AppImage
from naming import CANARY
from pulumi_kubernetes import apps, meta
from scope import Scope
from settings import Settings


def declare(
    candidate: Settings,
    in_force: Settings,
    environment: Environment,
    stores: Mapping[str, Store],
    opts: pulumi.ResourceOptions,
) -> dict[str, traffic.Share]:
    """A canary for each service the candidate asks one for; what those behind a Gateway get of their route."""
    image = AppImage("api", candidate.image)
    names = [name for name in candidate.trying if name in in_force.services]
    canaries = [Canary(name, candidate, in_force, image, environment, stores=stores, opts=opts) for name in names]
    return {name: canary.share for name, canary in zip(names, canaries, strict=True) if canary.share}


class Canary(pulumi.ComponentResource):
    """One service of the candidate: its configuration, migration, connections and pods."""

    share: traffic.Share | None
    """What it gets of the route; None where its pods are among those the Service finds."""

    def __init__(
        self,
        name: str,
        candidate: Settings,
        in_force: Settings,
        image: AppImage,
        environment: Environment,
        *,
        stores: Mapping[str, Store],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:index:Canary", name, None, opts)
        before, service = in_force.services[name], candidate.services[name]
        pods = before.canary_pods(service.canary)
        if not pods:
            raise pulumi.RunError(
                f"slipway:services.{name}: the release in force: {before.too_few_for(service.canary)}; nothing was "
                "changed. Roll that out by itself before, or this once with rollout: rolling"
            )
        # Behind a Gateway the weight decides: the Service of the release must not find these pods.
        found_as = f"{name}-{CANARY}" if before.is_routed else ""
        scope = Scope(
            name, candidate, environment.namespace, self, environment.retaining, track=CANARY, found_as=found_as
        )

        config = configuration.declare(scope)
        network.edges_of_canary(scope, before)
        ready = [stores[need].address for need in service.needs if need in stores]
        migrated = jobs.migration(scope, image, config, ready)
        deployment = _deployment(scope, pods, image, config, [*ready, *([migrated] if migrated else [])])
        self.share = None
        if before.is_routed:
            self.share = traffic.Share(scope.title, service.canary.percent, traffic.cluster_address(scope, deployment))
        self.register_outputs({})


def _deployment(
    scope: Scope, pods: int, image: AppImage, config: pod.Config, after: list[pulumi.Resource]
) -> apps.v1.Deployment:
    return apps.v1.Deployment(
        scope.title,
        metadata=scope.meta(scope.title, scope.selecting),
        spec=apps.v1.DeploymentSpecArgs(
            replicas=pods,
            selector=meta.v1.LabelSelectorArgs(match_labels=scope.selector),
            # Another candidate takes the place of one that was left: both at once would get more than the share.
            strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
            revision_history_limit=retention.REVISIONS,
            progress_deadline_seconds=scope.service.progress_deadline,
            template=pod.template(scope, image, config),
        ),
        opts=scope.child(*after),
    )

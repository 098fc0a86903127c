"""WebService: the objects of one service, in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes import apps, core, meta

from slipway import engine, network
from slipway.environment import Environment
from slipway.image.reference import ImageReference
from slipway.rollout import completion, handover
from slipway.scope import Scope, timeouts
from slipway.service import configuration, customization, jobs, patches, pod, scaling, traffic
from slipway.service.inputs import Config
from slipway.settings.settings import Settings


class WebService(pulumi.ComponentResource):
    """One service: its configuration, pods, connections, address and autoscaling. A worker has no address."""

    TYPE = "slipway:index:WebService"
    url: str | None
    """Address outside the cluster; None for a service without ingress."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        image: ImageReference,
        environment: Environment,
        addresses: Mapping[str, core.v1.Service],
        *,
        canary: traffic.Share | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(self.TYPE, name, None, opts)
        scope = Scope(name, settings, environment.namespace, self, environment.retaining)
        patches.apply(scope, f"{self.TYPE}::{name}")

        config = configuration.declare(scope)
        account = pod.account(scope, environment.pull_secret)
        # The pods wait for the stores they need.
        ready = [account, *(addresses[need] for need in scope.service.needs if need in addresses)]
        network.allow_declared(scope)
        migrated = jobs.migration(scope, image, config, ready)
        deployment = _deployment(scope, image, config, [*ready, *([migrated] if migrated else [])])
        jobs.schedules(scope, image, config, account)
        scaling.autoscaler(scope, deployment, config)
        scaling.disruption_budget(scope)
        self.url = None
        if not scope.service.is_worker:
            address = traffic.cluster_address(scope, deployment)
            self.url = traffic.public_address(scope, address, canary)
        self.register_outputs({"url": self.url})


def _deployment(
    scope: Scope, image: ImageReference, config: Config, after: list[pulumi.Resource]
) -> apps.v1.Deployment:
    return apps.v1.Deployment(
        scope.name,
        metadata=scope.meta(scope.name, {**scope.selector_annotation, **scope.external_annotation}),
        spec=apps.v1.DeploymentSpecArgs(
            # None with an autoscaler: `pulumi up` would reset the number that it has set.
            replicas=scope.service.replicas,
            selector=meta.v1.LabelSelectorArgs(match_labels=scope.selector),
            # A pod is stopped only after its successor is ready.
            strategy=apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
            ),
            min_ready_seconds=pod.min_ready_seconds(scope.service),
            revision_history_limit=pod.REVISIONS,
            progress_deadline_seconds=scope.service.progress_deadline,
            template=customization.added(scope, pod.template(scope, image, config)),
        ),
        opts=pulumi.ResourceOptions.merge(
            scope.child(*after),
            pulumi.ResourceOptions(
                # The official plugin waits until this is over even for a rollout that Kubernetes has given up.
                # Its default is 10 minutes.
                custom_timeouts=timeouts(scope.service.rollout_seconds),
                hooks=engine.hooks(
                    before_update=handover.before_update(scope), after_update=completion.after_update(scope)
                ),
            ),
        ),
    )

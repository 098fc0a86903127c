"""WebService: the objects of one HTTP service, in reading order."""

from __future__ import annotations

from collections.abc import Mapping

import configuration
import handover
import jobs
import monitor
import network
import pod
import pulumi
import retention
import rollout
import scaling
import traffic
from backing import Store
from environment import Environment
from image import AppImage
from pulumi_kubernetes import apps, meta
from scope import Scope, at_most
from settings import Settings


class WebService(pulumi.ComponentResource):
    """One HTTP service: its configuration, pods, connections, address and autoscaling."""

    url: str | None
    """Address from outside; None for a service that has no ingress."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        image: AppImage,
        environment: Environment,
        stores: Mapping[str, Store],
        *,
        canary: traffic.Share | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:index:WebService", name, None, opts)
        scope = Scope(name, settings, environment.namespace, self, environment.retaining)

        config = configuration.declare(scope)
        account = pod.account(scope, environment.pull_secret)
        # Not earlier than what it needs answers.
        ready = [account, *(stores[need].address for need in scope.service.needs if need in stores)]
        network.declared_edges(scope)
        migrated = jobs.migration(scope, image, config, ready)
        deployment = _deployment(scope, image, config, [*ready, *([migrated] if migrated else [])])
        jobs.schedules(scope, image, config, account)
        scaling.autoscaler(scope, deployment)
        scaling.disruption_budget(scope)
        address = traffic.cluster_address(scope, deployment)
        self.url = traffic.public_address(scope, address, canary)
        self.register_outputs({"url": self.url})


def _deployment(scope: Scope, image: AppImage, config: pod.Config, after: list[pulumi.Resource]) -> apps.v1.Deployment:
    return apps.v1.Deployment(
        scope.name,
        metadata=scope.meta(scope.name, scope.selecting),
        spec=apps.v1.DeploymentSpecArgs(
            # Absent where an autoscaler owns it: `pulumi up` would undo its choice.
            replicas=scope.service.replicas,
            selector=meta.v1.LabelSelectorArgs(match_labels=scope.selector),
            # A serving pod goes only after its successor is ready.
            strategy=apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
            ),
            revision_history_limit=retention.REVISIONS,
            progress_deadline_seconds=scope.service.progress_deadline,
            template=pod.template(scope, image, config),
        ),
        opts=pulumi.ResourceOptions.merge(
            scope.child(*after),
            # The official plugin waits for a rollout that Kubernetes has given up until this is over, 10 minutes else.
            pulumi.ResourceOptions(hooks=_hooks(scope), custom_timeouts=at_most(scope.service.rollout_seconds)),
        ),
    )


def _hooks(scope: Scope) -> pulumi.ResourceHookBinding | None:
    """What is done around an update of the pods. Not in a preview, and not under mocks."""
    if monitor.is_mocked():
        return None
    return pulumi.ResourceHookBinding(
        before_update=[handover.before_update(scope)],
        after_update=[rollout.after_update(scope)],
    )

"""WebService: the objects of one HTTP service, in reading order."""

from __future__ import annotations

import configuration
import jobs
import network
import pod
import pulumi
import retention
import scaling
import traffic
from environment import Environment
from image import AppImage
from naming import selector
from pulumi_kubernetes import apps, core, meta
from scope import Scope
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
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:index:WebService", name, None, opts)
        scope = Scope(name, settings, environment.namespace, self, environment.retaining)

        config = configuration.declare(scope)
        account = _service_account(scope, environment)
        network.declared_edges(scope)
        migrated = jobs.migration(scope, image, config, account)
        deployment = _deployment(scope, image, config, [account, *([migrated] if migrated else [])])
        jobs.schedules(scope, image, config, account)
        scaling.autoscaler(scope, deployment)
        scaling.disruption_budget(scope)
        address = traffic.cluster_address(scope, deployment)
        self.url = traffic.public_address(scope, address)
        self.register_outputs({"url": self.url})


def _service_account(scope: Scope, environment: Environment) -> core.v1.ServiceAccount:
    """An identity without rights; it only brings the password of the registry."""
    pull = environment.pull_secret
    return core.v1.ServiceAccount(
        scope.name,
        metadata=scope.meta(scope.name),
        automount_service_account_token=False,
        image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=pull)] if pull is not None else None,
        opts=scope.child(),
    )


def _deployment(scope: Scope, image: AppImage, config: pod.Config, after: list[pulumi.Resource]) -> apps.v1.Deployment:
    return apps.v1.Deployment(
        scope.name,
        metadata=scope.meta(scope.name),
        spec=apps.v1.DeploymentSpecArgs(
            # Absent where an autoscaler owns it: `pulumi up` would undo its choice.
            replicas=scope.service.replicas,
            selector=meta.v1.LabelSelectorArgs(match_labels=selector(scope.name)),
            # A serving pod goes only after its successor is ready.
            strategy=apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
            ),
            revision_history_limit=retention.REVISIONS,
            # Below Pulumi's own timeout, so that the cluster's reason is what one reads.
            progress_deadline_seconds=scope.service.startup_seconds + 60,
            template=pod.template(scope, image, config),
        ),
        opts=pulumi.ResourceOptions.merge(
            scope.child(*after), pulumi.ResourceOptions(hooks=retention.after_rollout(scope))
        ),
    )

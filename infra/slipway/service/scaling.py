"""The number of pods: the autoscaler of a service, and how many pods a drain may evict at once."""

from __future__ import annotations

from pulumi_kubernetes import apps, meta, policy

from slipway.scope import Scope
from slipway.service.autoscaling import horizontal, keda
from slipway.service.inputs import Config


def autoscaler(scope: Scope, deployment: apps.v1.Deployment, config: Config) -> None:
    """Declare the autoscaler; none for a service with a fixed number of replicas."""
    if scope.service.replicas is not None:
        return
    if scope.service.is_scaled_by_keda:
        keda.declare(scope, deployment, config)
    else:
        horizontal.declare(scope, deployment)


def disruption_budget(scope: Scope) -> None:
    """Allow the eviction of one pod at a time, and of any pod that is not ready: a drain is slowed, never blocked."""
    policy.v1.PodDisruptionBudget(
        scope.name,
        metadata=scope.meta(scope.name, scope.selector_annotation),
        spec=policy.v1.PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            unhealthy_pod_eviction_policy="AlwaysAllow",
            selector=meta.v1.LabelSelectorArgs(match_labels=scope.selector),
        ),
        opts=scope.child(),
    )

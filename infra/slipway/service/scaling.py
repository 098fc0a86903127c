"""The number of pods: the autoscaler of a service, and how many pods a drain may evict at once."""

from __future__ import annotations

from pulumi_kubernetes import apps, autoscaling, meta, policy

from slipway.scope import Scope


def autoscaler(scope: Scope, deployment: apps.v1.Deployment) -> None:
    """Declare the HorizontalPodAutoscaler; none for a service with a fixed number of replicas."""
    if scope.service.replicas is not None:
        return
    bounds = scope.service.autoscaling
    autoscaling.v2.HorizontalPodAutoscaler(
        scope.name,
        metadata=scope.meta(scope.name),
        spec=autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=autoscaling.v2.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=scope.name
            ),
            min_replicas=bounds.min,
            max_replicas=bounds.max,
            # CPU only: memory does not decrease with load, so it would only ever scale up.
            metrics=[_cpu_metric(bounds.cpu_percent)],
            behavior=autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs(
                scale_up=_scaling(stabilization_seconds=0, step="Percent", value=100, period_seconds=15),
                scale_down=_scaling(stabilization_seconds=300, step="Pods", value=1, period_seconds=60),
            ),
        ),
        opts=scope.child(deployment),
    )


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


def _scaling(
    *, stabilization_seconds: int, step: str, value: int, period_seconds: int
) -> autoscaling.v2.HPAScalingRulesArgs:
    """Scale by at most `value` (Pods or Percent) per period, and only after the need has lasted."""
    return autoscaling.v2.HPAScalingRulesArgs(
        stabilization_window_seconds=stabilization_seconds,
        policies=[autoscaling.v2.HPAScalingPolicyArgs(type=step, value=value, period_seconds=period_seconds)],
    )


def _cpu_metric(percent: int) -> autoscaling.v2.MetricSpecArgs:
    return autoscaling.v2.MetricSpecArgs(
        type="Resource",
        resource=autoscaling.v2.ResourceMetricSourceArgs(
            name="cpu", target=autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=percent)
        ),
    )

"""The HorizontalPodAutoscaler of a service. Kubernetes follows the metric that asks for most pods."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi
from pulumi_kubernetes import apps, autoscaling, meta

from slipway import engine
from slipway.monitoring.scaling import FORECAST_METRIC, POD_METRIC
from slipway.rollout import handover
from slipway.scope import Scope
from slipway.service.autoscaling.behavior import DOWN, UP, Pace
from slipway.settings.sections.pods import Autoscaling

MetricSpec = autoscaling.v2.MetricSpecArgs
MetricTarget = autoscaling.v2.MetricTargetArgs


def declare(scope: Scope, deployment: apps.v1.Deployment) -> None:
    """Declare the HorizontalPodAutoscaler of a service."""
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
            metrics=list(_metrics(scope.name, bounds)),
            behavior=autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs(scale_up=_rules(UP), scale_down=_rules(DOWN)),
        ),
        opts=pulumi.ResourceOptions.merge(
            scope.child(deployment),
            pulumi.ResourceOptions(hooks=engine.hooks(before_create=handover.before_autoscaler(scope))),
        ),
    )


def _rules(pace: Pace) -> autoscaling.v2.HPAScalingRulesArgs:
    policy = autoscaling.v2.HPAScalingPolicyArgs(type=pace.step, value=pace.value, period_seconds=pace.period_seconds)
    return autoscaling.v2.HPAScalingRulesArgs(
        stabilization_window_seconds=pace.stabilization_seconds, policies=[policy]
    )


def _metrics(service: str, bounds: Autoscaling) -> Iterator[autoscaling.v2.MetricSpecArgs]:
    # No memory: it does not decrease with load, so it would only ever scale up.
    cpu = MetricTarget(type="Utilization", average_utilization=bounds.cpu_percent)
    yield MetricSpec(type="Resource", resource=autoscaling.v2.ResourceMetricSourceArgs(name="cpu", target=cpu))
    if bounds.rps is None:
        return
    each = MetricTarget(type="AverageValue", average_value=str(bounds.rps))
    requests = autoscaling.v2.MetricIdentifierArgs(name=POD_METRIC)
    yield MetricSpec(type="Pods", pods=autoscaling.v2.PodsMetricSourceArgs(metric=requests, target=each))
    if bounds.forecast:
        forecast = autoscaling.v2.MetricIdentifierArgs(
            name=FORECAST_METRIC, selector=meta.v1.LabelSelectorArgs(match_labels={"service": service})
        )
        yield MetricSpec(
            type="External", external=autoscaling.v2.ExternalMetricSourceArgs(metric=forecast, target=each)
        )

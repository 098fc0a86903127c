"""The ScaledObject of a service, from which KEDA makes a HorizontalPodAutoscaler with the name of the service.

KEDA answers for metrics that an HPA cannot read itself: Prometheus, the clock, a stream in Redis. The HPA follows the
one that asks for most pods. While one of them cannot be read, `fallback` has KEDA report as much as keeps the pods
that run; CPU can still add some.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pulumi
from pulumi_kubernetes import apps
from pulumi_kubernetes.apiextensions import CustomResource

from slipway import engine
from slipway.monitoring import scaling
from slipway.rollout import handover
from slipway.scope import Scope
from slipway.service.autoscaling.behavior import DOWN, UP, Pace
from slipway.service.inputs import Config
from slipway.settings.names import password_of
from slipway.settings.sections.pods import Autoscaling, Backlog
from slipway.settings.sections.stores import Redis

API_VERSION = "keda.sh/v1alpha1"
# KEDA then takes over a HorizontalPodAutoscaler of this name, where its webhook would refuse a second one.
TRANSFER = {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
# An HPA asks every 15 s: what lasts shorter than a minute is no outage.
FAILURES = 3


def declare(scope: Scope, deployment: apps.v1.Deployment, config: Config) -> None:
    """Declare the ScaledObject, and what KEDA needs to log in to Redis."""
    bounds = scope.service.autoscaling
    needed: list[pulumi.Resource] = [deployment]
    if bounds.backlog:
        needed.append(_authentication(scope, config))
    CustomResource(
        scope.name,
        api_version=API_VERSION,
        kind="ScaledObject",
        metadata=scope.meta(scope.name, TRANSFER),
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": scope.name},
            "minReplicaCount": bounds.min,
            "maxReplicaCount": bounds.max,
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "name": scope.name,
                    "behavior": {"scaleUp": _rules(UP), "scaleDown": _rules(DOWN)},
                }
            },
            "fallback": {
                "failureThreshold": FAILURES,
                "replicas": bounds.min,
                "behavior": "currentReplicasIfHigher",
            },
            "triggers": list(_triggers(scope, bounds)),
        },
        opts=pulumi.ResourceOptions.merge(
            scope.child(*needed),
            pulumi.ResourceOptions(hooks=engine.hooks(before_create=handover.before_scaled_object(scope))),
        ),
    )


def _rules(pace: Pace) -> dict[str, Any]:
    policy = {"type": pace.step, "value": pace.value, "periodSeconds": pace.period_seconds}
    return {"stabilizationWindowSeconds": pace.stabilization_seconds, "policies": [policy]}


def _triggers(scope: Scope, bounds: Autoscaling) -> Iterator[dict[str, Any]]:
    yield {"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(bounds.cpu_percent)}}
    if bounds.rps is not None:
        yield _prometheus("requests", scope, bounds, scaling.requests_query(scope.settings, scope.name))
    if bounds.forecast:
        yield _prometheus("forecast", scope, bounds, scaling.forecast_query(scope.settings, scope.name))
    for scheduled in bounds.schedule:
        times = {"start": scheduled.cron, "end": scheduled.until, "timezone": scheduled.time_zone}
        yield {"type": "cron", "metadata": {**times, "desiredReplicas": str(scheduled.min)}}
    if bounds.backlog:
        yield {
            "type": "redis-streams",
            "metadata": _stream(scope, bounds.backlog),
            "authenticationRef": {"name": scope.name},
        }


def _prometheus(name: str, scope: Scope, bounds: Autoscaling, query: str) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "name": name,
        "metadata": {
            "serverAddress": scaling.server_address(scope.settings, scope.name),
            "query": query,
            "threshold": str(bounds.rps),
            # By default KEDA takes an empty answer for zero requests, and scales down.
            "ignoreNullValues": "false",
        },
    }


def _redis(scope: Scope) -> Redis:
    redis = scope.settings.redis
    assert redis  # noqa: S101 - a service with a backlog needs it, by a rule of the settings
    return redis


def _stream(scope: Scope, backlog: Backlog) -> dict[str, str]:
    redis = _redis(scope)
    host = redis.host or f"redis.{scope.settings.namespace}.svc"
    encrypted = redis.source == "managed" and redis.tls != "disabled"
    return {
        "address": f"{host}:{redis.port}",
        **({"username": redis.user} if redis.user else {}),
        **({"enableTLS": "true", "unsafeSsl": str(redis.tls == "unverified").lower()} if encrypted else {}),
        "stream": backlog.stream,
        "consumerGroup": backlog.group,
        # Entries that nobody has read. Entries at hand do not count: their pods are there already.
        "lagCount": str(backlog.per_pod),
    }


def _authentication(scope: Scope, config: Config) -> CustomResource:
    """Declare where KEDA finds the password of Redis, and the authorities of a managed one."""
    key = password_of("redis")
    spec: dict[str, Any] = {"secretTargetRef": [{"parameter": "password", "name": config.secret, "key": key}]}
    if _redis(scope).ca:
        spec["configMapTargetRef"] = [{"parameter": "ca", "name": config.authorities, "key": "redis.pem"}]
    return CustomResource(
        scope.name,
        api_version=API_VERSION,
        kind="TriggerAuthentication",
        metadata=scope.meta(scope.name),
        spec=spec,
        opts=scope.child(),
    )

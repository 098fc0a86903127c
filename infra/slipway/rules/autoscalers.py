"""Autoscalers as rules see them: a HorizontalPodAutoscaler, or the ScaledObject from which KEDA makes one."""

from __future__ import annotations

from typing import NamedTuple

from slipway.rules.parts import Part


class Fields(NamedTuple):
    """Where an autoscaler of a kind says how many pods, how fast, and by what."""

    minimum: str
    maximum: str
    behavior: str
    metrics: str
    default_minimum: int = 1
    default_maximum: int = 1


KEDA = "ScaledObject"
AUTOSCALERS = {
    "HorizontalPodAutoscaler": Fields("spec.minReplicas", "spec.maxReplicas", "spec.behavior", "spec.metrics"),
    KEDA: Fields(
        "spec.minReplicaCount",
        "spec.maxReplicaCount",
        "spec.advanced.horizontalPodAutoscalerConfig.behavior",
        "spec.triggers",
        default_minimum=0,
        default_maximum=100,
    ),
}


def fields(scaler: Part) -> Fields:
    """Return where an autoscaler has its fields."""
    return AUTOSCALERS[scaler.kind]


def target_of(scaler: Part) -> tuple[str, str]:
    """Return kind and name of the workload that an autoscaler scales; KEDA takes it for a Deployment by default."""
    target = scaler.part("spec.scaleTargetRef")
    return target.text("kind") or ("Deployment" if scaler.kind == KEDA else ""), target.text("name")


def min_replicas(scaler: Part) -> int:
    """Return the minimum number of pods."""
    return scaler.count(fields(scaler).minimum, fields(scaler).default_minimum)


def max_replicas(scaler: Part) -> int:
    """Return the maximum number of pods."""
    return scaler.count(fields(scaler).maximum, fields(scaler).default_maximum)

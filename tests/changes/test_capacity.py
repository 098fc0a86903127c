"""An autoscaler that takes the place of another lowers nothing, unless it has lower bounds."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import compare

TARGET = {"kind": "Deployment", "name": "api"}
HPA = {"kind": "HorizontalPodAutoscaler", "spec": {"scaleTargetRef": TARGET, "minReplicas": 2, "maxReplicas": 10}}


def keda(low: int, high: int, **spec: Any) -> dict[str, Any]:
    bounds = {"minReplicaCount": low, "maxReplicaCount": high}
    return {
        "kind": "ScaledObject",
        "apiVersion": "keda.sh/v1alpha1",
        "spec": {"scaleTargetRef": TARGET, **bounds, **spec},
    }


def flags(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, str]:
    models = ({f"{obj['kind']}/api": {**obj, "metadata": {"name": "api"}} for obj in side} for side in (before, after))
    return {verdict.change.name: verdict.primary.flag for verdict in classify_all(compare(*models))}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([HPA], [keda(2, 10)], {"HorizontalPodAutoscaler/api": "removes", "ScaledObject/api": "adds"}),
        ([keda(2, 10)], [HPA], {"HorizontalPodAutoscaler/api": "adds", "ScaledObject/api": "removes"}),
        ([HPA], [keda(1, 10)], {"HorizontalPodAutoscaler/api": "scales-down", "ScaledObject/api": "adds"}),
        ([keda(2, 10)], [], {"ScaledObject/api": "scales-down"}),
        ([keda(2, 10)], [keda(2, 8)], {"ScaledObject/api": "scales-down"}),
        ([keda(2, 10)], [keda(3, 10)], {"ScaledObject/api": "config-only"}),
    ],
    ids=["to KEDA", "back", "to a lower minimum", "deleted", "lower maximum", "higher minimum"],
)
def test_the_change_of_an_autoscaler_has_the_class_of_its_bounds(
    before: list[dict[str, Any]], after: list[dict[str, Any]], expected: dict[str, str]
):
    assert flags(before, after) == expected


@pytest.mark.parametrize(("key", "lower"), [("threshold", 50), ("lagCount", 100), ("value", 80)])
def test_busier_pods_are_fewer_pods(key: str, lower: int):
    before, after = (keda(2, 10, triggers=[{"type": "x", "metadata": {key: str(n)}}]) for n in (lower, lower + 10))
    assert flags([before], [after]) == {"ScaledObject/api": "scales-down"}
    assert flags([after], [before]) == {"ScaledObject/api": "config-only"}

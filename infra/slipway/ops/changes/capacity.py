"""What is lowered: the number of pods, or what they may use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from slipway.objects import mapping, quantity
from slipway.ops.changes.comparison import ABSENT, Change, Field, Model
from slipway.rules.autoscalers import AUTOSCALERS, max_replicas, min_replicas, target_of
from slipway.rules.parts import Part

# By path: the default where the number is not set, and -1 where a higher number means fewer pods.
_NUMBERS: dict[str, dict[str, tuple[int | None, int]]] = {
    "HorizontalPodAutoscaler": {
        r"^spec\.minReplicas$": (1, 1),
        r"^spec\.maxReplicas$": (None, 1),
        r"\.averageUtilization$": (None, -1),
    },
    "ScaledObject": {
        r"^spec\.minReplicaCount$": (0, 1),
        r"^spec\.maxReplicaCount$": (100, 1),
        r"^spec\.triggers\[.*\.metadata\.(value|threshold|lagCount)$": (None, -1),
        r"^spec\.triggers\[.*\.metadata\.desiredReplicas$": (None, 1),
    },
    "Deployment": {r"^spec\.replicas$": (None, 1)},
    "StatefulSet": {r"^spec\.replicas$": (1, 1)},
    "ResourceQuota": {r"^spec\.hard\.": (None, 1)},
    "PodDisruptionBudget": {r"^spec\.minAvailable$": (0, 1), r"^spec\.maxUnavailable$": (None, -1)},
}
_DELETED = {
    "PodDisruptionBudget": "is deleted: a drain may take all pods at once",
}


def lowered(change: Change, after: Model) -> list[str]:
    """Return what is lowered, a sentence each; `after` has all objects, such as the autoscaler of a Deployment."""
    if change.after is None and change.kind in AUTOSCALERS:
        return list(_taken_over(Part(change.before or {}, "", change.before), after))
    if change.after is None:
        return [_DELETED[change.kind]] if change.kind in _DELETED else []
    texts = [
        field.text
        for field in change.edited
        for path, (default, sign) in _NUMBERS.get(change.kind, {}).items()
        if re.search(path, field.path) and is_less(field, default, sign)
    ]
    return [*texts, *_unset_replicas(change, after)]


def _taken_over(scaler: Part, after: Model) -> Iterator[str]:
    """Yield what is lowered where an autoscaler is deleted: all of it, unless one of another kind takes its place."""
    others = [other for other in _autoscalers(after) if target_of(other) == target_of(scaler)]
    if not others:
        yield "is deleted: load does not add pods any more"
    for other in others:
        for name, number in (("minimum", min_replicas), ("maximum", max_replicas)):
            if number(other) < number(scaler):
                change = f"{number(scaler)} -> {number(other)}"
                yield f"{other.kind}/{other.name}, which takes its place, has a lower {name}: {change}"


def _autoscalers(after: Model) -> list[Part]:
    return [Part(obj, "", obj) for obj in after.values() if obj and obj.get("kind") in AUTOSCALERS]


def _unset_replicas(change: Change, after: Model) -> Iterator[str]:
    """Yield a number of replicas that is no longer set, if the autoscaler's minimum, or else 1, is lower."""
    for field in change.edited:
        if change.kind == "Deployment" and field.path == "spec.replicas" and field.after is ABSENT:
            name = mapping(change.after, "metadata").get("name")
            minimums = [min_replicas(scaler) for scaler in _autoscalers(after) if target_of(scaler)[1] == name]
            lowest = Field(field.path, field.before, min(minimums, default=1))
            if is_less(lowest, None, 1):
                yield f"{lowest.text}, the minimum of its autoscaler" if minimums else lowest.text


def is_less(field: Field, default: int | None = None, sign: int = 1) -> bool:
    """Return whether a number or quantity is lowered; raised, with sign -1."""
    before, after = (
        quantity(str(default if value is ABSENT else value).removesuffix("%")) for value in (field.before, field.after)
    )
    return before is not None and after is not None and sign * after < sign * before

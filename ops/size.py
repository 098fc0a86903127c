"""What is fewer than before: pods, or what they may have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ops.changes import ABSENT, Change, Field, Model, at

# Path of a number; what counts where it is not said; -1 where a higher one means fewer pods.
_SIZE: dict[str, dict[str, tuple[int | None, int]]] = {
    "HorizontalPodAutoscaler": {
        r"^spec\.minReplicas$": (1, 1),
        r"^spec\.maxReplicas$": (None, 1),
        r"\.averageUtilization$": (None, -1),
    },
    "Deployment": {r"^spec\.replicas$": (None, 1)},
    "StatefulSet": {r"^spec\.replicas$": (1, 1)},
    "ResourceQuota": {r"^spec\.hard\.": (None, 1)},
    "PodDisruptionBudget": {r"^spec\.minAvailable$": (0, 1), r"^spec\.maxUnavailable$": (None, -1)},
}
_GOES = {
    "HorizontalPodAutoscaler": "is deleted: load does not add pods any more",
    "PodDisruptionBudget": "is deleted: a drain may take all pods at once",
}
_SUFFIXES = {
    **{"": 1.0, "%": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    **{f"{letter}i": 2.0 ** (10 * power) for power, letter in enumerate("KMGT", start=1)},
}


def lowered(change: Change, after: Model) -> list[str]:
    """What is lowered, a sentence each; `after` is everything there will be."""
    if change.after is None:
        return [_GOES[change.kind]] if change.kind in _GOES else []
    found = [
        field.text
        for field in change.edited
        for path, (default, sign) in _SIZE.get(change.kind, {}).items()
        if re.search(path, field.path) and is_less(field, default, sign)
    ]
    return [*found, *_given_up(change, after)]


def _given_up(change: Change, after: Model) -> Iterator[str]:
    """A number of pods that is no longer said: it is the autoscaler's least, or 1 where there is none."""
    for field in change.edited:
        if change.kind == "Deployment" and field.path == "spec.replicas" and field.after is ABSENT:
            name = at(change.after, "metadata").get("name")
            scalers = [at(found, "spec") for key, found in after.items() if key.startswith("HorizontalPodAutoscaler/")]
            owned = [spec.get("minReplicas", 1) for spec in scalers if at(spec, "scaleTargetRef").get("name") == name]
            least = Field(field.path, field.before, min(owned, default=1))
            if is_less(least, None, 1):
                yield f"{least.text}, where an autoscaler begins" if owned else least.text


def is_less(field: Field, default: int | None = None, sign: int = 1) -> bool:
    """Return whether a number or quantity is lowered; raised, with sign -1."""
    before, after = (_number(default if value is ABSENT else value) for value in (field.before, field.after))
    return before is not None and after is not None and sign * after < sign * before


def _number(value: Any) -> float | None:
    """Replicas, a share or a quantity."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(\D*)", str(value))
    return float(match[1]) * _SUFFIXES[match[2]] if match and match[2] in _SUFFIXES else None

"""Reads Kubernetes objects: plain camelCase mappings, as the API server, `kubectl` and the engine hand them over.

Everything that asks the same of an object, be it declared or in the cluster, asks it here.
"""

from __future__ import annotations

import json
import re
from decimal import ROUND_UP, Decimal
from functools import cache
from typing import Any, TypeAlias

from slipway.naming import ASLEEP

Object: TypeAlias = dict[str, Any]

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's placeholder for a value that is computed during the update, such as the digest of an image."""
SECRET = "***"
"""Stands for the content of a secret."""

_QUANTITY = re.compile(r"((?:[+-]?\d+[.]?\d*|[.]\d+)(?:e[+-]?\d+)?)(|[KMGTPEZY]i|[mkMGTPEZY])")
_UNITS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPEZY", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPEZY", 1)},
}


def dig(value: Any, path: str, *keys: str) -> Any:
    """Return the value at a dotted path, then at keys that may hold dots themselves; None where there is none.

    `dig(pod, "metadata.labels", "app.kubernetes.io/name")`. Everything inside an unknown value is unknown.
    """
    for key in (*_keys(path), *keys):
        if value == UNKNOWN:
            return UNKNOWN
        value = value.get(key) if isinstance(value, dict) else None
    return value


@cache
def _keys(path: str) -> tuple[str, ...]:
    return tuple(path.split(".")) if path else ()


def mapping(value: Any, path: str = "") -> Object:
    """Return the mapping at a dotted path; an empty one where there is none."""
    inner = dig(value, path)
    return inner if isinstance(inner, dict) else {}


def items(value: Any, path: str = "") -> list[Any]:
    """Return the list at a dotted path; an empty one where there is none."""
    inner = dig(value, path)
    return inner if isinstance(inner, list) else []


def name_of(obj: Object) -> str:
    """Return the name of an object; empty where it has none."""
    return dig(obj, "metadata.name") or ""


def condition(obj: Object, kind: str) -> Object:
    """Return the status condition of a type; empty where there is none."""
    return next((entry for entry in items(obj, "status.conditions") if entry["type"] == kind), {})


def quantity(text: Any) -> float | None:
    """Return `"64Mi"` as 67108864 and `"250m"` as 0.25; None for what is no quantity.

    As Kubernetes does, it rounds up to thousandths. lightkube's parser does the same, and loads the whole client.
    """
    return _quantity(str(text))


@cache
def _quantity(text: str) -> float | None:
    match = _QUANTITY.fullmatch(text)
    if not match:
        return None
    try:
        return float((Decimal(match[1]) * _UNITS[match[2]]).quantize(Decimal("0.001"), rounding=ROUND_UP))
    except ArithmeticError:  # far beyond any real one
        return None


def is_rolled_out(deployment: Object, min_replicas: int) -> bool:
    """Return whether a Deployment runs its current pod template only, and the service has the pods it needs.

    It is what `kubectl rollout status` waits for, with one exception: pods that an autoscaler asks for during or after
    the rollout are no part of it. Kubernetes says NewReplicaSetAvailable when all pods of the new template serve.
    """
    status = mapping(deployment, "status")
    needed = min(min_replicas, mapping(deployment, "spec").get("replicas", 1))
    return (
        _is_observed(deployment)
        and condition(deployment, "Progressing").get("reason") == "NewReplicaSetAvailable"
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and status.get("availableReplicas", 0) >= needed
    )


def has_rollout_failed(deployment: Object) -> bool:
    """Return whether Kubernetes has given up the rollout, as a rule because its deadline is over."""
    return _is_observed(deployment) and condition(deployment, "Progressing").get("status") == "False"


def asleep_since(obj: Object) -> str | None:
    """Return when `./slipway env sleep` has stopped an object; None for one that is awake.

    An object whose mark somebody has damaged is asleep since an unknown time.
    """
    mark = dig(obj, "metadata.annotations", ASLEEP)
    if not mark:
        return None
    try:
        return str(json.loads(mark)["since"])
    except (ValueError, TypeError, KeyError):
        return "an unknown time"


def _is_observed(deployment: Object) -> bool:
    """Return whether the status is about the current spec, not about the one before."""
    return mapping(deployment, "status").get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)

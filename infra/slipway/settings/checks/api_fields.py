"""Compares a patch with the fields of the Kubernetes API, as lightkube's models have them."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
from lightkube.models import apps_v1, autoscaling_v2, batch_v1, core_v1, networking_v1, policy_v1

from slipway.settings.checks.patches import NAMED
from slipway.settings.errors import InvalidSetting, Key
from slipway.suggestions import nearest

# A kind without a model, such as HTTPRoute, is left to the API server.
MODELS: dict[str, type] = {
    "Deployment": apps_v1.Deployment,
    "Job": batch_v1.Job,
    "CronJob": batch_v1.CronJob,
    "ServiceAccount": core_v1.ServiceAccount,
    "Service": core_v1.Service,
    "Ingress": networking_v1.Ingress,
    "HorizontalPodAutoscaler": autoscaling_v2.HorizontalPodAutoscaler,
    "PodDisruptionBudget": policy_v1.PodDisruptionBudget,
    "NetworkPolicy": networking_v1.NetworkPolicy,
}
DELETE = {"$patch": "delete"}
"""In an item of a list of named items: take out the item of this name."""
_TYPES: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def check(at: Key, kind: str, patch: dict[str, Any]) -> Iterator[InvalidSetting]:
    """Report fields that the API does not have, and values of another type than theirs."""
    if kind in MODELS:
        yield from _check(at, MODELS[kind], patch)


def _check(at: Key, expected: Any, value: Any) -> Iterator[InvalidSetting]:
    options = [option for option in _options(expected) if option is not types.NoneType]
    [first, *others] = options
    if value is None or first is Any:
        return
    if isinstance(first, type) and issubclass(first, msgspec.Struct):
        yield from _check_object(at, first, value)
    elif typing.get_origin(first) is list:
        if not isinstance(value, list):
            yield InvalidSetting(at, "should be a list")
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _check((*at, index), typing.get_args(first)[0], item)
    elif first is dict or typing.get_origin(first) is dict:
        if not isinstance(value, dict):
            yield InvalidSetting(at, "should be a mapping")
    elif first in _TYPES and type(value) not in (first, *others) and not (first is float and isinstance(value, int)):
        wanted = " or ".join(_TYPES[option] for option in options if option in _TYPES)
        hint = ": put it in quotes" if first is str and isinstance(value, int | float) else ""
        yield InvalidSetting(at, f"should be {wanted}{hint}")


def _check_object(at: Key, model: type[msgspec.Struct], value: Any) -> Iterator[InvalidSetting]:
    if not isinstance(value, dict):
        yield InvalidSetting(at, "should be a mapping")
        return
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(model)}
    for key, inner in value.items():
        if key in fields:
            yield from _check((*at, key), fields[key], inner)
        elif {key: inner} != DELETE or not _is_named_item(at):
            near = nearest(str(key), fields)
            hint = f'did you mean "{near}"?' if near else f"known here: {', '.join(sorted(fields))}"
            yield InvalidSetting((*at, key), f"changes nothing: the API has no such field; {hint}")


def _is_named_item(at: Key) -> bool:
    """Return whether a key leads to an item of a list of named items, the only place of `$patch: delete`."""
    return isinstance(at[-1], int) and at[-2] in NAMED


def _options(expected: Any) -> tuple[Any, ...]:
    """Return the types that a field may have."""
    is_union = typing.get_origin(expected) in (typing.Union, types.UnionType)
    return typing.get_args(expected) if is_union else (expected,)

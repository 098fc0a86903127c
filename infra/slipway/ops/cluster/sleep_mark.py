"""The annotation of what `./slipway env sleep` has stopped. It holds the change that makes the object as it was before.

So it takes no other record to wake an environment, and each object can be stopped and started by itself.
"""

from __future__ import annotations

import json

from slipway.naming import ASLEEP
from slipway.objects import Object, asleep_since, dig, name_of
from slipway.ops.errors import UserError


class SleepMarkError(UserError):
    """The annotation of an object that sleeps does not say how to wake it."""


def sleep_change(stop: Object, wake: Object, since: str) -> Object:
    """Return the merge patch that stops an object and marks it; `wake` is the merge patch that takes `stop` back."""
    mark = json.dumps({"since": since, "wake": wake}, separators=(",", ":"))
    return merged(stop, {"metadata": {"annotations": {ASLEEP: mark}}}, removes=False)


def wake_change(obj: Object) -> Object:
    """Return the merge patch that wakes an object that is asleep, and takes the mark away. Raises SleepMarkError."""
    mark = dig(obj, "metadata.annotations", ASLEEP)
    try:
        wake = json.loads(mark)["wake"]
    except (ValueError, TypeError, KeyError):
        wake = None
    if not isinstance(wake, dict):
        raise SleepMarkError(
            f"{name_of(obj)}: its annotation {ASLEEP} is {mark!r}, which `./slipway env sleep` has not written, so "
            "nobody knows what it was before"
        )
    return merged(wake, {"metadata": {"annotations": {ASLEEP: None}}}, removes=False)  # pyright: ignore[reportUnknownArgumentType]


def as_awake(obj: Object) -> Object:
    """Return an object as it will be when it is awake; one that is awake, or of which that is not known, as it is."""
    try:
        return merged(obj, wake_change(obj)) if asleep_since(obj) else obj
    except SleepMarkError:
        return obj


def merged(target: Object, change: Object, *, removes: bool = True) -> Object:
    """Return an object with a JSON merge patch (RFC 7396) applied. Without `removes`, two patches become one."""
    result = dict(target)
    for key, value in change.items():
        if isinstance(value, dict):
            inner = result.get(key)
            result[key] = merged(inner if isinstance(inner, dict) else {}, value, removes=removes)  # pyright: ignore[reportUnknownArgumentType]
        elif value is None and removes:
            result.pop(key, None)
        else:
            result[key] = value
    return result

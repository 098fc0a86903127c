"""Hands over the number of pods from the stack to the autoscaler, or back, without changing the number.

With server-side apply a field is reset when its only owner drops it: a Deployment with 5 pods would have 1 until the
autoscaler acts. And an update conflicts if it sets a field that the autoscaler owns. So the ownership of the field is
removed before such an update.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import pulumi
from lightkube import ApiError, Client
from lightkube.resources.apps_v1 import Deployment
from lightkube.types import PatchType

from slipway.cluster.api_retry import give_up_at, retried
from slipway.cluster.connection import client
from slipway.engine import Hook
from slipway.scope import Scope

Entry: TypeAlias = dict[str, Any]
"""An entry of an object's managedFields: a manager, and the fields it owns."""

TRIES = 5
# The API server's answers when the object has changed since it was read.
CHANGED = (409, 422)


def before_update(scope: Scope) -> Hook:
    """Return the hook that runs before each update of a service's Deployment."""
    name, settings = scope.name, scope.settings

    def hand_over(update: pulumi.ResourceHookArgs) -> None:
        if sets_replicas(update.old_inputs) != sets_replicas(update.new_inputs):
            _disown(client(settings), name)

    return f"{name}-hand-over", hand_over


def _disown(api: Client, name: str) -> None:
    until = give_up_at()
    for tries_left in reversed(range(TRIES)):
        metadata = retried(lambda: api.get(Deployment, name), until).to_dict()["metadata"]
        # The test fails if somebody changed the Deployment in between, since they may own fields not seen here.
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": disowned(metadata["managedFields"])},
        ]
        try:
            retried(lambda: api.patch(Deployment, name, patch, patch_type=PatchType.JSON), until)  # noqa: B023
        except ApiError as error:
            if error.status.code not in CHANGED or not tries_left:
                raise
        else:
            return


def sets_replicas(inputs: Mapping[str, Any] | None) -> bool:
    """Return whether the stack sets the number of pods."""
    return ((inputs or {}).get("spec") or {}).get("replicas") is not None


def disowned(entries: list[Entry]) -> list[Entry]:
    """Return the managedFields without any ownership of the number of pods."""
    remaining = ({**entry, "fieldsV1": _without(entry["fieldsV1"], "f:spec", "f:replicas")} for entry in entries)
    return [entry for entry in remaining if entry["fieldsV1"]]


def _without(fields: Entry, key: str, *below: str) -> Entry:
    """Return fields without the one at this path. Parents left empty go too, since an empty set means everything."""
    if key not in fields:
        return fields
    rest = _without(fields[key], *below) if below else {}
    return {**{name: field for name, field in fields.items() if name != key}, **({key: rest} if rest else {})}

"""When the number of pods changes hands, from the stack to the autoscaler or back, the number itself does not change.

A field that server-side apply owns is reset when its only owner drops it: a Deployment that ran 5 pods would be at 1
until the autoscaler has looked. And a field that the autoscaler has set is not the stack's to set. So before such an
update nobody owns it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeAlias

import pulumi
from api_retry import retried
from connection import client
from lightkube import ApiError, Client
from lightkube.resources.apps_v1 import Deployment
from lightkube.types import PatchType
from scope import Scope

Entry: TypeAlias = dict[str, Any]
"""One of an object's managedFields: a manager, and the fields it owns."""

TRIES = 5
RETRY_SECONDS = 30.0
# What the API server answers when the `test` of a patch, or its own of the version, fails.
CHANGED = (409, 422)


def before_update(scope: Scope) -> pulumi.ResourceHook:
    """What is done before each update of the Deployment."""
    name, settings = scope.name, scope.settings

    def hand_over(update: pulumi.ResourceHookArgs) -> None:
        if sets_replicas(update.old_inputs) != sets_replicas(update.new_inputs):
            _disown(client(settings), name)

    return pulumi.ResourceHook(f"{name}-hand-over", hand_over)


def _disown(api: Client, name: str) -> None:
    until = time.monotonic() + RETRY_SECONDS
    for tries_left in reversed(range(TRIES)):
        metadata = retried(lambda: api.get(Deployment, name), until).to_dict()["metadata"]
        # Whoever changes it meanwhile owns fields that we have not seen.
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
    """Whether the stack decides the number of pods."""
    return ((inputs or {}).get("spec") or {}).get("replicas") is not None


def disowned(entries: list[Entry]) -> list[Entry]:
    """Who owns what, but for the number of pods, which is nobody's."""
    remaining = ({**entry, "fieldsV1": _without(entry["fieldsV1"], "f:spec", "f:replicas")} for entry in entries)
    return [entry for entry in remaining if entry["fieldsV1"]]


def _without(fields: Entry, key: str, *below: str) -> Entry:
    """Without the field at this path, and without what holds nothing else: an empty set would be the whole object."""
    if key not in fields:
        return fields
    rest = _without(fields[key], *below) if below else {}
    return {**{name: field for name, field in fields.items() if name != key}, **({key: rest} if rest else {})}

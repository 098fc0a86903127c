"""Hands over the number of pods from the stack to the autoscaler, from one autoscaler to another, or back.

The number of pods stays what it is.

With server-side apply a field is reset when its only owner drops it: a Deployment with 5 pods would have 1 until the
autoscaler acts. And an update conflicts if it sets a field that the autoscaler owns. So the ownership of the field is
removed before such an update.

An autoscaler made by KEDA has the name of the one that takes its place, and KEDA would go on writing it. So KEDA gives
it up first. Until the other one exists nothing scales, and the pods stay. The other way round KEDA takes over the one
that is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import pulumi

from slipway.cluster.api_retry import FORBIDDEN, NOT_FOUND, code_of, give_up_at, refused, retried
from slipway.cluster.connection import client
from slipway.cluster.kinds import resource
from slipway.engine import Hook
from slipway.naming import INSTANCE, instance
from slipway.scope import Scope

if TYPE_CHECKING:
    from lightkube import Client

Entry: TypeAlias = dict[str, Any]
"""An entry of an object's managedFields: a manager, and the fields it owns."""

TRIES = 5
# The API server's answers when the object has changed since it was read.
CHANGED = (409, 422)
# KEDA is not installed, or this user may not read its objects: then it owns no autoscaler of this stack.
ABSENT = (FORBIDDEN, NOT_FOUND)
SCALED_OBJECT = ("keda.sh/v1alpha1", "ScaledObject")
AUTOSCALER = ("autoscaling/v2", "HorizontalPodAutoscaler")
# KEDA takes its finalizer off a ScaledObject that is deleted.
RELEASE_SECONDS, POLL_SECONDS = 120.0, 1.0


def before_update(scope: Scope) -> Hook:
    """Return the hook that runs before each update of a service's Deployment."""
    name, settings = scope.name, scope.settings

    def hand_over(update: pulumi.ResourceHookArgs) -> None:
        if sets_replicas(update.old_inputs) != sets_replicas(update.new_inputs):
            _disown(client(settings), name)

    return f"{name}-hand-over", hand_over


def before_autoscaler(scope: Scope) -> Hook:
    """Return the hook that runs before the HorizontalPodAutoscaler of a service is created."""
    name, settings = scope.name, scope.settings
    return f"{name}-take-back", lambda _: _take_back(client(settings), name)


def before_scaled_object(scope: Scope) -> Hook:
    """Return the hook that runs before the ScaledObject of a service is created.

    One that is being deleted would accept changes, and then be gone.
    """
    name, settings = scope.name, scope.settings
    return f"{name}-let-go", lambda _: _await_deletion(client(settings), name)


def _take_back(api: Client, name: str) -> None:
    """Delete the ScaledObject of a service, and then the autoscaler that KEDA made from it."""
    scaled = _find(api, SCALED_OBJECT, name)
    if scaled and (scaled["metadata"].get("labels") or {}).get(INSTANCE) != instance(pulumi.get_stack()):
        return
    if scaled:
        _delete(api, SCALED_OBJECT, name)
        _await_deletion(api, name)
    autoscaler = _find(api, AUTOSCALER, name)
    # Without a ScaledObject that of somebody else may be meant, whom the update then refuses to overwrite.
    if autoscaler and (scaled or is_of_keda(autoscaler)):
        _delete(api, AUTOSCALER, name)


def is_of_keda(autoscaler: Mapping[str, Any]) -> bool:
    """Return whether an autoscaler belongs to a ScaledObject, and is deleted with it."""
    return any(owner["kind"] == SCALED_OBJECT[1] for owner in autoscaler["metadata"].get("ownerReferences") or [])


def is_being_deleted(scaled: Mapping[str, Any]) -> bool:
    """Return whether an object only waits for KEDA to take its finalizer off."""
    return bool(scaled["metadata"].get("deletionTimestamp"))


def _await_deletion(api: Client, name: str) -> None:
    """Wait while the ScaledObject of a service is being deleted."""
    end = time.monotonic() + RELEASE_SECONDS
    while (scaled := _find(api, SCALED_OBJECT, name)) and is_being_deleted(scaled):
        if time.monotonic() > end:
            raise pulumi.RunError(
                f"KEDA has not given up ScaledObject/{name} within {RELEASE_SECONDS:.0f} s. The pods of {name} run on. "
                "Start KEDA's operator, which has to take its finalizer off the ScaledObject, and repeat the update"
            )
        time.sleep(POLL_SECONDS)


def _find(api: Client, kind: tuple[str, str], name: str) -> Any | None:
    """Return an object; None if there is none, or it may not be read."""
    try:
        return retried(lambda: api.get(resource(*kind), name), give_up_at())
    except refused() as error:
        if code_of(error) not in ABSENT:
            raise
        return None


def _delete(api: Client, kind: tuple[str, str], name: str) -> None:
    """Delete an object, which may be gone already."""
    try:
        retried(lambda: api.delete(resource(*kind), name), give_up_at())
    except refused() as error:
        if code_of(error) != NOT_FOUND:
            raise


def _disown(api: Client, name: str) -> None:
    from lightkube import ApiError  # noqa: PLC0415 - a preview does not need the client
    from lightkube.resources.apps_v1 import Deployment  # noqa: PLC0415
    from lightkube.types import PatchType  # noqa: PLC0415

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

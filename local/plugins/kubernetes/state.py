"""Convert live objects into recorded state, imported inputs and preview results."""

import copy
from typing import cast

from pulumi.provider.experimental.property_value import PropertyValue

from local.plugins.kubernetes.kinds import Kind
from local.plugins.kubernetes.secrets import mark
from local.plugins.provider import Properties
from slipway.objects import UNKNOWN, Object, dig, mapping

# Written by kubectl: a plain-text copy of the whole object, even of a Secret.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# Written by the API server: never part of the inputs, and different in every dry run.
_SERVER_METADATA = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


def recorded_state(kind: Kind, live: Object, inputs: Properties, manager: str) -> Properties:
    """Return the state to record: the live object and, as in the official plugin, the inputs it was created from."""
    obj = copy.deepcopy(live)
    obj["metadata"].pop("managedFields", None)
    _drop_annotations(obj, _LAST_APPLIED)
    state = mark(kind, obj, inputs)
    state["__inputs"] = PropertyValue(inputs)
    state["__fieldManager"] = PropertyValue(manager)
    state["__initialApiVersion"] = PropertyValue(kind.api_version)
    return state


def imported_inputs(live: Object) -> Object:
    """Return the inputs that a program would declare to get this live object."""
    obj = _without_server_metadata(live)
    obj.pop("status", None)
    _drop_annotations(obj, _LAST_APPLIED, "deployment.kubernetes.io/revision")
    return obj


def new_in_preview(desired: Object, dry_run: Object) -> Object:
    """Return the dry run of a creation, with what only the real run will know (ids, addresses, status) as unknown."""
    obj = _without_server_metadata(dry_run)
    obj["metadata"]["uid"] = UNKNOWN
    if "status" in obj:
        obj["status"] = UNKNOWN
    if obj.get("kind") == "Service":
        for key in ("clusterIP", "clusterIPs"):
            if key in obj["spec"] and dig(desired, "spec", key) is None:
                obj["spec"][key] = UNKNOWN
        ports = cast("list[Object]", obj["spec"].get("ports") or [])
        obj["spec"]["ports"] = [{key: port[key] for key in port if key != "nodePort"} for port in ports]
    return obj


def changed_in_preview(dry_run: Object) -> Object:
    """Return the dry run of an update; the object keeps its uid."""
    obj = _without_server_metadata(dry_run)
    obj["metadata"]["uid"] = dig(dry_run, "metadata.uid")
    return obj


def _without_server_metadata(live: Object) -> Object:
    obj = copy.deepcopy(live)
    for key in _SERVER_METADATA:
        obj["metadata"].pop(key, None)
    return obj


def _drop_annotations(obj: Object, *keys: str) -> None:
    annotations = mapping(obj, "metadata.annotations")
    for key in keys:
        annotations.pop(key, None)
    if not annotations:
        obj["metadata"].pop("annotations", None)

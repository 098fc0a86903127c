"""The forms an object takes on its way between program, API server and recorded state."""

import copy
from typing import Any, cast

from pulumi.provider.experimental.property_value import PropertyValue

from local.plugins.kubernetes_kinds import Kind
from local.plugins.kubernetes_object import Object, at
from local.plugins.kubernetes_secrets import mark, to_base64
from local.plugins.provider import UNKNOWN, Properties

# Written by kubectl: a plain copy of the whole object, also of a Secret.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# Written by the API server; never inputs, and different in every dry run.
_SERVER_METADATA = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


def recorded_state(kind: Kind, live: Object, inputs: Properties, manager: str) -> Properties:
    """What Pulumi records: the live object and, as the official plugin does, what it was made from."""
    obj = copy.deepcopy(live)
    obj["metadata"].pop("managedFields", None)
    _drop_annotations(obj, _LAST_APPLIED)
    state = mark(kind, obj, inputs)
    state["__inputs"] = PropertyValue(inputs)
    state["__fieldManager"] = PropertyValue(manager)
    state["__initialApiVersion"] = PropertyValue(kind.api_version)
    return state


def imported_inputs(live: Object) -> Object:
    """A live object as if a program had declared it."""
    obj = _without_server_metadata(live)
    obj.pop("status", None)
    _drop_annotations(obj, _LAST_APPLIED, "deployment.kubernetes.io/revision")
    return obj


def new_in_preview(desired: Object, dry_run: Object) -> Object:
    """A dry run of a new object; what the real run will make anew (ids, addresses, the status) is unknown."""
    obj = _without_server_metadata(dry_run)
    obj["metadata"]["uid"] = UNKNOWN
    if "status" in obj:
        obj["status"] = UNKNOWN
    if obj.get("kind") == "Service":
        for key in ("clusterIP", "clusterIPs"):
            if key in obj["spec"] and at(desired, "spec", key) is None:
                obj["spec"][key] = UNKNOWN
        ports = cast("list[Object]", obj["spec"].get("ports") or [])
        obj["spec"]["ports"] = [{key: port[key] for key in port if key != "nodePort"} for port in ports]
    return obj


def changed_in_preview(dry_run: Object) -> Object:
    """A dry run of a change; the object keeps its identity."""
    obj = _without_server_metadata(dry_run)
    obj["metadata"]["uid"] = at(dry_run, "metadata", "uid")
    return obj


def _without_server_metadata(live: Object) -> Object:
    obj = copy.deepcopy(live)
    for key in _SERVER_METADATA:
        obj["metadata"].pop(key, None)
    return obj


def with_encoded_data(secret: Object) -> Object:
    """A Secret in the one form that the API server keeps: `stringData` becomes base64 in `data`."""
    texts: Object = at(secret, "stringData") or {}
    encoded = {key: text if text == UNKNOWN else to_base64(str(text)) for key, text in texts.items()}
    rest = {key: value for key, value in secret.items() if key != "stringData"}
    return rest | {"data": (at(secret, "data") or {}) | encoded} if encoded else rest


def without_nulls(value: Any) -> Any:
    """Absent and null are the same to Kubernetes; Pulumi programs write null for absent."""
    if isinstance(value, list):
        return [without_nulls(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in cast("Object", value).items() if item is not None}
    return value


def _drop_annotations(obj: Object, *keys: str) -> None:
    annotations: Object = at(obj, "metadata", "annotations") or {}
    for key in keys:
        annotations.pop(key, None)
    if not annotations:
        obj["metadata"].pop("annotations", None)

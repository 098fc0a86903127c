"""Who owns the fields of an object that is taken over: from now on the stack, and no longer Helm or kubectl.

Server-side apply takes away what its own manager does not ask for any more, and nothing else. So the fields of former
managers are made ours before: a container of another name would stay beside ours otherwise.

https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

import copy
import re
from typing import Any

from adoption import MANAGER
from naming import INSTANCE, instance

from ops.cluster import Cluster, Object, Refused, at, name_of

# Who keeps the number of pods where we do not ask for one. No name that a provider takes for a former one of its own.
KEEPER = "before-slipway"
# Those write what nobody declares, such as the volume a claim has got.
_CONTROLLER = re.compile(
    r"kubelet|kube-.*|.*-(controller|controllers|controller-manager|operator|provisioner|autoscaler)"
)
# Those apply an object again and again, so that it cannot be taken from them.
_KEEPS_ON = re.compile(r"argocd-.*|kustomize-controller|helm-controller|pulumi-kubernetes-[0-9a-f]{8}")
_TRIES = 5


def take(cluster: Cluster, wanted: Object) -> None:
    """Make the fields of an object in the cluster ours; their values stay. `Refused` if it changes all the time."""
    kind = wanted["apiVersion"], wanted["kind"], name_of(wanted)
    for tries_left in reversed(range(_TRIES)):
        present = cluster.one(*kind)
        entries = at(present, "metadata", "managedFields") or []
        owned = taken_over(entries, wanted)
        if present is None or owned == entries:
            return
        # Whoever changes it meanwhile owns fields that we have not seen.
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": present["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": owned},
        ]
        try:
            cluster.patch_if(*kind, patch)
        except Refused:
            if not tries_left:
                raise
        else:
            return


def taken_over(entries: list[Object], wanted: Object) -> list[Object]:
    """managedFields with those of former managers as ours; the number of pods only where the stack declares one."""
    scaled = at(wanted, "spec", "replicas") is not None
    former = [entry for entry in entries if is_former(entry) or (scaled and entry.get("subresource") == "scale")]
    if all(map(_is_ours, former)):
        return entries
    fields: Object = {}
    for entry in former:
        # A set of fields is one of a version. What we do not own of another one is replaced by what we apply.
        if entry["apiVersion"] == wanted["apiVersion"]:
            _add(fields, copy.deepcopy(entry["fieldsV1"]))
    left: Object = {}
    if not scaled and "f:replicas" in fields.get("f:spec", {}):
        left = {"f:spec": {"f:replicas": fields["f:spec"].pop("f:replicas")}}
    elif not fields:
        # An object of which nobody owned a thing would be taken for one from before there were owners.
        left = {"f:metadata": {"f:labels": {".": {}}}}
    entry = {"apiVersion": wanted["apiVersion"], "time": former[0].get("time"), "fieldsType": "FieldsV1"}
    ours = [{**entry, "manager": MANAGER, "operation": "Apply", "fieldsV1": fields}] if fields else []
    kept = [{**entry, "manager": KEEPER, "operation": "Update", "fieldsV1": left}] if left else []
    return [*ours, *kept, *(one for one in entries if one not in former)]


def is_former(entry: Object) -> bool:
    """Whether what this manager owns is to be ours: people and their tools, and no controller."""
    return not entry.get("subresource") and entry["manager"] != KEEPER and not _CONTROLLER.fullmatch(entry["manager"])


def keeper(present: Object, stack: str) -> str:
    """Who writes an object again and again, so that it cannot be taken over; nothing if nobody does."""
    owners = at(present, "metadata", "ownerReferences") or []
    for owner in owners:
        return f"{owner['kind']}/{owner['name']}"
    is_of_stack = at(present, "metadata", "labels", INSTANCE) == instance(stack)
    for entry in at(present, "metadata", "managedFields") or []:
        name = entry["manager"]
        if _KEEPS_ON.fullmatch(name) and not (is_of_stack and name.startswith("pulumi-")):
            return "another Pulumi stack" if name.startswith("pulumi-") else name
    return ""


def maker(present: Object) -> str:
    """Who made it, for people: `Helm release reviews`, or the manager of its first fields."""
    if release := release_of(present):
        return f"Helm release {release}"
    entries = [entry for entry in at(present, "metadata", "managedFields") or [] if is_former(entry)]
    entries.sort(key=lambda entry: entry.get("time") or "")
    return entries[0]["manager"] if entries else "nobody knows"


def release_of(present: Object) -> str:
    """The Helm release an object belongs to; nothing for others."""
    return at(present, "metadata", "annotations", "meta.helm.sh/release-name") or ""


def _is_ours(entry: Object) -> bool:
    return entry["manager"] == MANAGER and entry["operation"] == "Apply"


def _add(target: Object, source: Any) -> None:
    for key, value in source.items():
        _add(target.setdefault(key, {}), value)

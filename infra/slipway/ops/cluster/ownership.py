"""Field ownership of adopted objects: transfers the fields of Helm or kubectl to the stack.

Server-side apply removes only fields that its own manager no longer declares. Without the transfer, a container of
another name would stay beside ours.

https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

import copy
import re
from typing import Any

from slipway.naming import INSTANCE, instance
from slipway.objects import Object, dig, items, name_of
from slipway.ops.cluster.connection import RefusedError, StackCluster
from slipway.rollout.adoption import MANAGER

# Owns the number of pods where the stack declares none. Not a name that the provider takes for its own former manager.
PLACEHOLDER_MANAGER = "before-slipway"
# Controllers write what nobody declares, such as the volume of a claim.
_CONTROLLER = re.compile(
    r"kubelet|kube-.*|.*-(controller|controllers|controller-manager|operator|provisioner|autoscaler)"
)
# These apply an object again and again, so that it cannot be taken over.
_REAPPLIES = re.compile(r"argocd-.*|kustomize-controller|helm-controller|pulumi-kubernetes-[0-9a-f]{8}")
_TRIES = 5


def take_over(cluster: StackCluster, wanted: Object) -> None:
    """Make the stack the owner of an object's fields; their values stay.

    Raises `RefusedError` if others change the object at each of several attempts.
    """
    kind = wanted["apiVersion"], wanted["kind"], name_of(wanted)
    for tries_left in reversed(range(_TRIES)):
        present = cluster.get(*kind)
        entries = items(present, "metadata.managedFields")
        owned = transferred(entries, wanted)
        if present is None or owned == entries:
            return
        # A concurrent change would add owners that we have not seen.
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": present["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": owned},
        ]
        try:
            cluster.patch_if(*kind, patch)
        except RefusedError:
            if not tries_left:
                raise
        else:
            return


def transferred(entries: list[Object], wanted: Object) -> list[Object]:
    """Return managedFields in which the stack owns what former managers owned.

    It owns the number of pods only if it declares one.
    """
    scaled = dig(wanted, "spec.replicas") is not None
    former = [entry for entry in entries if is_transferable(entry) or (scaled and entry.get("subresource") == "scale")]
    if all(map(_is_ours, former)):
        return entries
    fields: Object = {}
    for entry in former:
        # Fields of another API version cannot be merged; applying the object replaces them anyway.
        if entry["apiVersion"] == wanted["apiVersion"]:
            _add(fields, copy.deepcopy(entry["fieldsV1"]))
    left: Object = {}
    if not scaled and "f:replicas" in fields.get("f:spec", {}):
        left = {"f:spec": {"f:replicas": fields["f:spec"].pop("f:replicas")}}
    elif not fields:
        # The API server treats an object without any owner as one from before server-side apply.
        left = {"f:metadata": {"f:labels": {".": {}}}}
    entry = {"apiVersion": wanted["apiVersion"], "time": former[0].get("time"), "fieldsType": "FieldsV1"}
    ours = [{**entry, "manager": MANAGER, "operation": "Apply", "fieldsV1": fields}] if fields else []
    kept = [{**entry, "manager": PLACEHOLDER_MANAGER, "operation": "Update", "fieldsV1": left}] if left else []
    return [*ours, *kept, *(entry for entry in entries if entry not in former)]


def is_transferable(entry: Object) -> bool:
    """Whether an entry is transferred to the stack: those of people and their tools are, those of controllers not."""
    return (
        not entry.get("subresource")
        and entry["manager"] != PLACEHOLDER_MANAGER
        and not _CONTROLLER.fullmatch(entry["manager"])
    )


def competing_owner(present: Object, stack: str) -> str:
    """Return who applies an object again and again, so that it cannot be taken over; nothing if nobody does."""
    for owner in items(present, "metadata.ownerReferences"):
        return f"{owner['kind']}/{owner['name']}"
    is_of_stack = dig(present, "metadata.labels", INSTANCE) == instance(stack)
    for entry in items(present, "metadata.managedFields"):
        name = entry["manager"]
        if _REAPPLIES.fullmatch(name) and not (is_of_stack and name.startswith("pulumi-")):
            return "another Pulumi stack" if name.startswith("pulumi-") else name
    return ""


def creator(present: Object) -> str:
    """Return who created an object: `Helm release reviews`, or the manager of its first fields."""
    if release := release_of(present):
        return f"Helm release {release}"
    entries = [entry for entry in items(present, "metadata.managedFields") if is_transferable(entry)]
    entries.sort(key=lambda entry: entry.get("time") or "")
    return entries[0]["manager"] if entries else "unknown origin"


def release_of(present: Object) -> str:
    """Return the Helm release that an object belongs to; nothing if it belongs to none."""
    return dig(present, "metadata.annotations", "meta.helm.sh/release-name") or ""


def _is_ours(entry: Object) -> bool:
    return entry["manager"] == MANAGER and entry["operation"] == "Apply"


def _add(target: Object, source: Any) -> None:
    for key, value in source.items():
        _add(target.setdefault(key, {}), value)

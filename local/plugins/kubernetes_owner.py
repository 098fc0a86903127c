"""Who owns the fields of an object (server-side apply's managedFields)."""

import copy
import hashlib
import re

from local.plugins.kubernetes_object import Object, at

_CONFLICT = re.compile(r'conflict with "([^"]+)"')

# They stand for the same author as we do: the official plugin until its first update, and whoever made an object that
# was imported. What they own is ours from now on.
_EARLIER_MANAGERS = {
    "before-first-apply",
    "kubectl-client-side-apply",
    "kubectl-create",
    "pulumi-kubernetes",
    "pulumi-resource-kubernetes",
}


def field_manager(urn: str) -> str:
    """The name we own fields under. It follows from the resource, so an interrupted `create` knows its own object."""
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"


def owns(manager: str, live: Object) -> bool:
    return any(_is_ours(entry, manager) for entry in _entries(live))


def inherited_fields(live: Object, manager: str, former: str = "") -> list[Object]:
    """managedFields with those of earlier managers made ours; empty when there is nothing to inherit.

    `former` is the name we applied the object under before, where the program gives it another one.

    Without this, changing such a field is a conflict, and a field that the program drops stays on the object.
    """
    entries = copy.deepcopy(_entries(live))
    is_renamed = former not in ("", manager)
    earlier = [entry for entry in entries if _is_earlier(entry) or (is_renamed and _is_ours(entry, former))]
    if not earlier:
        return []
    ours = [entry for entry in entries if _is_ours(entry, manager)]
    merged: Object = (ours or earlier)[0] | {"manager": manager, "operation": "Apply"}
    for entry in earlier:
        _add_fields(merged["fieldsV1"], entry["fieldsV1"])
    return [merged, *(entry for entry in entries if entry not in earlier and entry not in ours)]


def may_be_overruled(conflicts: list[Object]) -> bool:
    """True when all that stands against us are changes by hand: a program that sets a field wins over `kubectl edit`.

    Controllers and other appliers are not overruled; that is for the user to decide (pulumi.com/patchForce).
    """
    managers = {match for conflict in conflicts for match in _CONFLICT.findall(conflict.get("message", ""))}
    return bool(managers) and all(name in _EARLIER_MANAGERS or name.startswith("kubectl") for name in managers)


def _entries(live: Object) -> list[Object]:
    return at(live, "metadata", "managedFields") or []


def _is_ours(entry: Object, manager: str) -> bool:
    return entry["manager"] == manager and entry["operation"] == "Apply"


def _is_earlier(entry: Object) -> bool:
    is_update = entry["operation"] == "Update" and not entry.get("subresource")
    return is_update and entry["manager"] in _EARLIER_MANAGERS


def _add_fields(target: Object, source: Object) -> None:
    for key, value in source.items():
        _add_fields(target.setdefault(key, {}), value)

"""Field ownership of an object: the managedFields of server-side apply."""

import copy
import hashlib
import re

from slipway.objects import Object, items

_CONFLICT = re.compile(r'conflict with "([^"]+)"')

# Managers whose fields become ours: the official plugin before its first update, and the tools that created an object
# before it was imported.
_EARLIER_MANAGERS = {
    "before-first-apply",
    "kubectl-client-side-apply",
    "kubectl-create",
    "pulumi-kubernetes",
    "pulumi-resource-kubernetes",
}


def field_manager(urn: str) -> str:
    """Return our field manager's name. It is derived from the URN, so that an interrupted create finds its object."""
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"


def owns(manager: str, live: Object) -> bool:
    return any(_is_ours(entry, manager) for entry in _entries(live))


def inherited_fields(live: Object, manager: str, former: str = "") -> list[Object]:
    """Return managedFields in which `manager` owns the fields of earlier managers; empty if there are none.

    `former` is the manager of the last deployment, in case the program has changed the name since.

    Without this, changing such a field is a conflict, and a field that the program no longer sets stays on the object.
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
    """Return whether all conflicts are with manual changes: the program wins over `kubectl edit`.

    Whether to overrule controllers and other appliers is the user's decision (pulumi.com/patchForce).
    """
    managers = {match for conflict in conflicts for match in _CONFLICT.findall(conflict.get("message", ""))}
    return bool(managers) and all(name in _EARLIER_MANAGERS or name.startswith("kubectl") for name in managers)


def _entries(live: Object) -> list[Object]:
    return items(live, "metadata.managedFields")


def _is_ours(entry: Object, manager: str) -> bool:
    return entry["manager"] == manager and entry["operation"] == "Apply"


def _is_earlier(entry: Object) -> bool:
    is_update = entry["operation"] == "Update" and not entry.get("subresource")
    return is_update and entry["manager"] in _EARLIER_MANAGERS


def _add_fields(target: Object, source: Object) -> None:
    for key, value in source.items():
        _add_fields(target.setdefault(key, {}), value)

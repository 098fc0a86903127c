"""Patches: fields of a service's objects that no setting sets, merged into what the program registers.

They are merged on the way to the engine, before the house rules look at an object: a patched object has to keep them
like any other, and `./slipway render` and `preview` show it. settings/checks/patches.py checks what can be
checked without the object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from slipway import engine
from slipway.scope import Scope
from slipway.settings.checks.patches import NAMED
from slipway.settings.errors import PREFIX, dotted
from slipway.settings.sections.customization import PatchKind

DELETE = "$patch"
# A canary decides these itself: its share and its way of a rollout (service/canary.py).
CANARYS_OWN = ("replicas", "strategy", "minReadySeconds")
Path = tuple[str, ...]


class PatchError(Exception):
    """A part of a patch that changes nothing: its path, and the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path


def apply(scope: Scope, component: str) -> None:
    """Merge the patches of a service into the objects of a component, given as `type::name`, from now on.

    A preview ends with one `pulumi.RunError` for what a patch does not find in its object; an update ends before the
    object gets to the engine.
    """
    patch, errors = dict(scope.service.patch), list[str]()
    if scope.track and isinstance(spec := patch.get("Deployment", {}).get("spec"), dict):
        patch["Deployment"] = {**patch["Deployment"], "spec": {k: v for k, v in spec.items() if k not in CANARYS_OWN}}
    updates = not pulumi.runtime.is_dry_run()

    def patched(type_: str, name: str, inputs: Any) -> Any:
        kind: Any = type_.rpartition(":")[2]
        # A canary has further policies, for connections that only the candidate needs.
        if kind not in patch or (kind == "NetworkPolicy" and name != scope.title):
            return inputs
        try:
            return merged(inputs, patch[kind])
        except PatchError as error:
            key = dotted(("services", scope.name, "patch", kind, *error.path))
            errors.append(f"{PREFIX}{key}: {error}")
            if updates:
                _refuse(errors)
            return inputs

    if patch:
        engine.amend(component, patched)
        engine.observe(ending=lambda: _refuse(errors))


def _refuse(errors: list[str]) -> None:
    if errors:
        raise pulumi.RunError("\n".join(dict.fromkeys(errors)))


def hashed(scope: Scope, kind: PatchKind) -> dict[str, str]:
    """Return the patch of a kind as content for a name that depends on it; empty without one."""
    patch = scope.service.patch.get(kind)
    return {"patch": json.dumps(patch, sort_keys=True)} if patch else {}


def merged(base: Mapping[str, Any], patch: Mapping[str, Any], at: Path = ()) -> dict[str, Any]:
    """Return a mapping with a patch: inner mappings merged, lists of named items merged by name, null taken out."""
    result = dict(base)
    for key, value in patch.items():
        before = result.get(key)
        if value is None:
            if key not in result:
                raise PatchError((*at, key), "changes nothing: there is no such field to take out")
            del result[key]
        elif isinstance(value, dict):
            result[key] = merged(before if isinstance(before, dict) else {}, value, (*at, key))
        elif isinstance(value, list) and key in NAMED:
            result[key] = _merged_items(before if isinstance(before, list) else [], value, (*at, key))
        else:
            result[key] = value
    return result


def _merged_items(base: list[Any], patch: list[Any], at: Path) -> list[Any]:
    """Return a list of named items with those of a patch: known ones are merged in their place, new ones appended."""
    result = list(base)
    for index, item in enumerate(patch):
        here = (*at, str(index))
        if not isinstance(item, dict):
            raise PatchError(here, "should be a mapping")
        field = next((field for field in NAMED[at[-1]] if field in item), None)
        if field is None:
            raise PatchError(here, f"does not say which one it is about; give {NAMED[at[-1]][0]}")
        place = next((place for place, known in enumerate(result) if _get(known, field) == item[field]), None)
        if item.get(DELETE) == "delete":
            if place is None:
                raise PatchError(here, f"changes nothing: {_no_such(result, field)}")
            del result[place]
        elif place is None:
            if at[-1] in ("containers", "initContainers") and "image" not in item:
                raise PatchError(here, f"changes nothing: {_no_such(result, field)}; a new one needs an image")
            result.append(merged({}, item, here))
        else:
            result[place] = merged(result[place], item, here)
    return result


def _get(item: Any, field: str) -> Any:
    return item.get(field) if isinstance(item, dict) else None


def _no_such(items: list[Any], field: str) -> str:
    names = ", ".join(str(_get(item, field)) for item in items)
    return f"there is none of this {field}; there are: {names or 'none'}"

"""`./slipway diff staging prod`: what differs between two environments, on their rendered objects."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops import models
from ops.changes import ABSENT, Change, Model, compare, shown

# What content hashes and content tags say is said by the content itself.
_HASHED = re.compile(r"-[0-9a-f]{8}$")


def differences(left: str, right: str) -> list[Change]:
    """Every object that is not the same in both stacks, beyond what follows from their names."""
    found = compare(_neutral(left), _neutral(right))
    return [change for change in found if change.fields]


def _neutral(stack: str) -> Model:
    """The stack's objects with its own name, namespace and content hashes taken out."""
    model = models.of_tree(stack)
    namespace = next(name.partition("/")[2] for name in model if name.startswith("Namespace/"))
    return {
        name.replace(namespace, "<namespace>"): _replaced(manifest, {namespace: "<namespace>", stack: "<stack>"})
        for name, manifest in model.items()
    }


def _replaced(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, names) for item in value]
    if not isinstance(value, str):
        return value
    stack = list(names)[-1]
    return _HASHED.sub("-<hash>", names.get(value, re.sub(rf"^slipway-{stack}$", "slipway-<stack>", value)))


def command(left: str, right: str, *, as_json: bool) -> None:
    """Print the differences."""
    found = differences(left, right)
    if as_json:
        json.dump({"left": left, "right": right, "objects": [_data(change) for change in found]}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table("object", "field", left, right, box=None, padding=(0, 2, 0, 0))
    for change in found:
        if change.before is None or change.after is None:
            table.add_row(change.name, "", *("yes" if side else "-" for side in (change.before, change.after)))
            continue
        for index, field in enumerate(change.fields):
            table.add_row("" if index else change.name, escape(field.path), *map(_cell, (field.before, field.after)))
    console.print(table if found else f"{left} and {right} declare the same")


def _cell(value: Any) -> str:
    return "-" if value is ABSENT else escape(shown(value))


def _data(change: Change) -> dict[str, Any]:
    fields = change.fields if change.before and change.after else ()
    return {
        "object": change.name,
        "in": [side for side, held in (("left", change.before), ("right", change.after)) if held],
        "fields": [{"path": f.path, "left": _none(f.before), "right": _none(f.after)} for f in fields],
    }


def _none(value: Any) -> Any:
    return None if value is ABSENT else value

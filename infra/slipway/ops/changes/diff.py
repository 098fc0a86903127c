"""`./slipway diff staging prod`: what differs between the rendered objects of two environments.

`--json` prints {"left": "staging", "right": "prod", "objects": [{"object": "Deployment/api", "in": ["left", "right"],
"fields": [{"path": "spec.replicas", "left": 2, "right": 3}]}]}; null stands for what is not there, and an object that
only one side has comes without fields.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from slipway.naming import instance
from slipway.ops.changes.comparison import ABSENT, CONTENT_HASH, Change, Model, compare, shown
from slipway.ops.program.recorder import declare
from slipway.ops.terminal.tables import table


def differences(left: str, right: str) -> list[Change]:
    """Return every object that differs between two stacks, apart from what follows from their names."""
    return [change for change in compare(_neutral(left), _neutral(right)) if change.fields and not change.is_record]


def _neutral(stack: str) -> Model:
    """Return a stack's objects with placeholders for its name, its namespace and the hashes of content."""
    manifests = declare(stack).manifests()
    namespace = next(name for kind, name in manifests if kind == "Namespace")
    named = re.compile(rf"(?<![\w-])({re.escape(namespace)}|{re.escape(instance(stack))})(?![\w-])")

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items()}
        if isinstance(value, list):
            return [without(item) for item in value]
        if not isinstance(value, str):
            return value
        return "<stack>" if value == stack else CONTENT_HASH.sub("-<hash>", named.sub("slipway-<stack>", value))

    return {without(f"{kind}/{name}"): without(manifest) for (kind, name), manifest in manifests.items()}


def command(left: str, right: str, *, as_json: bool) -> None:
    """Print the differences."""
    changes = differences(left, right)
    if as_json:
        json.dump(
            {"left": left, "right": right, "objects": [_data(change) for change in changes]}, sys.stdout, indent=2
        )
        sys.stdout.write("\n")
        return
    if not changes:
        sys.stdout.write(f"{left} and {right} declare the same\n")
        return
    rows = [row for change in changes for row in _rows(change)]
    sys.stdout.write(table(rows, ("object", "field", left, right)))


def _rows(change: Change) -> Iterator[tuple[str, ...]]:
    if change.before is None or change.after is None:
        yield (change.name, "", *("yes" if side else "-" for side in (change.before, change.after)))
        return
    for index, field in enumerate(change.fields):
        # In a pipe, each line is read alone.
        name = "" if index and sys.stdout.isatty() else change.name
        yield (name, field.path, *map(_cell, (field.before, field.after)))


def _cell(value: Any) -> str:
    return "-" if value is ABSENT else shown(value)


def _data(change: Change) -> dict[str, Any]:
    fields = change.fields if change.before and change.after else ()
    return {
        "object": change.name,
        "in": [side for side, obj in (("left", change.before), ("right", change.after)) if obj],
        "fields": [{"path": f.path, "left": _none(f.before), "right": _none(f.after)} for f in fields],
    }


def _none(value: Any) -> Any:
    return None if value is ABSENT else value

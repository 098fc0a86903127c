"""Compare two versions of a resource's inputs, which are plain JSON-like values.

The program's inputs are compared with earlier inputs only, never with the live object. So a default or a normalized
value ("1000m" -> "1") is no difference, and neither is a field that the program leaves out (`replicas` under an
autoscaler).

Paths are written as Pulumi does: spec.containers[0].env, metadata.annotations["example.com/a.b"].
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, cast

from pulumi.provider.experimental.provider import PropertyDiffKind

Path = tuple[str | int, ...]
_STEP = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|\.?([^.\[\]]+)')
_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")


class _Missing(Enum):
    MISSING = "missing"


MISSING = _Missing.MISSING


def differences(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, PropertyDiffKind]]:
    """Yield the deepest paths at which `new` differs from `old`."""
    if isinstance(old, dict) and isinstance(new, dict):
        olds, news = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for key in sorted(olds.keys() | news.keys()):
            yield from differences(olds.get(key, MISSING), news.get(key, MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(cast("list[Any]", old)), len(cast("list[Any]", new)))):
            yield from differences(item(old, index), item(new, index), (*path, index))
    elif old is MISSING:
        yield path, PropertyDiffKind.ADD
    elif new is MISSING:
        yield path, PropertyDiffKind.DELETE
    elif old != new:
        yield path, PropertyDiffKind.UPDATE


def item(value: Any, index: int) -> Any:
    """Return the element of a list, or MISSING."""
    elements = cast("list[Any]", value) if isinstance(value, list) else []
    return elements[index] if index < len(elements) else MISSING


def parse_path(text: str) -> Path:
    steps: list[str | int] = []
    for quoted, index, bare in _STEP.findall(text):
        if index:
            steps.append("*" if index == "*" else int(index))
        else:
            steps.append(re.sub(r"\\(.)", r"\1", quoted) if quoted else bare)
    return tuple(steps)


def format_path(path: Path) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text

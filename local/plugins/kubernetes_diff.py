"""Differences between two versions of an object, as pure functions on JSON-like values.

The program's inputs are only ever compared with earlier inputs, never with what the API server made of them. So a
default or a normalised value ("1000m" -> "1") is no difference, and a field that the program leaves out (`replicas`
under an autoscaler) never shows up. Drift comes in through `observed`, when a refresh rewrites the recorded inputs.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, cast

Path = tuple[str | int, ...]


class Change(Enum):
    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


class _Missing(Enum):
    MISSING = "missing"


MISSING = _Missing.MISSING


def differences(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Change]]:
    """Every place where `new` differs from `old`, as deep as both have the same shape."""
    if isinstance(old, dict) and isinstance(new, dict):
        olds, news = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for key in sorted(olds.keys() | news.keys()):
            yield from differences(olds.get(key, MISSING), news.get(key, MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(_length(old), _length(new))):
            yield from differences(_item(old, index), _item(new, index), (*path, index))
    elif old is MISSING:
        yield path, Change.ADD
    elif new is MISSING:
        yield path, Change.DELETE
    elif old != new:
        yield path, Change.UPDATE


def observed(inputs: Any, recorded: Any, live: Any) -> Any:
    """The inputs as the cluster holds them now.

    `recorded` is the object as it was after the last deployment, `live` as it is now. Where the two agree the input
    stays as the program wrote it; where they do not, someone changed the object, and the live value takes its place.
    """
    if live == recorded:
        return inputs
    if isinstance(inputs, dict) and isinstance(live, dict):
        wanted, now = cast("dict[str, Any]", inputs), cast("dict[str, Any]", live)
        before = cast("dict[str, Any]", recorded) if isinstance(recorded, dict) else dict[str, Any]()
        merged = {
            key: observed(value, before.get(key, MISSING), now.get(key, MISSING)) for key, value in wanted.items()
        }
        return {key: value for key, value in merged.items() if value is not MISSING}
    if _is_named_list(inputs) and _is_named_list(live):
        # Kubernetes merges these lists by name: elements that others add are theirs, wherever they put them.
        before_by_name = _by_name(recorded) if _is_named_list(recorded) else {}
        now_by_name = _by_name(live)
        elements = [
            observed(element, before_by_name.get(name, MISSING), now_by_name.get(name, MISSING))
            for name, element in _by_name(inputs).items()
        ]
        return [element for element in elements if element is not MISSING]
    if isinstance(inputs, list) and isinstance(live, list) and _length(inputs) == _length(live):
        elements = enumerate(cast("list[Any]", inputs))
        return [observed(element, _item(recorded, index), _item(live, index)) for index, element in elements]
    return live  # pyright: ignore[reportUnknownVariableType]


def _is_named_list(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    elements = cast("list[Any]", value)
    names = {str(cast("dict[str, Any]", e)["name"]) for e in elements if isinstance(e, dict) and "name" in e}
    return len(names) == len(elements)


def _by_name(elements: Any) -> dict[str, Any]:
    return {str(element["name"]): element for element in elements}


def _length(value: Any) -> int:
    return len(cast("list[Any]", value))


def _item(value: Any, index: int) -> Any:
    elements = cast("list[Any]", value) if isinstance(value, list) else []
    return elements[index] if index < len(elements) else MISSING


def keep_live(inputs: Any, live: Any, path: Path) -> None:
    """Puts the live value at `path` into `inputs`, where both have one; "*" in a path stands for every element."""
    step, rest = path[0], path[1:]
    keys: Iterable[Any] = range(_length(inputs)) if step == "*" and isinstance(inputs, list) else [step]
    for key in keys:
        try:
            if rest:
                keep_live(inputs[key], live[key], rest)
            elif inputs[key] is not None:
                inputs[key] = live[key]
        except (KeyError, IndexError, TypeError):
            continue


# --- property paths as Pulumi writes them: spec.containers[0].env, metadata.annotations["example.com/a.b"] ------------

_STEP = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|\.?([^.\[\]]+)')
_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")


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

"""Take over values from the live object: those that someone else has changed, and those whose changes are ignored."""

from collections.abc import Iterable
from typing import Any, cast

from local.plugins.diff import MISSING, Path, item


def observed(inputs: Any, recorded: Any, live: Any) -> Any:
    """Return the inputs with the values that someone else has changed in the cluster.

    `recorded` is the object after the last deployment, `live` the object now. Where the two agree, the input stays as
    the program wrote it; where they differ, the live value replaces it.
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
        # Kubernetes merges these lists by name, so elements that others add, at any index, are not ours.
        before_by_name = _by_name(recorded) if _is_named_list(recorded) else {}
        now_by_name = _by_name(live)
        elements = [
            observed(element, before_by_name.get(name, MISSING), now_by_name.get(name, MISSING))
            for name, element in _by_name(inputs).items()
        ]
        return [element for element in elements if element is not MISSING]
    if isinstance(inputs, list) and isinstance(live, list) and _length(inputs) == _length(live):
        elements = enumerate(cast("list[Any]", inputs))
        return [observed(element, item(recorded, index), item(live, index)) for index, element in elements]
    return live  # pyright: ignore[reportUnknownVariableType]


def _is_named_list(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    elements = cast("list[Any]", value)
    names = {str(cast("dict[str, Any]", e)["name"]) for e in elements if isinstance(e, dict) and "name" in e}
    return len(names) == len(elements)


def _length(value: Any) -> int:
    return len(cast("list[Any]", value))


def _by_name(elements: Any) -> dict[str, Any]:
    return {str(element["name"]): element for element in elements}


def keep_live(inputs: Any, live: Any, path: Path) -> None:
    """Copy the live value at `path` into `inputs`, where both have one; "*" stands for every element of a list."""
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

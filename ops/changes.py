"""What differs between two models of a stack, object by object and field by field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
Model: TypeAlias = dict[str, Object]
"""The Kubernetes objects of a stack by kind and logical name: `{"Deployment/api": {...}}`."""

ABSENT = object()


@dataclass(frozen=True)
class Field:
    """One value that differs. Items of lists are found by their name: `containers[api].image`."""

    path: str
    before: Any
    after: Any

    @property
    def text(self) -> str:
        """`spec.replicas: 3 -> 2`."""
        return f"{self.path}: {shown(self.before)} -> {shown(self.after)}"


@dataclass(frozen=True)
class Change:
    """One object in both models; None where a model does not have it."""

    name: str
    before: Object | None
    after: Object | None
    fields: tuple[Field, ...] = ()
    replaced: bool = False
    """The engine says that the object is deleted and made anew."""

    @property
    def kind(self) -> str:
        """`Deployment` of `Deployment/api`."""
        return self.name.partition("/")[0]

    @property
    def is_content_named(self) -> bool:
        """Immutable objects get a new name with each content; pods go on with the old one until they roll."""
        return any(bool(side and side.get("immutable")) for side in (self.before, self.after))


def compare(before: Model, after: Model) -> list[Change]:
    """Every object of either model, in the order of the newer one; those without fields have not changed."""
    names = [*after, *(name for name in before if name not in after)]
    return [changed(name, before.get(name), after.get(name)) for name in names]


def changed(name: str, before: Object | None, after: Object | None, *, replaced: bool = False) -> Change:
    """One object before and after."""
    return Change(name, before, after, tuple(_fields("", before or {}, after or {})), replaced)


def shown(value: Any) -> str:
    """A value in one line, at most 60 characters."""
    text = "(none)" if value is ABSENT else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields(path: str, before: Any, after: Any) -> Iterator[Field]:
    left, right = _by_key(before, after), _by_key(after, before)
    if left is None or right is None:
        if before != after:
            yield Field(path, before, after)
        return
    for key in [*left, *(key for key in right if key not in left)]:
        below = f"{path}{key}" if key.startswith("[") or not path else f"{path}.{key}"
        yield from _fields(below, left.get(key, ABSENT), right.get(key, ABSENT))


def _by_key(value: Any, other: Any) -> dict[str, Any] | None:
    """What a value consists of; None for a plain one. Absent beside a mapping or list is as good as an empty one."""
    if isinstance(value, dict) or (value is ABSENT and isinstance(other, dict | list)):
        return {_quoted(str(key)): item for key, item in value.items()} if value is not ABSENT else {}
    if isinstance(value, list):
        return {f"[{_name(item, index)}]": item for index, item in enumerate(value)}
    return None


def _name(item: Any, index: int) -> str:
    return str(item.get("name", index)) if isinstance(item, dict) else str(index)


def _quoted(key: str) -> str:
    return f'"{key}"' if "." in key or "/" in key else key

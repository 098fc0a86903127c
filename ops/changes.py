"""What differs between two models of a stack, object by object and field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import yaml
from naming import COMPONENT, RELEASE

Object: TypeAlias = dict[str, Any]
Model: TypeAlias = dict[str, Object]
"""The objects of a stack by kind and logical name, `{"Deployment/api": {...}}`, and the connection to its cluster.

Beside an object's own fields stand `options`: those of Pulumi's resource options that decide about its life.
"""

ABSENT = object()
UNKNOWN = "(known after the update)"
"""Stands for a value the engine does not have yet, such as the digest of an image that is still to be built."""

# What infra/naming.py puts behind the names of objects that are made anew with each content.
CONTENT_HASH = re.compile(r"-[0-9a-f]{8}$")
_NAMED_BY_CONTENT = {"ConfigMap", "Secret", "ExternalSecret", "Job"}


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
    replaced: bool = False
    """The engine says that the object is deleted and made anew."""
    hidden: tuple[Field, ...] = ()
    """What the engine says has changed without showing it."""

    @property
    def kind(self) -> str:
        """`Deployment` of `Deployment/api`."""
        return self.name.partition("/")[0]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Every single value that differs, by path."""
        return (*_sorted(_fields("", self.before or {}, self.after or {})), *self.hidden)

    @cached_property
    def outline(self) -> tuple[Field, ...]:
        """The same for people: what comes or goes as a whole is told as a whole."""
        return (*_sorted(_fields("", self.before or {}, self.after or {}, deep=False)), *self.hidden)

    @property
    def edited(self) -> tuple[Field, ...]:
        """The fields that differ between both sides; none of an object that comes or goes."""
        return self.fields if self.before is not None and self.after is not None else ()

    @property
    def is_record(self) -> bool:
        """Whether this is a release's record: it changes with every change, which is told already."""
        sides = [side for side in (self.before, self.after) if side is not None]
        labels = [at(side, "metadata", "labels") for side in sides]
        return self.kind == "ConfigMap" and all(found.get(COMPONENT) == RELEASE for found in labels)

    @property
    def is_content_named(self) -> bool:
        """New content is a new object under a new name: nothing is taken from the pods that still read the old one."""
        names = [str(side["metadata"].get("name")) for side in (self.before, self.after) if side and "metadata" in side]
        stems = {CONTENT_HASH.sub("", name) for name in names if name != UNKNOWN}
        hashed = all(CONTENT_HASH.search(name) or name == UNKNOWN for name in names)
        return self.kind in _NAMED_BY_CONTENT and hashed and len(stems) == 1


def compare(before: Model, after: Model) -> list[Change]:
    """Every object of either model by name; those without fields have not changed."""
    return [Change(name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys())]


def _sorted(fields: Iterator[Field]) -> tuple[Field, ...]:
    """By path, since the engine hands mappings over in any order."""
    return tuple(sorted(fields, key=lambda field: field.path))


def at(value: Any, *keys: str) -> Any:
    """The mapping or list below these keys; an empty mapping where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict | list) else {}


def shown(value: Any) -> str:
    """A value in one line, at most 60 characters."""
    plain = json.dumps(value) if isinstance(value, dict | list) else str(value)
    text = "(none)" if value is ABSENT else " ".join(plain.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields(path: str, before: Any, after: Any, *, deep: bool = True) -> Iterator[Field]:
    left, right = _by_key(before, after, deep=deep), _by_key(after, before, deep=deep)
    if left is None or right is None:
        if before != after or isinstance(before, bool) is not isinstance(after, bool):
            yield from _inside(path, before, after) or [Field(path, before, after)]
        return
    for key in left.keys() | right.keys():
        below = f"{path}{key}" if key.startswith("[") or not path else f"{path}.{key}"
        yield from _fields(below, left.get(key, ABSENT), right.get(key, ABSENT), deep=deep)
    if isinstance(before, list) and set(left) == set(right) and list(left) != list(right):
        yield Field(path, f"order {' '.join(left)}", f"order {' '.join(right)}")


def _by_key(value: Any, other: Any, *, deep: bool) -> dict[str, Any] | None:
    """What a value consists of; None for a plain one. If `deep`, absent beside a mapping or list is an empty one."""
    if isinstance(value, dict):
        return {_quoted(str(key)): item for key, item in value.items()}
    if isinstance(value, list):
        return dict(zip(_names(value, other if isinstance(other, list) else []), value, strict=True))
    return {} if deep and value is ABSENT and isinstance(other, dict | list) and other else None


def _inside(path: str, before: Any, after: Any) -> list[Field]:
    """What differs between two files in a ConfigMap, if both are mappings in YAML."""
    if not path.endswith(('.yaml"', '.yml"')):
        return []
    left, right = _parsed(before), _parsed(after)
    return list(_fields(path, left, right)) if isinstance(left, dict) and isinstance(right, dict) else []


def _parsed(text: Any) -> Any:
    try:
        return yaml.safe_load(text) if isinstance(text, str) else None
    except yaml.YAMLError:
        return None


def _names(items: list[Any], others: list[Any]) -> list[str]:
    """`[api]` for each item, if those of both sides have names of their own; else `[0]`."""
    for side in (items, others):
        names = [item.get("name") if isinstance(item, dict) else None for item in side]
        if None in names or len(set(names)) < len(names):
            return [f"[{index}]" for index in range(len(items))]
    return [f"[{item['name']}]" for item in items]


def _quoted(key: str) -> str:
    return f'"{key}"' if "." in key or "/" in key else key

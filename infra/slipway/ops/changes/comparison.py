"""Compares two models of a stack, object by object and field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import yaml

from slipway.naming import COMPONENT, RELEASE
from slipway.objects import UNKNOWN, Object, mapping

Model: TypeAlias = dict[str, Object]
"""The objects of a stack by kind and logical name, `{"Deployment/api": {...}}`, and the provider of its cluster.

Each object has one more field, `options`: resource options of Pulumi that decide about its replacement and deletion.
"""

ABSENT = object()
KNOWN_LATER = "(known after the update)"
"""Shown in place of UNKNOWN."""

# The suffix that infra/slipway/naming.py gives to objects named by their content.
CONTENT_HASH = re.compile(r"-[0-9a-f]{8}$")
_NAMED_BY_CONTENT = {"ConfigMap", "Secret", "ExternalSecret", "Job"}


@dataclass(frozen=True)
class Field:
    """One value that differs. List items are named in the path if they have names: `containers[api].image`."""

    path: str
    before: Any
    after: Any

    @property
    def text(self) -> str:
        """`spec.replicas: 3 -> 2`."""
        return f"{self.path}: {shown(self.before)} -> {shown(self.after)}"


@dataclass(frozen=True)
class Change:
    """One object in both models; None where a model lacks it."""

    name: str
    before: Object | None
    after: Object | None
    replaced: bool = False
    """Whether the engine plans to delete the object and create it again."""
    hidden: tuple[Field, ...] = ()
    """Changes that the engine reports without the values, which are secret."""

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
        """The same for people: a section that is added or removed as a whole is one field."""
        return (*_sorted(_fields("", self.before or {}, self.after or {}, deep=False)), *self.hidden)

    @property
    def edited(self) -> tuple[Field, ...]:
        """The fields that differ; none of an object that is added or removed."""
        return self.fields if self.before is not None and self.after is not None else ()

    @property
    def is_record(self) -> bool:
        """Whether this is a release's record, which changes with every other change."""
        sides = [side for side in (self.before, self.after) if side is not None]
        labels = [mapping(side, "metadata.labels") for side in sides]
        return self.kind == "ConfigMap" and all(side.get(COMPONENT) == RELEASE for side in labels)

    @property
    def is_content_named(self) -> bool:
        """Whether new content means a new object with a new name, so that pods that read the old one keep it."""
        names = [str(side["metadata"].get("name")) for side in (self.before, self.after) if side and "metadata" in side]
        stems = {CONTENT_HASH.sub("", name) for name in names if name != UNKNOWN}
        hashed = all(CONTENT_HASH.search(name) or name == UNKNOWN for name in names)
        return self.kind in _NAMED_BY_CONTENT and hashed and len(stems) == 1


def compare(before: Model, after: Model) -> list[Change]:
    """Return a change for every object of either model; one without fields has not changed."""
    return [Change(name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys())]


def _sorted(fields: Iterator[Field]) -> tuple[Field, ...]:
    """Return fields by path: the engine reports mappings in any order."""
    return tuple(sorted(fields, key=lambda field: field.path))


def shown(value: Any) -> str:
    """Return a value as one line of at most 60 characters."""
    plain = json.dumps(value) if isinstance(value, dict | list) else str(value)
    plain = plain.replace(UNKNOWN, KNOWN_LATER)
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
    """Return the items of a mapping or list by key; None for a plain value.

    If `deep`, an absent value beside a mapping or list counts as an empty one.
    """
    if isinstance(value, dict):
        return {_quoted(str(key)): item for key, item in value.items()}
    if isinstance(value, list):
        return dict(zip(_names(value, other if isinstance(other, list) else []), value, strict=True))
    return {} if deep and value is ABSENT and isinstance(other, dict | list) and other else None


def _inside(path: str, before: Any, after: Any) -> list[Field]:
    """Return what differs between two YAML files in a ConfigMap, if both are mappings."""
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
    """Return `[api]` for each item if the items of both sides have unique names; else `[0]`."""
    for side in (items, others):
        names = [item.get("name") if isinstance(item, dict) else None for item in side]
        if None in names or len(set(names)) < len(names):
            return [f"[{index}]" for index in range(len(items))]
    return [f"[{item['name']}]" for item in items]


def _quoted(key: str) -> str:
    return f'"{key}"' if "." in key or "/" in key else key

"""Objects as rules see them: an object or a mapping inside it, a pod, a container, each with its path.

A missing value reads as None or as empty, a secret as `***`. A value that only an update computes ends the check of the
subject at hand: a rule reports nothing about what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slipway import objects
from slipway.naming import CANARY, COMPONENT, TRACK, WORKER
from slipway.objects import UNKNOWN, Object

SERVING = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds whose pods run all the time; those of jobs run to completion."""


class UnknownValueError(Exception):
    """A rule reads a value that is computed during the update and not known in a preview."""


def known(value: Any) -> Any:
    """Return the value itself; `UnknownValueError` if only an update computes it."""
    if value == UNKNOWN:
        raise UnknownValueError
    return value


def dig(value: Any, path: str) -> Any:
    """Return the value at a dotted path, None where there is none; `UnknownValueError` as in `known`."""
    return known(objects.dig(value, path))


@dataclass(frozen=True)
class Violation:
    """What is wrong, and at which path of which object."""

    object: Object
    path: str
    message: str


@dataclass(frozen=True)
class Part:
    """An object, or a mapping inside it."""

    object: Object
    path: str
    """Path of the mapping inside the object; empty for the object itself."""
    fields: Any

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.object.get("kind"))

    @property
    def name(self) -> str:
        """The object's name; UNKNOWN if only an update computes it."""
        metadata = self.object.get("metadata")
        return str(metadata.get("name") if isinstance(metadata, dict) else metadata)

    def get(self, path: str) -> Any:
        """Return the value at a path below; None where there is none."""
        return dig(self.fields, path)

    def mapping(self, path: str) -> Object:
        """Return the mapping at a path below; an empty one where there is none."""
        value = self.get(path)
        return {key: known(item) for key, item in value.items()} if isinstance(value, dict) else {}

    def items(self, path: str) -> list[Any]:
        """Return the list at a path below; an empty one where there is none."""
        value = self.get(path)
        return [known(item) for item in value] if isinstance(value, list) else []

    def text(self, path: str) -> str:
        """Return the value at a path below as text; empty where there is none."""
        value = self.get(path)
        return "" if value is None else str(value)

    def count(self, path: str, default: int = 0) -> int:
        """Return the integer at a path below; `default` where there is none."""
        value = self.get(path)
        return value if isinstance(value, int) else default

    def part(self, path: str) -> Part:
        """Return the mapping at a path below as a part."""
        return Part(self.object, self.at(path), self.get(path))

    def parts(self, path: str) -> Iterator[Part]:
        """Yield each item of the list at a path below as a part."""
        for index, item in enumerate(self.items(path)):
            yield Part(self.object, self.at(f"{path}[{index}]"), item)

    def at(self, path: str) -> str:
        """Return the full path of something below."""
        return f"{self.path}.{path}".strip(".")

    def wrong(self, path: str, fix: str) -> Violation:
        """Return a violation that shows the value at a path below, and the fix."""
        value = self.get(path)
        text = value if isinstance(value, str) else json.dumps(value)
        problem = "is missing" if value is None else f"is {text[:80]}"
        return self.violation(path, f"{problem}; {fix}")

    def violation(self, path: str, message: str) -> Violation:
        """Return a violation with a message of its own, where the value is secret or not a single one."""
        return Violation(self.object, self.at(path), message)


@dataclass(frozen=True)
class Pod(Part):
    """The spec of the pods that an object creates."""

    labels: Object
    """The pods' labels."""
    annotations: Object
    """The pods' annotations."""

    @property
    def owner(self) -> str:
        """The object that creates them: `Deployment/api`."""
        return f"{self.kind}/{self.name}"

    @property
    def is_permanent(self) -> bool:
        """Whether these pods run all the time."""
        return self.kind in SERVING

    @property
    def serves(self) -> bool:
        """Whether these pods serve requests; those of a worker do not."""
        return self.is_permanent and self.labels.get(COMPONENT) != WORKER

    @property
    def is_canary(self) -> bool:
        """Whether they run a release that is tried beside the serving one."""
        return self.labels.get(TRACK) == CANARY

    @property
    def ports(self) -> list[Part]:
        """The ports of all containers."""
        return [port for container in self.containers for port in container.ports]

    @property
    def containers(self) -> Iterator[Container]:
        """All containers, init containers last."""
        for key in ("containers", "initContainers"):
            for part in self.parts(key):
                yield Container(part.object, part.path, part.fields, self, is_first=key == "initContainers")


@dataclass(frozen=True)
class Container(Part):
    """One container of a pod."""

    pod: Pod
    is_first: bool
    """Whether it runs before the others, as an init container."""

    @property
    def serves(self) -> bool:
        """Whether it serves requests."""
        return self.pod.serves and not self.is_first

    @property
    def label(self) -> str:
        """The container's own name; `name` is the object's."""
        return str(self.get("name"))

    @property
    def ports(self) -> list[Part]:
        """The ports it declares."""
        return list(self.parts("ports"))

    def context(self, key: str) -> tuple[Part, Any]:
        """Return who sets a key of the security context, the container or else its pod, and the value."""
        decides = self if self.get(f"securityContext.{key}") is not None else self.pod
        return decides, decides.get(f"securityContext.{key}")

"""What a house rule is, and how rules read Kubernetes objects.

An object is a plain camelCase mapping, as `kubectl apply` would take it. What is missing reads as None or as empty,
what is secret as `***`. What only an update can tell ends the reading: a rule says nothing where it does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeAlias, TypeVar

from naming import CANARY, TRACK

Object: TypeAlias = dict[str, Any]

# The engine's own mark for a value that only an update can tell.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SECRET = "***"

SERVING = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds whose pods answer requests; those of jobs run to their end."""
_TEMPLATES = {
    **dict.fromkeys((*SERVING, "ReplicaSet", "Job"), "spec.template."),
    "CronJob": "spec.jobTemplate.spec.template.",
    "Pod": "",
}


class NotKnown(Exception):
    """A rule looks at a value that only an update can tell."""


def dig(value: Any, dotted: str) -> Any:
    """The value at `spec.template.spec`; None where there is nothing. `NotKnown` if only an update can tell."""
    for key in _keys(dotted):
        if not isinstance(value, dict):
            known(value)
            return None
        value = value.get(key)
    return known(value)


@cache
def _keys(dotted: str) -> list[str]:
    return dotted.split(".") if dotted else []


def known(value: Any) -> Any:
    """The value itself; `NotKnown` if only an update can tell."""
    if value == UNKNOWN:
        raise NotKnown
    return value


@dataclass(frozen=True)
class Problem:
    """What is wrong, and at which place of which object."""

    object: Object
    path: str
    message: str


@dataclass(frozen=True)
class Part:
    """An object, or a mapping inside it."""

    object: Object
    path: str
    fields: Any

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return str(self.object.get("kind"))

    @property
    def name(self) -> str:
        """Name of the object; UNKNOWN if only an update can tell."""
        metadata = self.object.get("metadata")
        return str(metadata.get("name") if isinstance(metadata, dict) else metadata)

    def get(self, dotted: str) -> Any:
        """The value at a place below; None where there is nothing."""
        return dig(self.fields, dotted)

    def mapping(self, dotted: str) -> Object:
        """The mapping at a place below; empty where there is none."""
        value = self.get(dotted)
        return {key: known(item) for key, item in value.items()} if isinstance(value, dict) else {}

    def items(self, dotted: str) -> list[Any]:
        """The list at a place below; empty where there is none."""
        value = self.get(dotted)
        return [known(item) for item in value] if isinstance(value, list) else []

    def text(self, dotted: str) -> str:
        """The value at a place below as text; empty where there is none."""
        value = self.get(dotted)
        return "" if value is None else str(value)

    def count(self, dotted: str, otherwise: int = 0) -> int:
        """The whole number at a place below; `otherwise` where there is none."""
        value = self.get(dotted)
        return value if isinstance(value, int) else otherwise

    def part(self, dotted: str) -> Part:
        """The mapping at a place below, with its place."""
        return Part(self.object, self.at(dotted), self.get(dotted))

    def parts(self, dotted: str) -> Iterator[Part]:
        """Each item of the list at a place below, with its place."""
        for index, item in enumerate(self.items(dotted)):
            yield Part(self.object, self.at(f"{dotted}[{index}]"), item)

    def at(self, dotted: str) -> str:
        """Place of something below, seen from the object."""
        return f"{self.path}.{dotted}".strip(".")

    def wrong(self, dotted: str, fix: str) -> Problem:
        """The value at that place is wrong: what it is, and what to do."""
        value = self.get(dotted)
        text = value if isinstance(value, str) else json.dumps(value)
        found = "is missing" if value is None else f"is {text[:80]}"
        return self.says(dotted, f"{found}; {fix}")

    def says(self, dotted: str, message: str) -> Problem:
        """Something is wrong at that place, which must not be repeated or is not a single value."""
        return Problem(self.object, self.at(dotted), message)


@dataclass(frozen=True)
class Pod(Part):
    """The spec of the pods an object makes."""

    labels: Object
    """Labels of the pods."""

    @property
    def owner(self) -> str:
        """The object that makes them: `Deployment/api`."""
        return f"{self.kind}/{self.name}"

    @property
    def serves(self) -> bool:
        """Whether these pods answer requests."""
        return self.kind in SERVING

    @property
    def is_canary(self) -> bool:
        """Whether others serve, and these are only tried beside them."""
        return self.labels.get(TRACK) == CANARY

    @property
    def ports(self) -> list[Part]:
        """The ports of all containers."""
        return [port for container in self.containers for port in container.ports]

    @property
    def containers(self) -> Iterator[Container]:
        """All containers, those that only prepare the pod last."""
        for key in ("containers", "initContainers"):
            for part in self.parts(key):
                yield Container(part.object, part.path, part.fields, self, serves=self.serves and key == "containers")


@dataclass(frozen=True)
class Container(Part):
    """One container of a pod."""

    pod: Pod
    serves: bool
    """Whether it answers requests."""

    @property
    def label(self) -> str:
        """Its own name."""
        return str(self.get("name"))

    @property
    def ports(self) -> list[Part]:
        """The ports it answers on."""
        return list(self.parts("ports"))

    def context(self, key: str) -> tuple[Part, Any]:
        """Who decides on a setting of the security context, container or pod, and how."""
        decides = self if self.get(f"securityContext.{key}") is not None else self.pod
        return decides, decides.get(f"securityContext.{key}")


class Stack:
    """All objects of a stack, and what rules ask of them again and again."""

    def __init__(self, objects: Iterable[Object]) -> None:
        # In order: objects are declared in any, and of two that clash the same one is to be told each time.
        self.objects = sorted((Part(found, "", found) for found in objects), key=lambda part: (part.kind, part.name))

    def of(self, *kinds: str) -> list[Part]:
        """The objects of these kinds."""
        return [found for kind in kinds for found in self._by_kind.get(kind, [])]

    def named(self, kind: str, name: Any) -> Part | None:
        """The object of that kind and name; None if there is no such object."""
        found = next((found for found in self.of(kind) if found.name == known(name)), None)
        return found or known(next((UNKNOWN for found in self.of(kind) if found.name == UNKNOWN), None))

    @cached_property
    def pods(self) -> list[Pod]:
        """The pods of all objects that make some."""
        pods: list[Pod] = []
        for found in self.of(*_TEMPLATES):
            template = _TEMPLATES[found.kind]
            spec, labels = found.get(f"{template}spec"), found.get(f"{template}metadata.labels")
            pods.append(Pod(found.object, f"{template}spec", spec, labels if isinstance(labels, dict) else {}))
        return pods

    @cached_property
    def containers(self) -> list[Container]:
        """The containers of all pods."""
        return [container for pod in self.pods for container in pod.containers]

    def lasting(self, *kinds: str) -> list[Part]:
        """The workloads of these kinds without canaries, which come and go."""
        passing = [pod.object for pod in self.pods if pod.is_canary]
        return [found for found in self.of(*kinds) if found.object not in passing]

    def selected(self, labels: Any) -> list[Pod]:
        """The pods with all of these labels."""
        return [pod for pod in self.pods if selects(labels, pod.labels)]

    def variables(self, container: Container) -> dict[str, str]:
        """The environment a container starts with, as far as it is no secret."""
        found: dict[str, str] = {}
        for source in container.parts("envFrom"):
            config = self.named("ConfigMap", source.get("configMapRef.name"))
            found |= {key: str(value) for key, value in config.mapping("data").items()} if config else {}
        return found | {own.text("name"): own.text("value") for own in container.parts("env")}

    def autoscaler(self, kind: str, name: str) -> Part | None:
        """The HorizontalPodAutoscaler of a workload."""
        target = (kind, known(name))
        scalers = self.of("HorizontalPodAutoscaler")
        found = (s for s in scalers if (s.get("spec.scaleTargetRef.kind"), s.get("spec.scaleTargetRef.name")) == target)
        return next(found, None)

    def replicas(self, workload: Part) -> tuple[int, int]:
        """Fewest and most pods of a workload."""
        if scaler := self.autoscaler(workload.kind, workload.name):
            return scaler.count("spec.minReplicas", 1), scaler.count("spec.maxReplicas", 1)
        return workload.count("spec.replicas", 1), workload.count("spec.replicas", 1)

    @cached_property
    def _by_kind(self) -> dict[str, list[Part]]:
        kinds: dict[str, list[Part]] = {}
        for found in self.objects:
            kinds.setdefault(found.kind, []).append(found)
        return kinds


def selects(labels: Any, of_pod: Object) -> bool:
    """Whether `matchLabels` fit; no labels at all fit every pod."""
    if not isinstance(labels, dict):
        return labels is None
    return all(known(of_pod.get(key)) == known(value) for key, value in labels.items())


def port_number(ports: Iterable[Part], port: Any) -> int | None:
    """The number of a container port given by name or number; None if there is no such port."""
    fits = (found for found in ports if port is not None and port in (found.get("name"), found.get("containerPort")))
    return next((found.get("containerPort") for found in fits), None)


def told_ports(ports: Iterable[Part]) -> str:
    """`http (8080), admin (9090)`."""
    return ", ".join(f"{port.get('name')} ({port.get('containerPort')})" for port in ports) or "no ports"


_UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text: Any) -> float | None:
    """`"64Mi"` -> 67108864, `"250m"` -> 0.25; None for what is no quantity."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([a-zA-Z]{0,2})", str(text))
    return float(match[1]) * _UNITS[match[2]] if match and match[2] in _UNITS else None


@dataclass(frozen=True)
class Rule:
    """One house rule."""

    id: str
    title: str
    """What holds."""
    reason: str
    """What would go wrong otherwise."""
    find: Callable[[Stack], Iterable[Problem]]
    alone: bool
    """Whether one object is enough to tell that it is broken."""
    guarded: bool
    """Whether it holds where findings are mandatory only; elsewhere less is fine."""
    always: bool = False
    """Whether it is mandatory in every environment and cannot be waived: an update would fail."""


Thing = TypeVar("Thing")
Look: TypeAlias = Callable[[Thing], Iterable[Problem]]


class Rules(list[Rule]):
    """The rules of one module, in reading order."""

    def __init__(self, *, always: bool = False) -> None:
        super().__init__()
        self._always = always

    def each(self, things: Callable[[Stack], Iterable[Thing]], id: str) -> Callable[[Look[Thing]], Look[Thing]]:
        """Register a rule about every single thing of a kind; its docstring is what holds, and what it is for."""

        def register(look: Look[Thing]) -> Look[Thing]:
            def find(stack: Stack) -> Iterator[Problem]:
                for thing in things(stack):
                    yield from _as_far_as_known(look, thing)

            def judge(stack: Stack) -> Iterator[Problem]:
                return _as_far_as_known(find, stack)

            self.append(Rule(id, *_words(look), judge, alone=True, guarded=False, always=self._always))
            return look

        return register

    def together(self, id: str, *, guarded: bool = False) -> Callable[[Look[Stack]], Look[Stack]]:
        """Register a rule about all objects of a stack, likewise."""

        def register(look: Look[Stack]) -> Look[Stack]:
            def find(stack: Stack) -> Iterator[Problem]:
                return _as_far_as_known(look, stack)

            self.append(Rule(id, *_words(look), find, alone=False, guarded=guarded, always=self._always))
            return look

        return register


def _as_far_as_known(look: Look[Thing], thing: Thing) -> Iterator[Problem]:
    with suppress(NotKnown):
        yield from look(thing)


def _words(look: Callable[..., Any]) -> tuple[str, str]:
    """Title and reason: a docstring reads `What holds: what would go wrong otherwise.`."""
    title, _, reason = " ".join(str(look.__doc__).split()).rstrip(".").partition(": ")
    return title, reason

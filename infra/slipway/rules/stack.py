"""All objects of a stack, and the questions that several rules ask about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias

from slipway.objects import UNKNOWN, Object
from slipway.rules.autoscalers import AUTOSCALERS, max_replicas, min_replicas, target_of
from slipway.rules.parts import SERVING, Container, Part, Pod, UnknownValueError, known

_TEMPLATES = {
    **dict.fromkeys((*SERVING, "ReplicaSet", "Job"), "spec.template."),
    "CronJob": "spec.jobTemplate.spec.template.",
    "Pod": "",
}


Variables: TypeAlias = Mapping[str, Collection[str]]
"""The variables that the app of a service states it reads, by service; not every service states them."""


class Stack:
    """All objects of a stack.

    Each look-up goes through an index: with hundreds of services, a search through all objects for each of them would
    take most of a run.
    """

    def __init__(self, objects: Iterable[Object], variables: Variables | None = None) -> None:
        self.stated_variables = variables or {}
        # Sorted, since objects are declared in any order: of two that clash, the same one is reported each time.
        self.objects = sorted((Part(obj, "", obj) for obj in objects), key=lambda part: (part.kind, part.name))
        self._selecting: dict[tuple[str, str], dict[int, list[Part]]] = {}

    def of(self, *kinds: str) -> list[Part]:
        """Return the objects of these kinds."""
        return [obj for kind in kinds for obj in self._by_kind.get(kind, [])]

    def named(self, kind: str, name: Any) -> Part | None:
        """Return the object of a kind and name; None if there is no such object."""
        objects = self._by_name.get(kind)
        if not objects:
            return None
        match = objects.get(known(name)) if isinstance(name, str) else None
        # One whose name is not known yet may be it.
        return match or known(UNKNOWN if UNKNOWN in objects else None)

    @cached_property
    def pods(self) -> list[Pod]:
        """The pods of all objects that create some."""
        return [pod for obj in self.of(*_TEMPLATES) for pod in pods_of(obj)]

    @cached_property
    def containers(self) -> list[Container]:
        """The containers of all pods."""
        return [container for pod in self.pods for container in pod.containers]

    def permanent(self, *kinds: str) -> list[Part]:
        """Return the workloads of these kinds without canaries, which are temporary."""
        canaries = [pod.object for pod in self.pods if pod.is_canary]
        return [workload for workload in self.of(*kinds) if workload.object not in canaries]

    def selected(self, labels: Any) -> list[Pod]:
        """Return the pods that have all of these labels."""
        return [pod for pod in self._candidates(labels) if selects(labels, pod.labels)]

    def _candidates(self, labels: Any) -> list[Pod]:
        """Return the pods that may have all of these labels: those with the rarest one, if all values are known."""
        by_label = self._pods_by_label
        if by_label and isinstance(labels, dict) and labels and all(map(_is_known_text, labels.values())):
            return min((by_label.get(label, []) for label in labels.items()), key=len)
        return self.pods

    def selecting(self, pod: Pod, kind: str, path: str) -> list[Part]:
        """Return the objects of a kind whose labels at a path select a pod."""
        try:
            return self._selectors(kind, path).get(id(pod.object), [])
        except UnknownValueError:
            # Some label is not known yet, though perhaps none of these.
            return [obj for obj in self.of(kind) if selects(obj.get(path), pod.labels)]

    def _selectors(self, kind: str, path: str) -> dict[int, list[Part]]:
        """Return `selecting` for all pods, each by the identity of the object that creates it."""
        if (kind, path) not in self._selecting:
            selectors: dict[int, list[Part]] = {}
            for obj in self.of(kind):
                for pod in self.selected(obj.get(path)):
                    selectors.setdefault(id(pod.object), []).append(obj)
            self._selecting[kind, path] = selectors
        return self._selecting[kind, path]

    def variables(self, container: Container) -> dict[str, str]:
        """Return the environment variables of a container that are not secret."""
        variables: dict[str, str] = {}
        for source in container.parts("envFrom"):
            config = self.named("ConfigMap", source.get("configMapRef.name"))
            variables |= {key: str(value) for key, value in config.mapping("data").items()} if config else {}
        return variables | {entry.text("name"): entry.text("value") for entry in container.parts("env")}

    def autoscaler(self, kind: str, name: str) -> Part | None:
        """Return the autoscaler of a workload, a HorizontalPodAutoscaler or a ScaledObject."""
        found = self._by_target.get((kind, known(name)))
        # One whose target is not known yet may be it.
        return found or known(UNKNOWN if UNKNOWN in self._by_target else None)

    def replicas(self, workload: Part) -> tuple[int, int]:
        """Return the minimum and maximum number of pods of a workload."""
        if scaler := self.autoscaler(workload.kind, workload.name):
            return min_replicas(scaler), max_replicas(scaler)
        return workload.count("spec.replicas", 1), workload.count("spec.replicas", 1)

    @cached_property
    def _by_kind(self) -> dict[str, list[Part]]:
        kinds: dict[str, list[Part]] = {}
        for obj in self.objects:
            kinds.setdefault(obj.kind, []).append(obj)
        return kinds

    @cached_property
    def _by_name(self) -> dict[str, dict[str, Part]]:
        kinds: dict[str, dict[str, Part]] = {}
        for obj in self.objects:
            kinds.setdefault(obj.kind, {}).setdefault(obj.name, obj)
        return kinds

    @cached_property
    def _by_target(self) -> dict[tuple[str, str] | str, Part]:
        """The autoscalers by what they scale, up to the first whose target is UNKNOWN."""
        targets: dict[tuple[str, str] | str, Part] = {}
        for scaler in self.of(*AUTOSCALERS):
            try:
                targets.setdefault(target_of(scaler), scaler)
            except UnknownValueError:
                targets[UNKNOWN] = scaler
                break
        return targets

    @cached_property
    def _pods_by_label(self) -> dict[tuple[str, str], list[Pod]]:
        """The pods by each of their labels; empty if some label is not known."""
        labelled: dict[tuple[str, str], list[Pod]] = {}
        for pod in self.pods:
            for key, value in pod.labels.items():
                if value == UNKNOWN:
                    return {}
                if isinstance(value, str):
                    labelled.setdefault((key, value), []).append(pod)
        return labelled


def pods_of(obj: Part) -> list[Pod]:
    """Return the pods that an object creates: one kind of them, or none."""
    template = _TEMPLATES.get(obj.kind)
    if template is None:
        return []
    spec = obj.get(f"{template}spec")
    metadata = [obj.get(f"{template}metadata.{key}") for key in ("labels", "annotations")]
    labels, annotations = (given if isinstance(given, dict) else {} for given in metadata)
    return [Pod(obj.object, f"{template}spec", spec, labels, annotations)]


def _is_known_text(value: Any) -> bool:
    return isinstance(value, str) and value != UNKNOWN


def selects(labels: Any, pod_labels: Object) -> bool:
    """Return whether `matchLabels` match a pod; None matches every pod."""
    if not isinstance(labels, dict):
        return labels is None
    return all(known(pod_labels.get(key)) == known(value) for key, value in labels.items())


def labels_of(obj: Part) -> Iterator[tuple[str, Object]]:
    """Yield the labels of an object and of the pods it creates, with their path."""
    yield "metadata.labels", obj.mapping("metadata.labels")
    for pod in pods_of(obj):
        yield pod.path.removesuffix("spec") + "metadata.labels", pod.labels


def port_number(ports: Iterable[Part], port: Any) -> int | None:
    """Return the number of a container port given by name or number; None if there is no such port."""
    matches = (entry for entry in ports if port is not None and port in (entry.get("name"), entry.get("containerPort")))
    return next((entry.get("containerPort") for entry in matches), None)


def list_ports(ports: Iterable[Part]) -> str:
    """Return ports as text: `http (8080), admin (9090)`."""
    return ", ".join(f"{port.get('name')} ({port.get('containerPort')})" for port in ports) or "no ports"


# What rules are about (`Rules.each`).


def every_object(stack: Stack) -> list[Part]:
    """Return every object."""
    return stack.objects


def pods(stack: Stack) -> list[Pod]:
    """Return every pod template."""
    return stack.pods


def containers(stack: Stack) -> list[Container]:
    """Return every container."""
    return stack.containers


def of(*kinds: str) -> Callable[[Stack], list[Part]]:
    """Return what gives the objects of these kinds."""
    return lambda stack: stack.of(*kinds)

"""All objects of a stack, and the questions that several rules ask about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias

from slipway.objects import UNKNOWN, Object
from slipway.rules.autoscalers import AUTOSCALERS, max_replicas, min_replicas, target_of
from slipway.rules.parts import SERVING, Container, Part, Pod, known

_TEMPLATES = {
    **dict.fromkeys((*SERVING, "ReplicaSet", "Job"), "spec.template."),
    "CronJob": "spec.jobTemplate.spec.template.",
    "Pod": "",
}


Variables: TypeAlias = Mapping[str, Collection[str]]
"""The variables that the app of a service states it reads, by service; not every service states them."""


class Stack:
    """All objects of a stack."""

    def __init__(self, objects: Iterable[Object], variables: Variables | None = None) -> None:
        self.stated_variables = variables or {}
        # Sorted, since objects are declared in any order: of two that clash, the same one is reported each time.
        self.objects = sorted((Part(obj, "", obj) for obj in objects), key=lambda part: (part.kind, part.name))

    def of(self, *kinds: str) -> list[Part]:
        """Return the objects of these kinds."""
        return [obj for kind in kinds for obj in self._by_kind.get(kind, [])]

    def named(self, kind: str, name: Any) -> Part | None:
        """Return the object of a kind and name; None if there is no such object."""
        match = next((obj for obj in self.of(kind) if obj.name == known(name)), None)
        # One whose name is not known yet may be it.
        return match or known(next((UNKNOWN for obj in self.of(kind) if obj.name == UNKNOWN), None))

    @cached_property
    def pods(self) -> list[Pod]:
        """The pods of all objects that create some."""
        pods: list[Pod] = []
        for obj in self.of(*_TEMPLATES):
            template = _TEMPLATES[obj.kind]
            spec = obj.get(f"{template}spec")
            metadata = [obj.get(f"{template}metadata.{key}") for key in ("labels", "annotations")]
            labels, annotations = (given if isinstance(given, dict) else {} for given in metadata)
            pods.append(Pod(obj.object, f"{template}spec", spec, labels, annotations))
        return pods

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
        return [pod for pod in self.pods if selects(labels, pod.labels)]

    def variables(self, container: Container) -> dict[str, str]:
        """Return the environment variables of a container that are not secret."""
        variables: dict[str, str] = {}
        for source in container.parts("envFrom"):
            config = self.named("ConfigMap", source.get("configMapRef.name"))
            variables |= {key: str(value) for key, value in config.mapping("data").items()} if config else {}
        return variables | {entry.text("name"): entry.text("value") for entry in container.parts("env")}

    def autoscaler(self, kind: str, name: str) -> Part | None:
        """Return the autoscaler of a workload, a HorizontalPodAutoscaler or a ScaledObject."""
        target = (kind, known(name))
        return next((scaler for scaler in self.of(*AUTOSCALERS) if target_of(scaler) == target), None)

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


def selects(labels: Any, pod_labels: Object) -> bool:
    """Return whether `matchLabels` match a pod; None matches every pod."""
    if not isinstance(labels, dict):
        return labels is None
    return all(known(pod_labels.get(key)) == known(value) for key, value in labels.items())


def labels_of(obj: Part) -> Iterator[tuple[str, Object]]:
    """Yield the labels of an object and of the pods it creates, with their path."""
    yield "metadata.labels", obj.mapping("metadata.labels")
    for pod in Stack([obj.object]).pods:
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

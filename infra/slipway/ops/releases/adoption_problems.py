"""The problems that keep existing objects from being adopted: what would be replaced, fought over, or lose requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slipway.objects import Object, dig, name_of
from slipway.ops.changes import capacity, exposure
from slipway.ops.changes.classify import FIXED
from slipway.ops.changes.comparison import Change, Field
from slipway.ops.cluster import ownership
from slipway.ops.diagnosis.drift import differences
from slipway.ops.program.recorder import Declared

# Annotations that only tools read.
_BOOKKEEPING = re.compile(
    r"^(meta\.helm\.sh|helm\.sh|kubectl\.kubernetes\.io|deployment\.kubernetes\.io|(pv|volume|volume\.beta)\.kubernetes\.io|pulumi\.com)/"
)


@dataclass(frozen=True)
class ExistingObject:
    """An object in the cluster that the program declares too."""

    declared: Declared
    present: Object

    @property
    def title(self) -> str:
        """`Deployment/api`."""
        return f"{self.declared.kind}/{name_of(self.present)}"

    @property
    def description(self) -> str:
        """The object, who made it, and what it loses: `Deployment/api (Helm; without its example.com/team)`."""
        has, wants = (dig(side, "metadata.annotations") or {} for side in (self.present, self.declared.inputs))
        lost = [key for key in has if key not in wants and not _BOOKKEEPING.search(key)]
        without = f"; without its {', '.join(lost)}" if lost else ""
        return f"{self.title} ({ownership.creator(self.present)}{without}{self._renamed_ports})"

    @property
    def _renamed_ports(self) -> str:
        """Ports of a Service that get another name: until its endpoints have it too, the old name leads nowhere."""
        has, wants = (
            {port["port"]: port.get("name", "") for port in dig(side, "spec.ports") or []}
            for side in (self.present, self.declared.inputs if self.declared.kind == "Service" else {})
        )
        names = [f"{has[port]!r} becomes {name!r}" for port, name in wants.items() if has.get(port, name) != name]
        why = "for a fraction of a second an ingress may find no endpoint"
        return f"; the name of its port {', '.join(names)}: {why}" if names else ""

    def differs(self, field: str, fix: str) -> AdoptionProblem:
        """Return the problem that a field has another value than the stack wants."""
        has, wants = (_value(side, field) for side in (self.present, self.declared.inputs))
        return AdoptionProblem(self.title, f"{field} is {has}, the stack wants {wants}", fix)


@dataclass(frozen=True)
class AdoptionProblem:
    """What keeps an object from being adopted, and what to do about it."""

    object: str
    problem: str
    fix: str

    @property
    def message(self) -> str:
        """`Deployment/api: spec.selector is ..., the stack wants .... Kubernetes cannot change it; ...`."""
        return f"{self.object}: {self.problem}. {self.fix}"


def problems(existing: list[ExistingObject], stack: str) -> Iterator[AdoptionProblem]:
    """Yield all problems of the objects."""
    deployments = {name_of(object_.present): object_ for object_ in existing if object_.declared.kind == "Deployment"}
    for object_ in existing:
        if keeper := ownership.competing_owner(object_.present, stack):
            fix = "Remove it from there first"
            yield AdoptionProblem(object_.title, f"is written again and again by {keeper}", fix)
        yield from _immutable_fields(object_, stack)
        yield from _lost_addresses(object_)
        if object_.declared.kind == "Ingress":
            yield from _ingress_changes(object_)
        if object_.declared.kind == "Service" and (deployment := deployments.get(name_of(object_.present))):
            yield from _unreachable_pods(object_, deployment)


def _immutable_fields(object_: ExistingObject, stack: str) -> Iterator[AdoptionProblem]:
    """Yield the fields that differ and that Kubernetes does not change in place."""
    wanted, present, kind = object_.declared.inputs, object_.present, object_.declared.kind
    if kind in ("Deployment", "StatefulSet") and dig(present, "spec.selector") != dig(wanted, "spec.selector"):
        yield object_.differs("spec.selector", _selector_fix(object_, stack))
    configuration = r"^(data|binaryData|type)\b" if present.get("immutable") else "^type$"
    immutable = configuration if kind in ("ConfigMap", "Secret") else FIXED.get(kind, "^$")
    for path, wants, has in differences(wanted, present):
        field = ".".join(map(str, path))
        is_size = kind == "PersistentVolumeClaim" and path[-1] == "storage"
        shrinks = is_size and capacity.is_less(Field(field, has, wants))
        if shrinks or (re.search(immutable, field) and not field.startswith("spec.selector")):
            fix = "Kubernetes cannot change it: write this value into the stack file, or use another name"
            yield object_.differs(field, fix)


def _selector_fix(object_: ExistingObject, stack: str) -> str:
    selector: Object = dig(object_.present, "spec.selector") or {}
    if object_.declared.kind != "Deployment" or selector.keys() != {"matchLabels"}:
        return "Kubernetes cannot change it, and no setting can express it: use another name"
    labels = [f"        {key}: {json.dumps(value)}" for key, value in sorted(selector["matchLabels"].items())]
    lines = [f"    {name_of(object_.present)}:", "      selector:", *labels]
    where = f"Kubernetes cannot change it; write into stacks/Pulumi.{stack}.yaml, under slipway:services"
    return "\n".join([f"{where}:", *lines])


def _lost_addresses(object_: ExistingObject) -> Iterator[AdoptionProblem]:
    """Yield the addresses that clients may use and that would no longer be answered."""
    for address in exposure.lost(Change(object_.title, object_.present, object_.declared.inputs)):
        fix = "Write it into the stack file, or remove it from the object once no client uses it"
        yield AdoptionProblem(object_.title, f"{address} would no longer be answered", fix)


def _ingress_changes(object_: ExistingObject) -> Iterator[AdoptionProblem]:
    """Yield what of an Ingress would lead requests elsewhere."""
    present, wanted = object_.present, object_.declared.inputs
    by_annotation = dig(present, "metadata.annotations", "kubernetes.io/ingress.class")
    class_name = dig(present, "spec.ingressClassName") or by_annotation
    if class_name != dig(wanted, "spec.ingressClassName"):
        fix = f"Write `className: {class_name}` under `ingress` of the service"
        yield object_.differs("spec.ingressClassName", fix)
    if dig(present, "spec.tls") and not dig(wanted, "spec.tls"):
        yield object_.differs("spec.tls", "Say under `ingress.tls` of the service where the certificate comes from")
    for port in sorted(_ports_by_name(present) - _ports_by_name(wanted)):
        problem = f"leads to port {port!r} of a Service, which has another name in the stack"
        fix = "Use the port's number instead: until the Ingress changes too, the name would lead nowhere"
        yield AdoptionProblem(object_.title, problem, fix)


def _ports_by_name(ingress: Object) -> set[str]:
    rules: list[Object] = dig(ingress, "spec.rules") or []
    paths = [path for rule in rules for path in dig(rule, "http.paths") or []]
    return {name for path in paths if (name := dig(path, "backend.service.port.name"))}


def _unreachable_pods(service: ExistingObject, deployment: ExistingObject) -> Iterator[AdoptionProblem]:
    """Yield where the present Service does not lead to the new pods, which come before the Service changes."""
    template = deployment.declared.inputs["spec"]["template"]
    # New pods have the labels of the present selector too; where they cannot, _immutable_fields reports it.
    selected: Object = dig(deployment.present, "spec.selector.matchLabels") or {}
    labels, selector = {**template["metadata"]["labels"], **selected}, dig(service.present, "spec.selector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        yield service.differs("spec.selector", "The new pods lack one of its labels: remove that with kubectl first")
    containers: list[Object] = dig(template, "spec.containers")
    pod_ports = [port for container in containers for port in container.get("ports") or []]
    targets = {port.get(key) for port in pod_ports for key in ("name", "containerPort")}
    for port in dig(service.present, "spec.ports") or []:
        if port.get("targetPort", port["port"]) not in targets:
            problem = f"leads to port {port.get('targetPort')} of the pods"
            fix = "The new pods do not have it: name the port `http` in the Deployment, and use that in the Service"
            yield AdoptionProblem(service.title, problem, fix)
        if port["port"] not in [wanted["port"] for wanted in service.declared.inputs["spec"]["ports"]]:
            fix = "Have its clients use the stack's port, and remove this one from the Service"
            yield AdoptionProblem(service.title, f"port {port['port']} would no longer be answered", fix)


def _value(side: Any, field: str) -> str:
    for key in field.split("."):
        side = (side or {}).get(key) if isinstance(side, dict) else side[int(key)] if isinstance(side, list) else None
    return "(none)" if side is None else json.dumps(side)[:160]

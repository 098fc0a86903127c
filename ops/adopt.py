"""`./slipway adopt`: take over what Helm or kubectl has made, with no object replaced and no request lost.

An object that the program declares, that the state does not know and that the cluster holds is taken over: its fields
become ours (ownership.py), and the engine applies it as it would a new one, which Kubernetes does in place. What would
have to be replaced, or would lose requests on the way, is told before anything changes.

Connections are closed last: the pods from before are not among those the stack's NetworkPolicies let through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from adoption import ANNOTATION, OBJECTS
from kinds import plural
from lightkube.utils.quantity import parse_quantity
from naming import RELEASE

from ops import cluster, config, engine_state, ownership, reach, up
from ops.changes import Change
from ops.cluster import Cluster, Object, Refused, at, name_of
from ops.drift import differences
from ops.engine_state import State
from ops.judge import FIXED
from ops.recorder import Declared, Program, declare, stack_config

# With it the provider takes a create for a change of what is there.
UPSERT = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"
# What Helm and tutorials make, and so what may stay beside what is taken over.
LOOKED_THROUGH = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Service",
    "Ingress",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "PersistentVolumeClaim",
)
# Annotations that only tools read.
_BOOKKEEPING = re.compile(
    r"^(meta\.helm\.sh|helm\.sh|kubectl\.kubernetes\.io|deployment\.kubernetes\.io|(pv|volume|volume\.beta)\.kubernetes\.io|pulumi\.com)/"
)
_HELM_RECORD = "helm.sh/release.v1"


@dataclass(frozen=True)
class Adopted:
    """An object to be taken over, as it is in the cluster and as the program declares it."""

    declared: Declared
    present: Object

    @property
    def title(self) -> str:
        """`Deployment/api`."""
        return f"{self.declared.kind}/{name_of(self.present)}"

    @property
    def told(self) -> str:
        """What it is, who made it, and what goes."""
        has, wants = (at(side, "metadata", "annotations") or {} for side in (self.present, self.declared.inputs))
        gone = [key for key in has if key not in wants and not _BOOKKEEPING.search(key)]
        goes = f"; without its {', '.join(gone)}" if gone else ""
        return f"{self.title} ({ownership.maker(self.present)}{goes}{self._renamed})"

    @property
    def _renamed(self) -> str:
        """Ports of a Service that get another name: who routes by it finds no endpoints until those have it, too."""
        has, wants = (
            {port["port"]: port.get("name", "") for port in at(side, "spec", "ports") or []}
            for side in (self.present, self.declared.inputs if self.declared.kind == "Service" else {})
        )
        names = [f"{has[port]!r} becomes {name!r}" for port, name in wants.items() if has.get(port, name) != name]
        why = "for a fraction of a second an ingress may find nobody behind it"
        return f"; the name of its port {', '.join(names)}: {why}" if names else ""


@dataclass(frozen=True)
class Problem:
    """What keeps an object from being taken over as it is, and the way out."""

    object: str
    what: str
    fix: str

    @property
    def told(self) -> str:
        """`Deployment/api: spec.selector is ..., the stack wants .... Kubernetes cannot change it; ...`."""
        return f"{self.object}: {self.what}. {self.fix}"


def command(stack: str, *, yes: bool) -> int:
    """Tell what is to be taken over, ask, and do it. Exit code 1: it cannot be, or the update failed."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    program, state = declare(stack), engine_state.export(stack)
    found = cluster.connect(stack, config.settings(stack))
    adopted = list(to_adopt(program, state, found))
    if not adopted:
        typer.echo(f"{stack}: nothing to adopt: the cluster holds no object that only the stack file knows", err=True)
        return 0
    typer.echo(f"{stack}: to be adopted in namespace {found.namespace}:", err=True)
    for one in adopted:
        typer.echo(f"  {one.told}", err=True)
    beside = list(left_alone(program, found))
    for name in beside:
        typer.echo(f"  {name} stays as it is", err=True)
    if wrong := list(problems(adopted, stack)):
        typer.echo("\n".join(["", f"{stack}: cannot be adopted; nothing was changed:"]), err=True)
        for problem in wrong:
            typer.echo(f"  {problem.told}", err=True)
        return 1
    if not yes:
        typer.confirm(f"Take them over into stack {stack}? Their pods are rolled.", abort=True, err=True)
    return _take_over(program, adopted, found)


def to_adopt(program: Program, state: State, found: Cluster) -> Iterator[Adopted]:
    """What is there and not in the state, or in it since an adoption that was not complete."""
    resources = state["deployment"].get("resources") or []
    known = {one["urn"]: one.get("inputs") or {} for one in resources if not one.get("delete")}
    for declared in program.resources:
        # Those are named by their content, so one that is there is ours from before.
        if not declared.is_manifest or "::retained::" in str(declared.options.get("provider")):
            continue
        if declared.urn in known and not at(known[declared.urn], "metadata", "annotations", ANNOTATION):
            continue
        wanted = declared.inputs
        present = found.one(wanted["apiVersion"], wanted["kind"], name_of(wanted))
        if present and not at(present, "metadata", "deletionTimestamp"):
            yield Adopted(declared, present)


def left_alone(program: Program, found: Cluster) -> Iterator[str]:
    """What else somebody has made in the namespace, by kind and name."""
    declared = {(one.kind, name_of(one.inputs)) for one in program.resources if one.is_manifest}
    for kind in LOOKED_THROUGH:
        try:
            items = found.items(plural(kind))
        except Refused:
            continue  # who may not see it does not touch it either
        for one in items:
            if (kind, name_of(one)) not in declared and one.get("type") != _HELM_RECORD and _is_of_people(one):
                yield f"{kind}/{name_of(one)} ({ownership.maker(one)}{_rival(kind, one, declared)})"


def _is_of_people(found: Object) -> bool:
    """Not of a controller, and not what every namespace has."""
    entries = at(found, "metadata", "managedFields") or []
    is_ours = at(found, "metadata", "labels", "app.kubernetes.io/managed-by") == "pulumi"
    return any(map(ownership.is_former, entries)) and not is_ours and not at(found, "metadata", "ownerReferences")


def _rival(kind: str, found: Object, declared: set[tuple[str, str]]) -> str:
    target = at(found, "spec", "scaleTargetRef", "name")
    if kind == "HorizontalPodAutoscaler" and ("Deployment", target) in declared:
        return f"; scales Deployment/{target}, too: delete it afterwards"
    return ""


# What cannot be taken over as it is. ----------------------------------------------------------------------------------


def problems(adopted: list[Adopted], stack: str) -> Iterator[Problem]:
    """Everything that would be replaced, fought over, or lose requests."""
    rolled = {name_of(one.present): one for one in adopted if one.declared.kind == "Deployment"}
    for one in adopted:
        if keeper := ownership.keeper(one.present, stack):
            yield Problem(one.title, f"is written again and again by {keeper}", "Take it out of there first")
        yield from _fixed(one, stack)
        yield from _lost(one)
        if one.declared.kind == "Service" and (deployment := rolled.get(name_of(one.present))):
            yield from _unanswered(one, deployment)


def _fixed(one: Adopted, stack: str) -> Iterator[Problem]:
    """The fields that Kubernetes does not change in place."""
    wanted, present, kind = one.declared.inputs, one.present, one.declared.kind
    if kind in ("Deployment", "StatefulSet") and at(present, "spec", "selector") != at(wanted, "spec", "selector"):
        yield _differs(one, "spec.selector", _selector_fix(one, stack))
    frozen = r"^(data|binaryData|type)\b" if present.get("immutable") else "^type$"
    fixed = frozen if kind in ("ConfigMap", "Secret") else FIXED.get(kind, "^$")
    for path, wants, has in differences(wanted, present):
        field = ".".join(map(str, path))
        shrinks = kind == "PersistentVolumeClaim" and path[-1] == "storage" and _bytes(wants) < _bytes(has)
        if shrinks or (re.search(fixed, field) and not field.startswith("spec.selector")):
            yield _differs(one, field, "Kubernetes cannot change it: say so in the stack file, or use another name")


def _selector_fix(one: Adopted, stack: str) -> str:
    selector: Object = at(one.present, "spec", "selector") or {}
    if one.declared.kind != "Deployment" or selector.keys() != {"matchLabels"}:
        return "Kubernetes cannot change it, and no setting can say it: use another name"
    labels = [f"        {key}: {json.dumps(value)}" for key, value in sorted(selector["matchLabels"].items())]
    lines = [f"    {name_of(one.present)}:", "      selector:", *labels]
    at_file = f"Kubernetes cannot change it; write into stacks/Pulumi.{stack}.yaml, under slipway:services"
    return "\n".join([f"{at_file}:", *lines])


def _lost(one: Adopted) -> Iterator[Problem]:
    """What clients come by and would find no more."""
    for address in reach.lost(Change(one.title, one.present, one.declared.inputs)):
        fix = "Have the stack file say it, or take it out of the object once nobody comes by it"
        yield Problem(one.title, f"{address} would no longer be answered", fix)
    if one.declared.kind == "Ingress":
        by_annotation = at(one.present, "metadata", "annotations", "kubernetes.io/ingress.class")
        has = at(one.present, "spec", "ingressClassName") or by_annotation
        if has != at(one.declared.inputs, "spec", "ingressClassName"):
            yield _differs(one, "spec.ingressClassName", f"Write `className: {has}` under `ingress` of the service")
        if at(one.present, "spec", "tls") and not at(one.declared.inputs, "spec", "tls"):
            yield _differs(one, "spec.tls", "Say under `ingress.tls` of the service where the certificate comes from")
        for port in sorted(_ports_by_name(one.present) - _ports_by_name(one.declared.inputs)):
            fix = "Have it name the number instead: until the Ingress changes too, the name would lead nowhere"
            yield Problem(one.title, f"leads to port {port!r} of a Service, and the stack calls it otherwise", fix)


def _ports_by_name(ingress: Object) -> set[str]:
    rules: list[Object] = at(ingress, "spec", "rules") or []
    paths = [path for rule in rules for path in at(rule, "http", "paths") or []]
    return {name for path in paths if (name := at(path, "backend", "service", "port", "name"))}


def _unanswered(one: Adopted, deployment: Adopted) -> Iterator[Problem]:
    """Where the Service, which changes after the pods, would not lead to the new ones."""
    template = deployment.declared.inputs["spec"]["template"]
    # Those it selects by will be theirs: if they are not, that is told already.
    before: Object = at(deployment.present, "spec", "selector", "matchLabels") or {}
    labels, selector = {**template["metadata"]["labels"], **before}, at(one.present, "spec", "selector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        yield _differs(one, "spec.selector", "The new pods lack a label of it: take that out with kubectl before")
    containers: list[Object] = at(template, "spec", "containers")
    open_ports = [port for container in containers for port in container.get("ports") or []]
    answered = {port.get(key) for port in open_ports for key in ("name", "containerPort")}
    for port in at(one.present, "spec", "ports") or []:
        if port.get("targetPort", port["port"]) not in answered:
            fix = "The new pods do not: name the port `http` in the Deployment, and have the Service lead to it"
            yield Problem(one.title, f"leads to port {port.get('targetPort')} of the pods", fix)
        if port["port"] not in [wanted["port"] for wanted in one.declared.inputs["spec"]["ports"]]:
            fix = "Have its clients use the stack's port, and take this one out of the Service"
            yield Problem(one.title, f"port {port['port']} would no longer be answered", fix)


def _differs(one: Adopted, field: str, fix: str) -> Problem:
    """What the object has in a field and what the stack wants there."""
    has, wants = (_shown(side, field) for side in (one.present, one.declared.inputs))
    return Problem(one.title, f"{field} is {has}, the stack wants {wants}", fix)


def _shown(side: Any, field: str) -> str:
    for key in field.split("."):
        side = (side or {}).get(key) if isinstance(side, dict) else side[int(key)] if isinstance(side, list) else None
    return "(none)" if side is None else json.dumps(side)[:160]


def _bytes(quantity: Any) -> Any:
    return parse_quantity(str(quantity)) or 0


# Taking over. ---------------------------------------------------------------------------------------------------------


def _take_over(program: Program, adopted: list[Adopted], found: Cluster) -> int:
    """Step by step; each may be run again."""
    stack = found.stack
    policies = [one for one in adopted if one.declared.kind == "NetworkPolicy"]
    others = [one for one in adopted if one not in policies]
    for one in adopted:
        ownership.take(found, one.declared.inputs)
    for step, excluded in ((others, _closing(program)), (policies, [])):
        if step and not _applied(stack, step, excluded):
            return 1
    if up.command(stack, yes=True, returns=True) != 0:
        return 1
    return _counted(adopted, found)


def _closing(program: Program) -> list[str]:
    """What comes when no pod from before is left: closed connections, and the record that all is there."""
    return [
        one.urn
        for one in program.resources
        if one.kind == "NetworkPolicy" or (one.kind == "ConfigMap" and one.name == RELEASE)
    ]


def _applied(stack: str, adopted: list[Adopted], excluded: list[str]) -> bool:
    """Whether the engine has applied these objects to what is there."""
    without = [option for urn in excluded for option in ("--exclude", urn)]
    outcome = up.run(
        ["pulumi", "up", "-s", stack, "--yes", "--message", "adoption", *without], variables=_variables(adopted)
    )
    if outcome.code == 0:
        return True
    if outcome.is_to_be_undone:
        typer.echo(f"\nThe rollout failed:\n{up.cause(stack, outcome.events)}\n", err=True)
    typer.echo(
        f"error: {stack}: the adoption is not complete. Pods from before go on until new ones serve. Set right what is "
        f"wrong, then go on: ./slipway adopt -s {stack}",
        err=True,
    )
    return False


def _variables(adopted: list[Adopted]) -> Mapping[str, str]:
    names = (f"{one.declared.type}::{one.declared.name}" for one in adopted)
    return {OBJECTS: " ".join(names), UPSERT: "true"}


def _counted(adopted: list[Adopted], found: Cluster) -> int:
    """Tell that each object is still the one that was there, and what is left to do. Exit code 1 if one is not."""
    replaced: list[str] = []
    for one in adopted:
        wanted = one.declared.inputs
        now = found.one(wanted["apiVersion"], wanted["kind"], name_of(wanted))
        if at(now, "metadata", "uid") != at(one.present, "metadata", "uid"):
            replaced.append(one.title)
    names = f": {', '.join(replaced)}" if replaced else ""
    typer.echo(f"{found.stack}: adopted {len(adopted)} objects, {len(replaced)} replaced{names}", err=True)
    for release in sorted({ownership.release_of(one.present) for one in adopted} - {""}):
        typer.echo(
            f"Helm still thinks it owns them. Have it forget release {release}, and never `helm uninstall` it, which "
            f"would delete them:\n  kubectl --context {found.context} -n {found.namespace} delete secret "
            f"-l owner=helm,name={release}",
            err=True,
        )
    return 1 if replaced else 0

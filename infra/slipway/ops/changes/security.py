"""Finds what is less safe than before: security rules that no longer hold, and guards that are lifted.

The house rules tagged `security` define what is safe (infra/slipway/rules). The rest compares both sides of an object,
which no rule can: rights that grow, limits that are lifted, protection that is removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from slipway.objects import Object, dig, items, mapping
from slipway.ops.changes.comparison import Change, Model
from slipway.rules.house_rules import RULES
from slipway.rules.parts import Violation
from slipway.rules.rule import Rule
from slipway.rules.stack import Stack

_RULES = [rule for rule in RULES.values() if rule.security]
_ADVICE = [rule for rule in RULES.values() if rule.advice and not rule.security]
# The Pod Security Standards, the strictest last.
_STANDARDS = ("privileged", "baseline", "restricted")
_GUARDS = {"NetworkPolicy", "ResourceQuota", "LimitRange"}


def broken_rules(changes: list[Change]) -> dict[str, list[str]]:
    """Return, by changed object, the violations of security rules that were not there before."""
    return _new_violations(changes, _RULES)


def advised(changes: list[Change]) -> dict[str, list[str]]:
    """Return, by changed object, what a stack file asks for since this change, and a reader should know."""
    return _new_violations(changes, _ADVICE)


def _new_violations(changes: list[Change], rules: list[Rule]) -> dict[str, list[str]]:
    """Return, by changed object, the violations of these rules that were not there before.

    A new object is compared with a bare one: only what it asks for is a violation, not what it leaves out.
    """
    before = {change.name: change.before or _bare(change.after or {}) for change in changes}
    after = {change.name: change.after for change in changes if change.after is not None}
    known, edited = _violations(before, rules), {change.name for change in changes if change.fields}
    broken: dict[str, list[str]] = {}
    for (name, rule, place), text in _violations(after, rules).items():
        if (name, rule, place) not in known and name in edited:
            broken.setdefault(name, []).append(text)
    return broken


def _violations(model: Model, rules: list[Rule]) -> dict[tuple[str, str, str], str]:
    """Return what the rules say, by object, rule and place."""
    names = {id(obj): name for name, obj in model.items()}
    stack = Stack(model.values())
    found = ((rule, violation, _place(violation)) for rule in rules for violation in rule.find(stack))
    return {
        (names[id(violation.object)], rule.id, place): _text(rule, violation, place) for rule, violation, place in found
    }


def _text(rule: Rule, violation: Violation, place: str) -> str:
    return f"{place} {violation.message} ({rule.id}: {rule.reason})"


def _place(violation: Violation) -> str:
    """Return the path with the names of list items in place of their indexes, which change with the order."""
    value: Any = violation.object
    place = ""
    for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", violation.path):
        if index:
            value = value[int(index)] if isinstance(value, list) else None
            place += f"[{dig(value, 'name') or index}]"
        else:
            value, place = dig(value, "", key), f"{place}.{key}"
    return place.removeprefix(".").replace("spec.template.spec.", "")


def _bare(obj: Object) -> Object:
    """Return an object with its name only, and containers with nothing but theirs."""
    bare: Object = {key: obj[key] for key in ("kind", "metadata") if key in obj}
    for pod in Stack([obj]).pods:
        section = bare
        for key in pod.path.split("."):
            section = section.setdefault(key, {})
        for key in ("containers", "initContainers"):
            section[key] = [{"name": dig(container, "name")} for container in items(pod.fields, key)]
    return bare


def lifted_guards(change: Change) -> list[str]:
    """Return what an object no longer prevents."""
    if change.after is None:
        return ["is deleted: what it prevented is allowed"] if change.kind in _GUARDS else []
    before, after = change.before or {}, change.after
    granted = [f"allows {right}" for right in sorted(_rights(after) - _rights(before))]
    return [*granted, *_loosened(change.kind, before, after)] if change.before is not None else granted


def _loosened(kind: str, before: Object, after: Object) -> Iterator[str]:
    if dig(before, "options.protect") and not dig(after, "options.protect"):
        yield "is no longer protected: an update may delete it"
    if kind == "Namespace":
        kept, former = _standard(after), _standard(before)
        yield from (f"admits pods that the standard {name} refuses" for name in _STANDARDS[kept + 1 : former + 1])
    if kind == "NetworkPolicy":
        chosen, now = mapping(before, "spec.podSelector"), mapping(after, "spec.podSelector")
        more = mapping(now, "matchLabels").items() - mapping(chosen, "matchLabels").items()
        if more or items(now, "matchExpressions") != items(chosen, "matchExpressions"):
            yield "no longer applies to all pods it applied to"
        yield from (f"no longer limits {side}" for side in sorted(_limited(before) - _limited(after)))
    if kind == "ResourceQuota":
        limits, left = mapping(before, "spec.hard"), mapping(after, "spec.hard")
        yield from (f"no longer limits {key}" for key in limits if key not in left)
        for ports in ("services.nodeports", "services.loadbalancers"):
            if str(limits.get(ports)) == "0" and str(left.get(ports, "0")) != "0":
                yield f"admits {ports}, which lead past the ingress"


def _standard(namespace: Object) -> int:
    """Return the rank of the Pod Security Standard that a namespace enforces."""
    enforced = dig(namespace, "metadata.labels", "pod-security.kubernetes.io/enforce")
    return _STANDARDS.index(enforced) if enforced in _STANDARDS else 0


def _limited(policy: Object) -> set[str]:
    """Return the directions that a NetworkPolicy limits; without `policyTypes`, Kubernetes derives them."""
    implied = ["Ingress", *(["Egress"] if "egress" in mapping(policy, "spec") else [])]
    return set(mapping(policy, "spec").get("policyTypes", implied))


def _rights(obj: Object) -> set[str]:
    """Return what a Role allows, or to whom a binding gives what."""
    role: Any = dig(obj, "roleRef.name")
    given = {f"{who.get('kind')} {who.get('name')} what {role} allows" for who in items(obj, "subjects")}
    rules = items(obj, "rules") if str(obj.get("kind")).endswith("Role") else []
    return given | {
        f"to {verb} {resource} of {group or 'core'}"
        for rule in rules
        for group in rule.get("apiGroups") or [""]
        for resource in rule.get("resources") or rule.get("nonResourceURLs") or []
        for verb in rule.get("verbs") or []
    }

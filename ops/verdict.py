"""What a change does to what runs: the class of each change, with the reason in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from ops.changes import ABSENT, Change, Field, Object


class Class(Enum):
    """What a change does, the most dangerous first. The value is what one types and reads."""

    LOSES_DATA = "loses data"
    REPLACES = "replaces (downtime)"
    WEAKENS_SECURITY = "weakens security"
    EXPOSES = "exposes"
    SCALES_DOWN = "scales down"
    ROLLS_PODS = "rolls pods"
    CONFIG_ONLY = "config only"
    ADDS = "adds"
    NO_OP = "no-op"

    @property
    def flag(self) -> str:
        """As an argument: `loses-data`."""
        return self.name.lower().replace("_", "-")

    @property
    def rank(self) -> int:
        """0 is the most dangerous."""
        return list(Class).index(self)


FORBIDDEN = {
    "staging": {Class.LOSES_DATA},
    "prod": {Class.LOSES_DATA, Class.REPLACES, Class.WEAKENS_SECURITY, Class.EXPOSES},
}
"""What an environment does not let pass unless it is allowed by name. Not listed: everything passes."""

Reason: TypeAlias = tuple[Class, str]
Rule: TypeAlias = Callable[[Change], Iterator[Reason]]


@dataclass(frozen=True)
class Verdict:
    """A change, its classes and why."""

    change: Change
    reasons: tuple[Reason, ...]

    @property
    def primary(self) -> Class:
        """The most dangerous class."""
        return self.classes[0]

    @property
    def classes(self) -> list[Class]:
        """All classes, the most dangerous first."""
        return sorted({class_ for class_, _ in self.reasons}, key=lambda class_: class_.rank)


def judge(change: Change) -> Verdict:
    """The verdict on one change."""
    found = tuple(reason for rule in _RULES for reason in rule(change))
    return Verdict(change, found or (_otherwise(change),))


def _otherwise(change: Change) -> Reason:
    if change.before is None:
        return Class.ADDS, "is new"
    if change.after is None:
        return Class.CONFIG_ONLY, "is removed; nothing that runs depends on it"
    if not change.fields:
        return Class.NO_OP, "is as it was"
    return Class.CONFIG_ONLY, "is changed in place; no pod restarts"


# Data. ----------------------------------------------------------------------------------------------------------------

_HOLDS_DATA = {"Namespace", "PersistentVolumeClaim", "PersistentVolume", "StatefulSet"}


def _loses_data(change: Change) -> Iterator[Reason]:
    if change.kind not in _HOLDS_DATA or change.before is None:
        return
    if change.after is None:
        yield Class.LOSES_DATA, "is deleted with everything in it"
    elif change.replaced or _has(change, r"^metadata\.name(space)?$|^spec\.volumeClaimTemplates"):
        yield Class.LOSES_DATA, "is deleted and made anew, empty"


# Traffic that stops. --------------------------------------------------------------------------------------------------

_SERVES = {"Deployment", "StatefulSet", "Service", "Ingress", "HTTPRoute"}
_FIXED = {
    "Deployment": r"^spec\.selector",
    "StatefulSet": r"^spec\.(selector|serviceName|podManagementPolicy)",
    "Service": r"^spec\.clusterIP$",
    "RoleBinding": r"^roleRef",
    "Secret": r"^type$",
}


def _replaces(change: Change) -> Iterator[Reason]:
    if change.before is None or change.is_content_named:
        return
    if change.after is None:
        if change.kind in _SERVES:
            yield Class.REPLACES, "is deleted: what it served is gone"
        return
    fixed = [field.path for field in change.fields if re.search(_FIXED.get(change.kind, "^$"), field.path)]
    renamed = change.kind in _SERVES and _has(change, r"^metadata\.name(space)?$")
    if fixed or renamed or (change.replaced and change.kind in _SERVES):
        what = fixed[0] if fixed else "its name" if renamed else "a field of it"
        yield Class.REPLACES, f"{what} cannot be changed in place: deleted and made anew"


def _interrupts(change: Change) -> Iterator[Reason]:
    for field in change.fields if change.before and change.after else ():
        if field.path == "spec.strategy.type" and field.after == "Recreate":
            yield Class.REPLACES, "strategy Recreate stops all pods before new ones start"
        if field.path == "spec.strategy.rollingUpdate.maxUnavailable" and field.after not in (0, "0", "0%", ABSENT):
            yield Class.REPLACES, f"a rollout takes {field.after} serving pods away before new ones are ready"


# Security. ------------------------------------------------------------------------------------------------------------

# A field's path and the values that are safe there. Going from a safe value to another one is a step down.
_SAFE: dict[str, set[Any]] = {
    r"securityContext\.runAsNonRoot$": {True},
    r"securityContext\.readOnlyRootFilesystem$": {True},
    r"securityContext\.allowPrivilegeEscalation$": {False},
    r"securityContext\.privileged$": {False, ABSENT},
    r"securityContext\.seccompProfile\.type$": {"RuntimeDefault", "Localhost"},
    r"securityContext\.capabilities\.drop\[0\]$": {"ALL"},
    r"securityContext\.capabilities\.add\[\w+\]$": {ABSENT},
    r"spec\.host(Network|PID|IPC)$": {False, ABSENT},
    r"hostPath\.path$": {ABSENT},
    r"ports\[\w+\]\.hostPort$": {ABSENT},
    r"automountServiceAccountToken$": {False},
    r'labels\."pod-security\.kubernetes\.io/enforce"$': {"restricted"},
    r"\.limits\.(cpu|memory)$": set(),
    r"env\[\w+\]\.valueFrom\.secretKeyRef\.name$": {ABSENT},
    r"envFrom\[\w+\]\.secretRef\.name$": {ABSENT},
}


def _loosens(change: Change) -> Iterator[Reason]:
    for field in change.fields if change.before and change.after else ():
        for path, safe in _SAFE.items():
            if re.search(path, field.path) and _is_step_down(field, safe):
                yield Class.WEAKENS_SECURITY, field.text
        if field.path.endswith("securityContext.runAsUser") and _is_low(field.after) and not _is_low(field.before):
            yield Class.WEAKENS_SECURITY, field.text
        if field.path.endswith(".image") and "@sha256:" in str(field.before) and "@sha256:" not in str(field.after):
            yield Class.WEAKENS_SECURITY, f"{field.path} is no longer pinned by a digest"


def _is_step_down(field: Field, safe: set[Any]) -> bool:
    if not safe:  # any value is better than none
        return field.after is ABSENT
    return _in(field.before, safe) and not _in(field.after, safe)


def _in(value: Any, safe: set[Any]) -> bool:
    return (isinstance(value, str | bool | int) and value in safe) or (value is ABSENT and ABSENT in safe)


def _is_low(user: Any) -> bool:
    return not isinstance(user, int) or user < 10000


_GUARDS = {"NetworkPolicy", "ResourceQuota", "LimitRange"}


def _removes_guard(change: Change) -> Iterator[Reason]:
    if change.kind in _GUARDS and change.before is not None and change.after is None:
        yield Class.WEAKENS_SECURITY, "is deleted: what it held back is let through"
    if change.kind == "NetworkPolicy" and change.before and change.after:
        lost = _types(change.before) - _types(change.after)
        if lost:
            yield Class.WEAKENS_SECURITY, f"no longer limits {', '.join(sorted(lost))}"
    if change.kind == "Ingress" and change.before and change.after:
        for host in sorted(_tls_hosts(change.before) & (_hosts(change.after) - _tls_hosts(change.after))):
            yield Class.WEAKENS_SECURITY, f"{host} is served without TLS"
    if change.kind in ("Role", "ClusterRole") and _has(change, r"^rules"):
        yield Class.WEAKENS_SECURITY, "its rights change; read them"


def _types(policy: Object) -> set[str]:
    return set(policy.get("spec", {}).get("policyTypes", []))


def _tls_hosts(ingress: Object) -> set[str]:
    return {host for tls in ingress.get("spec", {}).get("tls") or [] for host in tls.get("hosts", [])}


# Reach. ---------------------------------------------------------------------------------------------------------------


def _exposes(change: Change) -> Iterator[Reason]:
    if change.after is None:
        return
    for address in sorted(_addresses(change.after) - _addresses(change.before)):
        yield Class.EXPOSES, f"{address} is open to the outside"
    if change.kind == "Service":
        type_ = change.after.get("spec", {}).get("type", "ClusterIP")
        before = change.before.get("spec", {}).get("type", "ClusterIP") if change.before else "ClusterIP"
        if type_ != before and type_ in ("NodePort", "LoadBalancer"):
            yield Class.EXPOSES, f"type {type_} is open to whoever reaches the nodes"
    if change.kind == "NetworkPolicy" and change.before:
        for side in ("ingress", "egress"):
            for peer in sorted(_allowed(change.after, side) - _allowed(change.before, side)):
                yield Class.EXPOSES, f"{side} is opened for {peer}"


def _hosts(ingress: Object) -> set[str]:
    return {rule.get("host", "*") for rule in ingress.get("spec", {}).get("rules") or []}


def _addresses(route: Object | None) -> set[str]:
    """Host and path of everything an Ingress or HTTPRoute answers."""
    if route is None or route.get("kind") not in ("Ingress", "HTTPRoute"):
        return set()
    spec = route.get("spec", {})
    if route["kind"] == "HTTPRoute":
        paths = [match["path"]["value"] for rule in spec.get("rules", []) for match in rule.get("matches", [])]
        return {f"{host}{path}" for host in spec.get("hostnames", ["*"]) for path in paths or ["/"]}
    return {
        f"{rule.get('host', '*')}{path.get('path', '/')}"
        for rule in spec.get("rules") or []
        for path in rule.get("http", {}).get("paths", [])
    }


def _allowed(policy: Object, side: str) -> set[str]:
    """Each pair of peer and port a policy lets through, as text."""
    key = "from" if side == "ingress" else "to"
    return {
        f"{_peer(peer)} port {port.get('port', 'any')}"
        for rule in policy.get("spec", {}).get(side) or []
        for peer in rule.get(key) or [{}]
        for port in rule.get("ports") or [{}]
    }


def _peer(peer: Object) -> str:
    if not peer:
        return "everybody"
    if "ipBlock" in peer:
        return str(peer["ipBlock"].get("cidr"))
    return " ".join(f"{kind.removesuffix('Selector')} {_labels(selector)}" for kind, selector in sorted(peer.items()))


def _labels(selector: Object) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())) or "any"


# Size. ----------------------------------------------------------------------------------------------------------------

_SIZE = {
    "HorizontalPodAutoscaler": r"^spec\.(min|max)Replicas$",
    "Deployment": r"^spec\.replicas$",
    "StatefulSet": r"^spec\.replicas$",
    "ResourceQuota": r"^spec\.hard\.",
}


def _scales_down(change: Change) -> Iterator[Reason]:
    if change.kind == "HorizontalPodAutoscaler" and change.before is not None and change.after is None:
        yield Class.SCALES_DOWN, "is deleted: load does not add pods any more"
    for field in change.fields if change.before and change.after and change.kind in _SIZE else ():
        if re.search(_SIZE[change.kind], field.path) and _is_less(field):
            yield Class.SCALES_DOWN, field.text


def _is_less(field: Field) -> bool:
    before, after = _number(field.before), _number(field.after)
    return before is not None and after is not None and after < before


def _number(value: Any) -> float | None:
    """Replicas or a quantity."""
    match = re.fullmatch(r"([0-9.]+)(m|Ki|Mi|Gi)?", str(value))
    scale = {None: 1.0, "m": 0.001, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
    return float(match[1]) * scale[match[2]] if match else None


# Pods. ----------------------------------------------------------------------------------------------------------------


def _rolls(change: Change) -> Iterator[Reason]:
    if not (change.before and change.after and change.fields):
        return
    if change.is_content_named:
        yield Class.ROLLS_PODS, "has new content, and so a new name: the pods that read it roll"
    if change.kind in ("Deployment", "StatefulSet", "DaemonSet"):
        template = [field for field in change.fields if field.path.startswith("spec.template")]
        # What a person changed comes before what follows from it.
        template.sort(key=lambda field: ("labels" in field.path, not field.path.endswith("image"), field.path))
        if template:
            yield Class.ROLLS_PODS, template[0].text.replace("spec.template.spec.", "")


_RULES: tuple[Rule, ...] = (
    _loses_data,
    _replaces,
    _interrupts,
    _loosens,
    _removes_guard,
    _exposes,
    _scales_down,
    _rolls,
)


def _has(change: Change, path: str) -> bool:
    return any(re.search(path, field.path) for field in change.fields)

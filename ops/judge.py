"""What a change does to what runs: rules that yield a class, and the reason in a sentence.

`guards.py`, `reach.py` and `size.py` tell what is less safe, more open and fewer than before; the rest stands here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ops import guards, reach, size
from ops.changes import ABSENT, Change, Field, Model, at
from ops.verdict import Class, Reason, Verdict

Rule: TypeAlias = Callable[[Change], Iterator[Reason]]


def judge_all(changes: list[Change]) -> list[Verdict]:
    """The verdict on each change of a stack."""
    after = {change.name: change.after for change in changes if change.after is not None}
    return [judge(change, after) for change in changes]


def judge(change: Change, after: Model | None = None) -> Verdict:
    """The verdict on one change; `after` is everything there will be, such as the autoscaler of a Deployment."""
    if change.is_record:
        return Verdict(change, ((Class.NO_OP, "is told what is deployed, and nothing reads it"),))
    found = [reason for rule in _RULES for reason in rule(change)]
    found += [(Class.SCALES_DOWN, told) for told in size.lowered(change, after or {})]
    return Verdict(change, tuple(found) or (_otherwise(change),))


def _otherwise(change: Change) -> Reason:
    if change.before is None:
        return Class.ADDS, "is new"
    if change.after is None:
        return Class.REMOVES, "is removed; no data and no address goes with it"
    if not change.fields:
        return Class.NO_OP, "is as it was"
    return Class.CONFIG_ONLY, f"is changed in place, no pod restarts: {_told(change.outline)}"


def _told(fields: tuple[Field, ...] | list[Field], most: int = 3) -> str:
    texts = [field.text for field in fields[:most]]
    return "; ".join([*texts, f"and {len(fields) - most} more"] if len(fields) > most else texts)


# Data. ----------------------------------------------------------------------------------------------------------------

_HOLDS_DATA = {
    "Namespace": "everything in it",
    "PersistentVolumeClaim": "its volume",
    "PersistentVolume": "what is on it",
    "StatefulSet": "the volumes of its pods",
    "CustomResourceDefinition": "every object of its kind",
    "Secret": "its content",
}
# Kinds of operators that only describe something. Any other may be a database: deleting it deletes that.
_DESCRIBES = {"HTTPRoute", "ExternalSecret", "Certificate", "ServiceMonitor", "PodMonitor", "PrometheusRule"}
_DELETES = re.compile(
    r"^spec\.persistentVolumeReclaimPolicy$|^spec\.persistentVolumeClaimRetentionPolicy\.when(Deleted|Scaled)$"
)
_CLAIM = re.compile(r"volumes\[[^]]+\]\.persistentVolumeClaim\.claimName$")


def _loses_data(change: Change) -> Iterator[Reason]:
    holds = _held_data(change)
    if holds and change.after is None:
        yield Class.LOSES_DATA, f"is deleted, and {holds} with it"
    elif holds and (why := _made_anew(change)):
        yield Class.LOSES_DATA, f"is deleted with {holds} and made anew: {why}"
    for field in change.edited:
        if _DELETES.search(field.path) and field.after == "Delete":
            yield Class.LOSES_DATA, f"lets volumes go with their claims: {field.text}"
        if _CLAIM.search(field.path) and field.before is not ABSENT:
            yield Class.LOSES_DATA, f"the pods leave behind what they wrote: {field.text}"
        if change.kind == "Provider" and field.path in ("context", "clusterIdentifier"):
            yield Class.LOSES_DATA, f"every object is made anew in another cluster, and deleted in this: {field.text}"


def _held_data(change: Change) -> str:
    """What goes when the object goes; nothing for what the program makes again from what it has."""
    before = change.before
    if before is None or change.is_content_named:
        return ""
    group = str(before.get("apiVersion", "")).rpartition("/")[0]
    if "." in group and not group.endswith(".k8s.io") and change.kind not in _DESCRIBES:
        return f"what a {change.kind} stands for"
    return _HOLDS_DATA.get(change.kind, "")


# What Kubernetes refuses. ---------------------------------------------------------------------------------------------


def _is_refused(change: Change) -> Iterator[Reason]:
    """Yield what the API server refuses of an object that stays; what is made anew is no change to it."""
    if change.kind != "PersistentVolumeClaim" or _made_anew(change):
        return
    for field in change.edited:
        if field.path == "spec.resources.requests.storage" and size.is_less(field):
            yield Class.REFUSED, f"a volume only grows, and Kubernetes refuses a smaller claim: {field.text}"


# Service that stops. --------------------------------------------------------------------------------------------------

_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
_SERVES = {*_WORKLOADS, "Service", "Ingress", "HTTPRoute"}
# What Kubernetes 1.36 does not change in place: pkg/apis/{apps,batch,core,rbac}/validation, functions Validate*Update.
# Items of lists are `[0]` in a Change, and `.0` where ops/adopt.py compares.
FIXED = {
    "Deployment": r"^spec\.selector\b",
    "DaemonSet": r"^spec\.selector\b",
    "StatefulSet": r"^spec\.(selector|serviceName|podManagementPolicy|volumeClaimTemplates)\b",
    # An Indexed Job may get other completions, but not from Pulumi: see _REMADE.
    "Job": r"^spec\.(selector|template|completions|completionMode|podFailurePolicy|successPolicy|backoffLimitPerIndex"
    r"|managedBy)\b",
    # Only the first address: the second one comes and goes with `ipFamilyPolicy`.
    "Service": r"^spec\.(clusterIP$|clusterIPs[.[]0)",
    "PersistentVolumeClaim": r"^spec\.(storageClassName|accessModes|volumeName|volumeMode|selector|dataSource(Ref)?"
    r"|resources\.limits)\b",
    # Anything else in its spec is the source of the volume, such as `nfs`, or `volumeMode`.
    "PersistentVolume": r"^spec\.(?!(accessModes|capacity|claimRef|mountOptions|persistentVolumeReclaimPolicy"
    r"|storageClassName|volumeAttributesClassName)\b)",
    "ResourceQuota": r"^spec\.scopes\b",
    "RoleBinding": r"^roleRef\b",
    "ClusterRoleBinding": r"^roleRef\b",
    "Secret": r"^type$",
}
# What Kubernetes would change in place, and Pulumi's plugin makes anew all the same: seen with version 4.32.0.
_REMADE = {"StatefulSet": r"^spec\.revisionHistoryLimit$", "Job": r"^spec\.parallelism$"}
_RENAMED = "it has another name"
# What leads requests elsewhere, or takes away pods that still serve: path, kinds, effect.
_INTERRUPTS = (
    (r"^spec\.selector\b", {"Service"}, "requests go to other pods"),
    (r"^spec\.(ingressClassName|parentRefs)\b", {"Ingress", "HTTPRoute"}, "another controller, at another address"),
    (r"\.lifecycle\.preStop\b", _WORKLOADS, "pods may stop while requests still come to them"),
)


def _replaces(change: Change) -> Iterator[Reason]:
    if change.before and change.after is None and change.kind in _SERVES:
        yield Class.REPLACES, "is deleted: what it served is gone"
    why = _made_anew(change)
    # Nothing serves from a Job: when another one takes its place, no request is lost.
    if why and change.kind != "Job" and (change.kind in _SERVES or why != _RENAMED):
        yield Class.REPLACES, f"cannot be changed in place, is deleted and made anew: {why}"


def _made_anew(change: Change) -> str:
    """Why an object of both sides is deleted and made anew; nothing if it is not."""
    paths = [field.path for field in change.edited]
    kept = [table[change.kind] for table in (FIXED, _REMADE) if change.kind in table]
    fixed = [path for path in paths if any(re.search(pattern, path) for pattern in kept)]
    frozen = [path for path in paths if re.match(r"(data|stringData|binaryData)\b", path)]
    if "options.urn" in paths:
        return "its type, parent or logical name in the program is another one (an alias would keep it)"
    if change.is_content_named and ("metadata.name" in paths or frozen):
        return ""  # the new one is made beside the old one
    if fixed:
        return fixed[0]
    if frozen and at(change.before).get("immutable"):
        return f"{frozen[0]} of an immutable object"
    if {"metadata.name", "metadata.namespace"} & set(paths):
        return _RENAMED
    return "the engine says so" if change.replaced else ""


def _interrupts(change: Change) -> Iterator[Reason]:
    for field in change.edited:
        if field.path == "spec.strategy.type" and field.after == "Recreate":
            yield Class.REPLACES, "strategy Recreate stops all pods before new ones start"
        if field.path.endswith("ollingUpdate.maxUnavailable") and field.after not in (0, "0", "0%", ABSENT):
            yield Class.REPLACES, f"a rollout takes {field.after} serving pods away before new ones are ready"
        if change.kind in _WORKLOADS and field.path == "spec.replicas" and field.after == 0:
            yield Class.REPLACES, f"no pod is left: {field.text}"
        for path, kinds, effect in _INTERRUPTS:
            if change.kind in kinds and re.search(path, field.path) and field.before is not ABSENT:
                yield Class.REPLACES, f"{effect}: {field.text}"
    if change.edited and change.kind == "Service":
        left = _ports(change.after)
        yield from ((Class.REPLACES, f"port {port} is no longer answered") for port in _ports(change.before) - left)
    gone = reach.lost(change)
    if gone and not reach.opened(change):
        yield Class.REPLACES, f"{', '.join(gone)} is no longer answered"


def _ports(service: Any) -> set[int]:
    return {port.get("port", 0) for port in at(service, "spec").get("ports") or []}


# Safety, and pods. ----------------------------------------------------------------------------------------------------


def _weakens(change: Change) -> Iterator[Reason]:
    yield from ((Class.WEAKENS_SECURITY, told) for told in guards.weakened(change))


def _exposes(change: Change) -> Iterator[Reason]:
    yield from ((Class.EXPOSES, told) for told in reach.opened(change))


def _rolls(change: Change) -> Iterator[Reason]:
    if not change.edited:
        return
    content = [field for field in change.outline if not re.match(r"metadata\.(labels|annotations)|options", field.path)]
    if content and change.is_content_named:
        effect = "it runs again" if change.kind == "Job" else "the pods that read it roll"
        yield Class.ROLLS_PODS, f"has new content, and so a new name: {effect}: {_told(content)}"
    elif change.kind == "Job" and (why := _made_anew(change)):
        yield Class.ROLLS_PODS, f"is deleted and made anew, and runs again: {why}"
    template = [field for field in content if field.path.startswith("spec.template")]
    if template and change.kind in _WORKLOADS:
        # What a person changed comes before what follows from it.
        template.sort(key=lambda field: ("labels" in field.path, not field.path.endswith("image"), field.path))
        yield Class.ROLLS_PODS, _told(template).replace("spec.template.spec.", "")


_RULES: tuple[Rule, ...] = (_is_refused, _loses_data, _replaces, _interrupts, _weakens, _exposes, _rolls)

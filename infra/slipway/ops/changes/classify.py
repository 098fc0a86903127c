"""What a change does to the running system: each function here yields a class, and the reason in a sentence.

`security.py`, `exposure.py` and `capacity.py` find what is less safe, more open and smaller than before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from slipway.objects import mapping
from slipway.ops.changes import capacity, exposure, security
from slipway.ops.changes.comparison import ABSENT, Change, Field, Model
from slipway.ops.changes.verdict import Class, Reason, Verdict

Classifier: TypeAlias = Callable[[Change], Iterator[Reason]]


def classify_all(changes: list[Change]) -> list[Verdict]:
    """Return the verdict on each change of a stack. Some depend on others, such as the autoscaler of a Deployment."""
    after = {change.name: change.after for change in changes if change.after is not None}
    broken, advised = security.broken_rules(changes), security.advised(changes)
    return [_classify(change, after, broken.get(change.name, []), advised.get(change.name, [])) for change in changes]


def _classify(change: Change, after: Model, broken_rules: list[str], advised: list[str]) -> Verdict:
    if change.is_record:
        return Verdict(change, ((Class.NO_OP, "records what is deployed, and no pod reads it"),))
    reasons = [reason for classifier in _CLASSIFIERS for reason in classifier(change)]
    reasons += [(Class.WEAKENS_SECURITY, text) for text in (*broken_rules, *security.lifted_guards(change))]
    reasons += [(Class.ROLLS_PODS if change.before else Class.ADDS, text) for text in advised]
    reasons += [(Class.SCALES_DOWN, text) for text in capacity.lowered(change, after)]
    return Verdict(change, tuple(reasons) or (_otherwise(change),))


def _otherwise(change: Change) -> Reason:
    """Return the class of a change that harms nothing."""
    if change.before is None:
        return Class.ADDS, "is new"
    if change.after is None:
        return Class.REMOVES, "is removed; no data and no address goes with it"
    if not change.fields:
        return Class.NO_OP, "is unchanged"
    return Class.CONFIG_ONLY, f"is changed in place, no pod restarts: {_list(change.outline)}"


def _list(fields: Sequence[Field], limit: int = 3) -> str:
    """Return the first fields as text, and how many more there are."""
    texts = [field.text for field in fields[:limit]]
    return "; ".join([*texts, f"and {len(fields) - limit} more"] if len(fields) > limit else texts)


# Data. ----------------------------------------------------------------------------------------------------------------

_HOLDS_DATA = {
    "Namespace": "everything in it",
    "PersistentVolumeClaim": "its volume",
    "PersistentVolume": "its data",
    "StatefulSet": "the volumes of its pods",
    "CustomResourceDefinition": "every object of its kind",
    "Secret": "its content",
}
# Custom kinds that hold no data. Any other one may be a database, whose data is deleted with the object.
_WITHOUT_DATA = {
    *("HTTPRoute", "Middleware", "ExternalSecret", "Certificate", "ServiceMonitor", "PodMonitor", "PrometheusRule"),
    *("ScaledObject", "TriggerAuthentication"),
}
_DELETES = re.compile(
    r"^spec\.persistentVolumeReclaimPolicy$|^spec\.persistentVolumeClaimRetentionPolicy\.when(Deleted|Scaled)$"
)
_CLAIM = re.compile(r"volumes\[[^]]+\]\.persistentVolumeClaim\.claimName$")


def _loses_data(change: Change) -> Iterator[Reason]:
    """Yield what data is deleted, or left behind by the pods."""
    data = _data_in(change)
    if data and change.after is None:
        yield Class.LOSES_DATA, f"is deleted, and {data} with it"
    elif data and (why := _recreated(change)):
        yield Class.LOSES_DATA, f"is deleted with {data} and created again: {why}"
    for field in change.edited:
        if _DELETES.search(field.path) and field.after == "Delete":
            yield Class.LOSES_DATA, f"deletes volumes together with their claims: {field.text}"
        if _CLAIM.search(field.path) and field.before is not ABSENT:
            yield Class.LOSES_DATA, f"the pods lose access to what they wrote: {field.text}"
        if change.kind == "Provider" and field.path in ("context", "clusterIdentifier"):
            yield (
                Class.LOSES_DATA,
                f"every object is created again in another cluster, and deleted in this one: {field.text}",
            )


def _data_in(change: Change) -> str:
    """Return what data is deleted with an object; empty if there is none, or the program creates it again."""
    before = change.before
    if before is None or change.is_content_named:
        return ""
    group = str(before.get("apiVersion", "")).rpartition("/")[0]
    if "." in group and not group.endswith(".k8s.io") and change.kind not in _WITHOUT_DATA:
        return f"what the {change.kind} holds"
    return _HOLDS_DATA.get(change.kind, "")


# What Kubernetes refuses. ---------------------------------------------------------------------------------------------


def _is_refused(change: Change) -> Iterator[Reason]:
    """Yield what the API server refuses. It accepts any object that is deleted and created again."""
    if change.kind != "PersistentVolumeClaim" or _recreated(change):
        return
    for field in change.edited:
        if field.path == "spec.resources.requests.storage" and capacity.is_less(field):
            yield Class.REFUSED, f"a volume only grows, and Kubernetes refuses a smaller claim: {field.text}"


# Service that stops. --------------------------------------------------------------------------------------------------

_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
_SERVES = {*_WORKLOADS, "Service", "Ingress", "HTTPRoute"}
# Fields that Kubernetes 1.36 cannot change in place: pkg/apis/{apps,batch,core,rbac}/validation, Validate*Update.
# List items are `[0]` in a Change, and `.0` in ops/releases/adopt.py.
FIXED = {
    "Deployment": r"^spec\.selector\b",
    "DaemonSet": r"^spec\.selector\b",
    "StatefulSet": r"^spec\.(selector|serviceName|podManagementPolicy|volumeClaimTemplates)\b",
    # An Indexed Job may get other completions, but not from Pulumi: see _RECREATED_BY_PULUMI.
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
# Kubernetes would change these in place; Pulumi's plugin 4.32.0 deletes and creates the object all the same.
_RECREATED_BY_PULUMI = {"StatefulSet": r"^spec\.revisionHistoryLimit$", "Job": r"^spec\.parallelism$"}
_RENAMED = "it has another name"
# Changes that lead requests elsewhere, or stop pods that still serve: path, kinds, effect.
_INTERRUPTS = (
    (r"^spec\.selector\b", {"Service"}, "requests go to other pods"),
    (r"^spec\.(ingressClassName|parentRefs)\b", {"Ingress", "HTTPRoute"}, "another controller, at another address"),
    (r"\.lifecycle\.preStop\b", _WORKLOADS, "pods may stop while requests still come to them"),
)


def _replaces(change: Change) -> Iterator[Reason]:
    """Yield why an object that serves requests is deleted, or deleted and created again."""
    if change.before and change.after is None and change.kind in _SERVES:
        yield Class.REPLACES, "is deleted: nothing answers its requests any more"
    why = _recreated(change)
    # A Job serves no requests: replacing it interrupts nothing.
    if why and change.kind != "Job" and (change.kind in _SERVES or why != _RENAMED):
        yield Class.REPLACES, f"cannot be changed in place, is deleted and created again: {why}"


def _recreated(change: Change) -> str:
    """Return why an object that exists before and after is deleted and created again; empty if it is not."""
    paths = [field.path for field in change.edited]
    patterns = [table[change.kind] for table in (FIXED, _RECREATED_BY_PULUMI) if change.kind in table]
    fixed = [path for path in paths if any(re.search(pattern, path) for pattern in patterns)]
    frozen = [path for path in paths if re.match(r"(data|stringData|binaryData)\b", path)]
    if "options.urn" in paths:
        return "its type, parent or logical name in the program is different (an alias would keep the object)"
    if change.is_content_named and ("metadata.name" in paths or frozen):
        return ""  # the new one is created beside the old one
    if fixed:
        return fixed[0]
    if frozen and mapping(change.before).get("immutable"):
        return f"{frozen[0]} of an immutable object"
    if {"metadata.name", "metadata.namespace"} & set(paths):
        return _RENAMED
    return "the engine plans it" if change.replaced else ""


def _interrupts(change: Change) -> Iterator[Reason]:
    """Yield what stops requests from being answered although the object stays."""
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
        removed = _ports(change.before) - _ports(change.after)
        yield from ((Class.REPLACES, f"port {port} is no longer answered") for port in removed)
    lost = exposure.lost(change)
    if lost and not exposure.opened(change):
        yield Class.REPLACES, f"{', '.join(lost)} is no longer answered"


def _ports(service: Any) -> set[int]:
    return {port.get("port", 0) for port in mapping(service, "spec").get("ports") or []}


# Exposure, and pods. -------------------------------------------------------------------------------------------------


def _exposes(change: Change) -> Iterator[Reason]:
    yield from ((Class.EXPOSES, text) for text in exposure.opened(change))


def _rolls(change: Change) -> Iterator[Reason]:
    """Yield why pods are replaced by new ones."""
    if not change.edited:
        return
    content = [field for field in change.outline if not re.match(r"metadata\.(labels|annotations)|options", field.path)]
    if content and change.is_content_named:
        effect = "it runs again" if change.kind == "Job" else "the pods that read it are replaced"
        yield Class.ROLLS_PODS, f"has new content, and so a new name: {effect}: {_list(content)}"
    elif change.kind == "Job" and (why := _recreated(change)):
        yield Class.ROLLS_PODS, f"is deleted and created again, and so runs again: {why}"
    template = [field for field in content if field.path.startswith("spec.template")]
    if template and change.kind in _WORKLOADS:
        # What a person changed comes before its consequences.
        template.sort(key=lambda field: ("labels" in field.path, not field.path.endswith("image"), field.path))
        yield Class.ROLLS_PODS, _list(template).replace("spec.template.spec.", "")


_CLASSIFIERS: tuple[Classifier, ...] = (_is_refused, _loses_data, _replaces, _interrupts, _exposes, _rolls)

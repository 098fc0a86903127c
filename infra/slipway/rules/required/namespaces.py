"""The namespace, its bounds, names, labels and rights."""

from __future__ import annotations

import re

from slipway.naming import SELECTOR, TRACK
from slipway.objects import quantity
from slipway.rules.parts import Part, Pod
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, every_object, labels_of, of

RULES = Rules()

SIZES = ("cpu", "memory", "ephemeral-storage")
LABELS = tuple(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of", "managed-by"))
# A selector can never be edited, so it holds no label that changes. A pod's track (canary) never changes.
SELECTED_BY = {"app.kubernetes.io/name", "app.kubernetes.io/instance"}


@RULES.each(
    of("Namespace"),
    "SW601",
    title="The namespace enforces `restricted`",
    reason="the cluster would admit a pod that these rules never saw",
    security=True,
)
def pod_security(namespace: Part) -> Violations:
    labels = namespace.mapping("metadata.labels")
    for mode in ("enforce", "audit", "warn"):
        if labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted":
            yield namespace.violation("metadata.labels", f"lack pod-security.kubernetes.io/{mode}: restricted; add it")


@RULES.together("SW602", title="The namespace is bounded", reason="one runaway service would take the cluster")
def bounded(stack: Stack) -> Violations:
    for namespace in stack.of("Namespace"):
        quotas = stack.of("ResourceQuota")
        for resource in ("pods", "requests.cpu", "requests.memory", "limits.memory"):
            if not any(resource in quota.mapping("spec.hard") for quota in quotas):
                yield namespace.violation("metadata.name", f"has no ResourceQuota for {resource}; add one")
        limits = [limit for obj in stack.of("LimitRange") for limit in obj.parts("spec.limits")]
        for key in [f"{kind}.{size}" for kind in ("default", "defaultRequest") for size in SIZES]:
            if not any(limit.get("type") == "Container" and limit.get(key) for limit in limits):
                yield namespace.violation("metadata.name", f"has no LimitRange with {key} for containers; add one")


@RULES.together(
    "SW603", title="The quota admits all pods at maximum scale", reason="scaling and rollouts would stop half-way"
)
def quota_fits(stack: Stack) -> Violations:
    needed: dict[str, float] = {"pods": 0, "requests.cpu": 0, "requests.memory": 0, "limits.memory": 0}
    for pod in stack.pods:
        # A rollout adds one pod, except where the old pod has to be gone before the new one starts.
        surge = 1 if pod.kind == "Deployment" and not pod.is_canary else 0
        count = stack.replicas(Part(pod.object, "", pod.object))[1] + surge if pod.is_permanent else 1
        needed["pods"] += count
        for resource in ("requests.cpu", "requests.memory", "limits.memory"):
            needed[resource] += count * _size(pod, resource)
    for quota in stack.of("ResourceQuota"):
        for resource, given in quota.mapping("spec.hard").items():
            if (quantity(given) or 0) < needed.get(resource, 0):
                yield quota.violation(
                    "spec.hard", f"allows {resource}: {given}; all pods at maximum scale need {needed[resource]:g}"
                )


def _size(pod: Pod, resource: str) -> float:
    """Return what a whole pod counts in the quota: its containers and sidecars, or an init container that needs more.

    An init container runs beside the sidecars that stand before it.
    """
    largest = beside = 0.0
    for container in pod.parts("initContainers"):
        size = quantity(container.get(f"resources.{resource}")) or 0
        largest = max(largest, beside + size)
        beside += size if container.get("restartPolicy") == "Always" else 0
    serving = sum(quantity(container.get(f"resources.{resource}")) or 0 for container in pod.parts("containers"))
    return max(largest, serving + beside)


@RULES.each(
    every_object,
    "SW604",
    title="Objects carry the recommended labels",
    reason="no tool could tell what belongs together",
)
def labelled(obj: Part) -> Violations:
    for at, labels in labels_of(obj):
        if missing := [label for label in LABELS if not labels.get(label)]:
            yield obj.violation(at, f"lack {', '.join(missing)}; add them")


@RULES.each(
    of("Deployment", "StatefulSet", "Service", "PodDisruptionBudget"),
    "SW605",
    title="Selectors are name and instance",
    reason="a selector can never be edited: the object would be replaced",
)
def selectors(obj: Part) -> Violations:
    at = "spec.selector" if obj.kind == "Service" else "spec.selector.matchLabels"
    # An adopted object keeps the labels it selects by: the setting `selector` names them.
    before = str(obj.mapping("metadata.annotations").get(SELECTOR) or "")
    if set(obj.mapping(at)) - {TRACK} != (set(before.split(",")) if before else SELECTED_BY):
        yield obj.wrong(at, f"use only {' and '.join(sorted(SELECTED_BY))}")


@RULES.each(
    every_object,
    "SW606",
    title="Nothing goes to a namespace of the cluster's own",
    reason="`default` and `kube-*` belong to everybody",
)
def own_namespace(obj: Part) -> Violations:
    at = "metadata.name" if obj.kind == "Namespace" else "metadata.namespace"
    if re.fullmatch("default|kube-.*", str(obj.get(at))):
        yield obj.wrong(at, "use the stack's own namespace")


@RULES.each(
    of("ServiceAccount"),
    "SW607",
    title="No ServiceAccount gets an API token",
    reason="whoever gets into a pod could use it",
    security=True,
)
def account_token(account: Part) -> Violations:
    if account.get("automountServiceAccountToken") is not False:
        yield account.wrong("automountServiceAccountToken", "set it to false")


@RULES.each(
    of("Role", "ClusterRole"),
    "SW608",
    title="Rights are named one by one",
    reason="`*` includes whatever is added later",
    security=True,
)
def no_wildcards(role: Part) -> Violations:
    for rule in role.parts("rules"):
        for key in ("apiGroups", "resources", "verbs"):
            if {"*", "escalate", "bind", "impersonate"} & set(map(str, rule.items(key))):
                yield rule.wrong(key, "name only what is needed")


@RULES.each(
    of("RoleBinding", "ClusterRoleBinding"),
    "SW609",
    title="Nobody is made an administrator",
    reason="the whole cluster would hang on one password",
    security=True,
)
def no_administrators(binding: Part) -> Violations:
    if binding.get("roleRef.name") in ("cluster-admin", "admin", "edit"):
        yield binding.wrong("roleRef.name", "write a Role with only what is needed")

"""How many pods serve, and how many may leave at once."""

from __future__ import annotations

from typing import Any

from slipway.rules.autoscalers import AUTOSCALERS, KEDA, fields
from slipway.rules.parts import Part
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, of, pods_of

RULES = Rules()


@RULES.together(
    "SW302",
    only_mandatory=True,
    title="At least two pods serve",
    reason="any single failure would take the service down",
)
def two_replicas(stack: Stack) -> Violations:
    for workload in stack.permanent("Deployment"):
        min_replicas, _ = stack.replicas(workload)
        scaler = stack.autoscaler(workload.kind, workload.name)
        if min_replicas < 2:
            yield (
                scaler.wrong(fields(scaler).minimum, "at least 2")
                if scaler
                else workload.wrong("spec.replicas", "at least 2")
            )


@RULES.each(
    of(*AUTOSCALERS),
    "SW303",
    title="Scaling up is quick and scaling down slow",
    reason="a short lull would remove the pods that the next peak needs",
)
def behavior(scaler: Part) -> Violations:
    at = fields(scaler).behavior
    for direction in ("scaleUp", "scaleDown"):
        if not scaler.items(f"{at}.{direction}.policies"):
            yield scaler.wrong(f"{at}.{direction}.policies", "say how fast")
    if scaler.count(f"{at}.scaleDown.stabilizationWindowSeconds") < 60:
        yield scaler.wrong(f"{at}.scaleDown.stabilizationWindowSeconds", "at least 60")


@RULES.each(
    of(*AUTOSCALERS),
    "SW304",
    title="An autoscaler has a metric",
    reason="without one it would never scale",
)
def metrics(scaler: Part) -> Violations:
    if not scaler.items(fields(scaler).metrics):
        yield scaler.wrong(fields(scaler).metrics, "give one")
    for metric in scaler.parts("spec.metrics"):
        kind = metric.text("type")
        target = metric.part(f"{kind[:1].lower()}{kind[1:]}.target")
        if not (target.get("averageUtilization") or target.get("averageValue") or target.get("value")):
            yield target.violation("averageUtilization", "is missing; give a target")


@RULES.together(
    "SW305", title="The autoscaler alone owns the replicas", reason="every `pulumi up` would undo its choice"
)
def replicas_belong_to_the_autoscaler(stack: Stack) -> Violations:
    for workload in stack.of("Deployment", "StatefulSet"):
        if stack.autoscaler(workload.kind, workload.name) and workload.get("spec.replicas") is not None:
            yield workload.wrong("spec.replicas", "take it out: there is an autoscaler")


@RULES.together(
    "SW306", title="Pods leave one by one", reason="a drain of several nodes would take all of them, or wait forever"
)
def disruption(stack: Stack) -> Violations:
    for workload in stack.permanent("Deployment"):
        [pod] = pods_of(workload)
        budgets = stack.selecting(pod, "PodDisruptionBudget", "spec.selector.matchLabels")
        if len(budgets) != 1:
            names = ", ".join(budget.name for budget in budgets) or "none"
            yield workload.violation(
                "spec.template.metadata.labels", f"belong to these PodDisruptionBudgets: {names}; exactly one is needed"
            )
        for budget in budgets:
            yield from _budget(budget, stack.replicas(workload)[0])


@RULES.each(
    of(KEDA),
    "SW307",
    title="An outage of metrics takes no pod away",
    reason="the pods would go just when nobody sees how much they are needed",
)
def outage(scaler: Part) -> Violations:
    if scaler.get("spec.fallback.behavior") not in ("currentReplicas", "currentReplicasIfHigher"):
        yield scaler.wrong("spec.fallback.behavior", "set it to currentReplicasIfHigher")
    for trigger in scaler.parts("spec.triggers"):
        if trigger.get("type") == "prometheus" and trigger.text("metadata.ignoreNullValues") != "false":
            yield trigger.wrong("metadata.ignoreNullValues", 'set it to "false": nothing found is not zero requests')
    if scaler.get("spec.idleReplicaCount") is not None:
        yield scaler.wrong("spec.idleReplicaCount", "take it out: KEDA goes there when no trigger is active")


def _budget(budget: Part, pods: int) -> Violations:
    """Yield what is wrong with a budget: it has to let one pod go at any time, and never all of several at once."""
    stay, leave = budget.get("spec.minAvailable"), budget.get("spec.maxUnavailable")
    if stay is not None and _share(stay, pods) >= pods:
        yield budget.wrong("spec.minAvailable", f"with {pods} pods no node could be drained; use maxUnavailable: 1")
    if (stay, leave) == (None, None) or (leave is not None and _share(leave, pods) < 1):
        yield budget.wrong("spec.maxUnavailable", "no node could be drained; set it to 1")
    if pods > 1 and (
        (leave is not None and _share(leave, pods) >= pods) or (stay is not None and _share(stay, pods) < 1)
    ):
        yield budget.wrong("spec.maxUnavailable", f"all of {pods} pods could go at once; set it to 1")
    if budget.get("spec.unhealthyPodEvictionPolicy") != "AlwaysAllow":
        yield budget.wrong("spec.unhealthyPodEvictionPolicy", "set it to AlwaysAllow: a broken pod would block a drain")


def _share(value: Any, pods: int) -> int:
    """Return a number of pods that is given as such, or as a percentage, which Kubernetes rounds up."""
    text = str(value)
    if text.endswith("%") and text[:-1].isdigit():
        return -(-int(text[:-1]) * pods // 100)
    return int(text) if text.isdigit() else 0

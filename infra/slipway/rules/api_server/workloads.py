"""Workloads, schedules, autoscalers, budgets, quotas and claims."""

from __future__ import annotations

from slipway.rules.api_server.forms import QUANTITY, matches_form
from slipway.rules.autoscalers import AUTOSCALERS, fields
from slipway.rules.parts import Part, Pod
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import of, pods_of, selects

RULES = Rules(always=True)


@RULES.each(
    of("Deployment", "StatefulSet", "DaemonSet"),
    "SA021",
    title="A workload selects its own pods, and can replace them",
    reason="the API server refuses it",
)
def own_pods(workload: Part) -> Violations:
    [pod] = pods_of(workload)
    wanted = workload.get("spec.selector.matchLabels")
    if not wanted or not selects(wanted, pod.labels):
        yield workload.wrong("spec.selector.matchLabels", f"the pods have {pod.labels}; select two of those")
    if pod.get("restartPolicy") not in (None, "Always"):
        yield pod.wrong("restartPolicy", "take it out: pods that serve are always restarted")
    rolling = workload.part("spec.strategy.rollingUpdate")
    if workload.get("spec.strategy.type") == "Recreate" and rolling.fields is not None:
        yield workload.wrong("spec.strategy.rollingUpdate", "take it out: the type is Recreate")
    if [str(rolling.get(key)) in ("0", "0%") for key in ("maxUnavailable", "maxSurge")] == [True, True]:
        yield rolling.wrong("maxSurge", "a rollout could never begin; set it to 1")


@RULES.each(
    lambda stack: [pod for pod in stack.pods if pod.kind in ("Job", "CronJob")],
    "SA022",
    title="The pods of a job end",
    reason="the API server refuses it",
)
def job_ends(pod: Pod) -> Violations:
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        yield pod.wrong("restartPolicy", "set it to Never")


@RULES.each(
    of("CronJob"),
    "SA023",
    title="A schedule's times are valid",
    reason="the API server refuses it, or it would never run",
)
def schedule_times(schedule: Part) -> Violations:
    for key in ("schedule", "timeZone"):
        yield from matches_form(schedule, f"spec.{key}", key)


@RULES.each(
    of(*AUTOSCALERS),
    "SA024",
    title="An autoscaler's bounds leave room",
    reason="the API server refuses a minimum above the maximum",
)
def bounds(scaler: Part) -> Violations:
    at = fields(scaler)
    minimum, maximum = scaler.get(at.minimum), scaler.get(at.maximum)
    if not isinstance(minimum, int) or not isinstance(maximum, int) or not 1 <= minimum <= maximum:
        yield scaler.wrong(at.minimum, f"give a number from 1 to {at.maximum.rpartition('.')[2]} ({maximum})")


@RULES.each(
    of("PodDisruptionBudget"),
    "SA025",
    title="A budget says how many stay or how many leave",
    reason="the API server refuses both",
)
def one_bound(budget: Part) -> Violations:
    if budget.get("spec.minAvailable") is not None and budget.get("spec.maxUnavailable") is not None:
        yield budget.wrong("spec.minAvailable", "the API server takes it or maxUnavailable, not both; take it out")


@RULES.each(
    of("ResourceQuota", "PersistentVolumeClaim"),
    "SA026",
    title="Quotas and claims are quantities",
    reason="the API server refuses the object",
)
def amounts(obj: Part) -> Violations:
    for at in ("spec.hard", "spec.resources.requests"):
        for resource, given in obj.mapping(at).items():
            if not QUANTITY.fullmatch(str(given)):
                yield obj.violation(at, f"give {resource} the amount {given}; give a quantity such as 5Gi")

"""Jobs and schedules: what they run, how they end, and what does not count their pods."""

from __future__ import annotations

from slipway.rules.parts import SERVING, Part
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, of

RULES = Rules()


def jobs(stack: Stack) -> list[Part]:
    """The job specs of Jobs and CronJobs."""
    return [job.part("spec") for job in stack.of("Job")] + [
        cron.part("spec.jobTemplate.spec") for cron in stack.of("CronJob")
    ]


@RULES.each(
    jobs, "SW201", title="A job has something to run, and an end", reason="its first error would be retried forever"
)
def job_ends(job: Part) -> Violations:
    if job.get("template.spec.restartPolicy") not in ("Never", "OnFailure"):
        yield job.wrong("template.spec.restartPolicy", "set it to Never")
    for key in ("backoffLimit", "activeDeadlineSeconds"):
        if not isinstance(job.get(key), int):
            yield job.wrong(key, "give a number")
    for container in job.parts("template.spec.containers"):
        if not container.get("args") and not container.get("command"):
            yield container.wrong("args", "set them: without, the app serves and never ends")


@RULES.each(
    of("CronJob"), "SW202", title="A schedule never overlaps itself", reason="two runs would work on the same data"
)
def no_overlap(schedule: Part) -> Violations:
    if schedule.get("spec.concurrencyPolicy") not in ("Forbid", "Replace"):
        yield schedule.wrong("spec.concurrencyPolicy", "set it to Forbid")


@RULES.each(
    of("CronJob"),
    "SW203",
    title="A schedule cleans up and survives missed runs",
    reason="old pods would pile up; 100 missed runs stop it",
)
def schedule_is_bounded(schedule: Part) -> Violations:
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds"):
        if not isinstance(schedule.get(f"spec.{key}"), int):
            yield schedule.wrong(f"spec.{key}", "give a number")
    if not schedule.get("spec.timeZone"):
        yield schedule.wrong("spec.timeZone", "give one: the cluster's own would count")


@RULES.together(
    "SW204",
    title="No Service and no budget selects a job's pods",
    reason="requests would reach a pod that does not serve",
)
def jobs_do_not_serve(stack: Stack) -> Violations:
    selectors = [(service, "spec.selector") for service in stack.of("Service")]
    selectors += [(obj, "spec.selector.matchLabels") for obj in stack.of("PodDisruptionBudget", *SERVING)]
    for obj, at in selectors:
        for pod in stack.selected(obj.get(at)) if obj.get(at) else ():
            if not pod.is_permanent:
                yield obj.wrong(at, f"matches the pods of {pod.kind}/{pod.name} too; make the labels differ")


@RULES.each(
    of("Pod", "ReplicaSet"),
    "SW205",
    title="Every pod has an owner",
    reason="nobody would replace it when its node goes",
)
def no_bare_pods(obj: Part) -> Violations:
    yield obj.wrong("kind", "use a Deployment or a Job")

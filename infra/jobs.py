"""Jobs of a service: the same image, configuration and identity as its pods, but no share in its traffic."""

from __future__ import annotations

from collections.abc import Sequence

import pod
import pulumi
from image import AppImage
from naming import content_name
from pulumi_kubernetes import batch, core
from scope import Scope
from settings import Backup, Job, Schedule

HISTORY = 3


def migration(
    scope: Scope, image: AppImage, config: pod.Config, after: Sequence[pulumi.Resource]
) -> batch.v1.Job | None:
    """The Job a new version waits for; None for a service without. A Job of its own for each image and each setting."""
    job = scope.service.migration
    if job is None:
        return None
    name = f"{scope.title}-migration"
    content = pulumi.Output.all(image=image.reference, env=config.env, secret=config.secret or "")
    return batch.v1.Job(
        name,
        metadata=scope.meta(content.apply(lambda parts: content_name(name, {**parts, "args": " ".join(job.args)}))),
        spec=_spec(scope, job, name, image, config),
        opts=scope.child(*after),
    )


def schedules(scope: Scope, image: AppImage, config: pod.Config, account: core.v1.ServiceAccount) -> None:
    """A CronJob for each schedule of the service."""
    for key, schedule in scope.service.schedules.items():
        name = f"{scope.name}-{key}"
        by_the_clock(scope, name, schedule, _spec(scope, schedule, name, image, config), account)


def by_the_clock(
    scope: Scope, name: str, when: Schedule | Backup, spec: batch.v1.JobSpecArgs, *after: pulumi.Resource
) -> None:
    """A CronJob whose runs never overlap."""
    batch.v1.CronJob(
        name,
        metadata=scope.meta(name),
        spec=batch.v1.CronJobSpecArgs(
            schedule=when.cron,
            time_zone=when.time_zone,
            concurrency_policy="Forbid",
            # A run that could not start in time is skipped; else 100 missed ones would stop the schedule for good.
            starting_deadline_seconds=300,
            successful_jobs_history_limit=HISTORY,
            failed_jobs_history_limit=HISTORY,
            job_template=batch.v1.JobTemplateSpecArgs(spec=spec),
        ),
        opts=scope.child(*after),
    )


def _spec(scope: Scope, job: Job, name: str, image: AppImage, config: pod.Config) -> batch.v1.JobSpecArgs:
    return batch.v1.JobSpecArgs(
        backoff_limit=job.retries,
        active_deadline_seconds=job.deadline_seconds,
        template=pod.job_template(name, scope, job, image, config),
    )

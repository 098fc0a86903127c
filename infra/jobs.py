"""Jobs of a service: the same image, configuration and identity as its pods, but no share in its traffic.

A migration may log in to MySQL by another account than all others; in nothing else does it differ.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import configuration
import monitor
import pod
import pulumi
from api_retry import retried
from connection import client
from enforcement import plain
from image import AppImage
from lightkube import ApiError, Client
from lightkube.resources import batch_v1
from lightkube.types import CascadeType
from naming import content_name
from pulumi_kubernetes import batch, core
from scope import Scope
from settings import Backup, Job, Schedule

HISTORY = 3
RETRY_SECONDS = 30.0
NOT_FOUND = 404


def migration(
    scope: Scope, image: AppImage, config: pod.Config, after: Sequence[pulumi.Resource]
) -> batch.v1.Job | None:
    """Declare the Job a new version waits for; None for a service without one.

    Its name comes from the whole pod template, which Kubernetes cannot change in place: whatever changes in it makes a
    new Job beside the finished one.
    """
    job = scope.service.migration
    if job is None:
        return None
    name = f"{scope.title}-migration"
    template = pod.job_template(name, scope, job, image, configuration.for_migration(scope, config))
    text = pulumi.Output.json_dumps(template, default=vars, sort_keys=True)
    return batch.v1.Job(
        name,
        metadata=scope.meta(text.apply(lambda text: content_name(name, {"template": text}))),
        spec=_spec(job, template),
        opts=pulumi.ResourceOptions.merge(scope.child(*after), pulumi.ResourceOptions(hooks=_hooks(scope, name))),
    )


def _hooks(scope: Scope, name: str) -> pulumi.ResourceHookBinding | None:
    """Return the hook that runs a failed Job again. None in a preview, and under mocks.

    Pulumi records a Job that failed when it was made, and updates it next time. An update changes nothing of a Job that
    has ended: whatever was mended outside the stack, it would stay failed for ever.
    """
    if monitor.is_mocked():
        return None
    settings = scope.settings
    hook = pulumi.ResourceHook(f"{name}-retry", lambda update: retry_failed(client(settings), update.new_inputs or {}))
    return pulumi.ResourceHookBinding(before_update=[hook])


def retry_failed(api: Client, inputs: Mapping[str, Any]) -> None:
    """Replace the Job by a new one of the same name if it has failed, or is gone."""
    until = time.monotonic() + RETRY_SECONDS
    # Before anything is deleted: what cannot be made again stays.
    fields = {key: plain(value) for key, value in inputs.items() if not key.startswith("__")}
    fresh = cast("batch_v1.Job", batch_v1.Job.from_dict(fields))
    name = inputs["metadata"]["name"]
    try:
        job = retried(lambda: api.get(batch_v1.Job, name), until).to_dict()
    except ApiError as error:
        if error.status.code != NOT_FOUND:
            raise
    else:
        if not has_failed(job):
            return
        retried(lambda: api.delete(batch_v1.Job, name, cascade=CascadeType.BACKGROUND), until)
    retried(lambda: api.create(fresh), until)


def has_failed(job: Mapping[str, Any]) -> bool:
    """Return whether Kubernetes has given the Job up."""
    conditions: list[dict[str, Any]] = (job.get("status") or {}).get("conditions") or []
    return any(found["type"] == "Failed" and found["status"] == "True" for found in conditions)


def schedules(scope: Scope, image: AppImage, config: pod.Config, account: core.v1.ServiceAccount) -> None:
    """A CronJob for each schedule of the service."""
    for key, schedule in scope.service.schedules.items():
        name = f"{scope.name}-{key}"
        by_the_clock(
            scope, name, schedule, _spec(schedule, pod.job_template(name, scope, schedule, image, config)), account
        )


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


def _spec(job: Job, template: core.v1.PodTemplateSpecArgs) -> batch.v1.JobSpecArgs:
    return batch.v1.JobSpecArgs(
        backoff_limit=job.retries, active_deadline_seconds=job.deadline_seconds, template=template
    )

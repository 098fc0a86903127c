"""Jobs of a service: the same image, configuration and identity as its pods, but no requests.

A migration may log in to MySQL with an account of its own; this is its only difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import pulumi
from pulumi_kubernetes import batch, core

from slipway import engine
from slipway.cluster.api_retry import NOT_FOUND, give_up_at, retried
from slipway.cluster.connection import client
from slipway.image.reference import ImageReference
from slipway.naming import content_name
from slipway.objects import condition
from slipway.scope import Scope
from slipway.service import configuration, customization, patches, pod
from slipway.service.inputs import Config
from slipway.settings.sections.pods import Job, Schedule
from slipway.settings.sections.stores import Backup

if TYPE_CHECKING:
    from lightkube import Client

HISTORY = 3


def migration(
    scope: Scope, image: ImageReference, config: Config, after: Sequence[pulumi.Resource]
) -> batch.v1.Job | None:
    """Declare the Job that a new version waits for; None for a service without one.

    Its name is a hash of the whole pod template, which is immutable in Kubernetes, and of its patch: any change creates
    a new Job beside the finished one.
    """
    job = scope.service.migration
    if job is None:
        return None
    name = f"{scope.title}-migration"
    template = customization.added(
        scope, pod.job_template("migration", scope, job, image, configuration.for_migration(scope, config))
    )
    hooks = engine.hooks(before_update=_retry(scope, name))
    text = pulumi.Output.json_dumps(template, default=vars, sort_keys=True)
    return batch.v1.Job(
        name,
        metadata=scope.meta(
            text.apply(lambda text: content_name(name, {"template": text, **patches.hashed(scope, "Job")})),
            scope.external_annotation,
        ),
        spec=_spec(job, template),
        opts=pulumi.ResourceOptions.merge(scope.child(*after), pulumi.ResourceOptions(hooks=hooks)),
    )


def _retry(scope: Scope, name: str) -> engine.Hook:
    """Return the hook that runs a failed Job again.

    Pulumi records a Job that failed when it was created, and updates it next time. An update changes nothing of a Job
    that has ended: whatever was fixed outside the stack, it would stay failed for ever.
    """
    settings = scope.settings
    return f"{name}-retry", lambda update: retry_failed(client(settings), update.new_inputs or {})


def retry_failed(api: Client, inputs: Mapping[str, Any]) -> None:
    """Replace a Job that has failed, or create it again if it is gone."""
    from lightkube import ApiError  # noqa: PLC0415 - a preview does not need the client
    from lightkube.resources import batch_v1  # noqa: PLC0415
    from lightkube.types import CascadeType  # noqa: PLC0415

    until = give_up_at()
    # Parsed before anything is deleted: a Job that cannot be created again stays.
    fields = {key: engine.plain(value) for key, value in inputs.items() if not key.startswith("__")}
    new_job = cast("batch_v1.Job", batch_v1.Job.from_dict(fields))
    name = inputs["metadata"]["name"]
    try:
        job = retried(lambda: api.get(batch_v1.Job, name), until).to_dict()
    except ApiError as error:
        if error.status.code != NOT_FOUND:
            raise
    else:
        if condition(job, "Failed").get("status") != "True":
            return
        retried(lambda: api.delete(batch_v1.Job, name, cascade=CascadeType.BACKGROUND), until)
    retried(lambda: api.create(new_job), until)


def schedules(scope: Scope, image: ImageReference, config: Config, account: core.v1.ServiceAccount) -> None:
    """Declare a CronJob for each schedule of the service."""
    for key, schedule in scope.service.schedules.items():
        name = f"{scope.name}-{key}"
        spec = _spec(schedule, customization.added(scope, pod.job_template(key, scope, schedule, image, config)))
        cron_job(scope, name, schedule, spec, account)


def cron_job(
    scope: Scope, name: str, schedule: Schedule | Backup, spec: batch.v1.JobSpecArgs, *after: pulumi.Resource
) -> None:
    """Declare a CronJob whose runs never overlap."""
    batch.v1.CronJob(
        name,
        metadata=scope.meta(name, scope.external_annotation),
        spec=batch.v1.CronJobSpecArgs(
            schedule=schedule.cron,
            time_zone=schedule.time_zone,
            concurrency_policy="Forbid",
            # A run that cannot start in time is skipped. Without this, 100 missed runs stop the schedule for good.
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

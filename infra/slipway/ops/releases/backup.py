"""`./slipway backup` and `restore`: dump a stack's MySQL, and restore a dump, in a pod of its backup schedule.

Both print the name of the dump, its checksum and the rows of each table. A restore is proved by another dump, which has
to be the same text (infra/slipway/stores/mysql.sh). `./slipway backup --prove` proves a dump in a second database, and
notes its name on the schedule, where `./slipway promote` looks for it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import typer
from lightkube import ApiError, Client
from lightkube.models.batch_v1 import JobSpec
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.batch_v1 import CronJob, Job
from lightkube.resources.core_v1 import Pod
from lightkube.types import CascadeType

from slipway.cluster.api_retry import NOT_FOUND
from slipway.naming import selector_of
from slipway.ops.cluster.connection import connect
from slipway.ops.errors import UserError
from slipway.ops.program import config
from slipway.settings.names import MYSQL_BACKUP
from slipway.settings.settings import Settings

# mysql.sh ends with this when it failed before it touched the data.
NOTHING_CHANGED = 3
PROVED = "slipway/proved-backup"
"""Annotation of the schedule with the name of the newest backup that was restored and found to be the same."""
_PROVE = "./slipway backup --prove"
START_SECONDS = 120
STOP_SECONDS = 120
KEPT_SECONDS = 24 * 3600


class BackupError(UserError):
    """There is no backup, or no restore."""


@dataclass(frozen=True)
class Database:
    """The in-cluster MySQL of a stack, and the cluster it is in."""

    stack: str
    settings: Settings
    client: Client

    @property
    def users(self) -> list[str]:
        """The services that use it."""
        return [name for name, service in self.settings.services.items() if "mysql" in service.needs]


def database_of(stack: str) -> Database:
    """Return the database of a stack. Raises BackupError if it has none of its own, and ClusterError."""
    settings = config.settings(stack)
    here = f"stacks/Pulumi.{stack}.yaml"
    if settings.mysql is None:
        raise BackupError(f"{here}: there is no slipway:mysql, so nothing to back up.")
    if settings.mysql.source == "managed":
        raise BackupError(
            f"{here}: slipway:mysql is managed; backups are made where {settings.mysql.host} is operated."
        )
    if settings.mysql.backup is None:
        raise BackupError(f"{here}: slipway:mysql.backup is null; remove that, then `pulumi up -s {stack}`.")
    return Database(stack, settings, connect(stack, settings).client)


def backup(database: Database) -> None:
    """Dump the database now; print name, checksum and rows."""
    if code := run(database, ["backup"]):
        raise BackupError(f"the backup ended with {code}; see the reason above. Earlier backups are untouched.")


def prove(database: Database) -> None:
    """Dump the database now, restore the dump into a second database, and note that both are the same."""
    lines: list[str] = []
    if code := run(database, ["prove"], lines):
        raise BackupError(f"the proof ended with {code}; see the reason above. The database itself is untouched.")
    name = next((line.removeprefix("backup ") for line in lines if line.startswith("backup ")), "")
    # An older schedule in the cluster does not know what a proof is, and calls that a success.
    if not name or f"restored {name}: same rows, same checksum" not in lines:
        raise BackupError(
            f"nothing says that the backup was restored and is the same, so it counts as no proof: its log broke "
            f"off, or CronJob {MYSQL_BACKUP} is of an older release. Run {_PROVE} -s {database.stack} again, if need "
            f"be after ./slipway up -s {database.stack}"
        )
    database.client.patch(CronJob, MYSQL_BACKUP, {"metadata": {"annotations": {PROVED: name}}})


def taken_at(name: str) -> datetime:
    """Return when a backup was taken, which is its name."""
    return datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def names(database: Database) -> None:
    """Print the names of the dumps, the oldest first."""
    run(database, ["list"])


def restore(database: Database, name: str | None) -> None:
    """Restore a dump, the newest by default, while no service is connected; print the proof.

    The services are started again once it is proved, or if nothing was changed. Otherwise they stay stopped.
    """
    job = _job(database, ["restore", *([name] if name else [])])
    stopped = {service: _replicas(database, service) for service in database.users}
    started = ""
    try:
        _stop(database, [*stopped])
        started = _create(database, job)
        code = _follow(database, started)
    except (BackupError, httpx2.HTTPError) as error:
        if not started and _leaves_nothing(error):
            _start(database, stopped)
        else:
            name = started or f"{MYSQL_BACKUP}-restore-..."
            typer.echo(f"{_stay_stopped(stopped)} Job {name} may still run: see its log.", err=True)
        raise
    if code in (0, NOTHING_CHANGED):
        _start(database, stopped)
    if code == NOTHING_CHANGED:
        raise BackupError("nothing was restored, and nothing changed; see the reason above.")
    if code:
        raise BackupError(
            f"the restore ended with {code}; see the reason above. {_stay_stopped(stopped)} "
            f"The data before the restore is a backup too: ./slipway restore -s {database.stack} NAME-before-restore"
        )


def _leaves_nothing(error: Exception) -> bool:
    """Return whether no Job can be running: without an answer, or behind a failing proxy, it may exist."""
    return isinstance(error, BackupError) or (
        isinstance(error, httpx2.HTTPStatusError) and error.response.is_client_error
    )


def _stay_stopped(services: Iterable[str]) -> str:
    return f"{', '.join(services)} stay stopped."


def run(database: Database, arguments: list[str], lines: list[str] | None = None) -> int:
    """Run the backup pod with these arguments; return its exit code. Its output goes to stdout, and into `lines`.

    A pod that does not start is deleted, with its Job: later, nobody would follow it. Raises BackupError for it.
    """
    job = _create(database, _job(database, arguments))
    try:
        started_pod(database, job)
    except BackupError:
        database.client.delete(Job, job, cascade=CascadeType.BACKGROUND)
        raise
    return _follow(database, job, lines)


def start(database: Database, command: list[str]) -> str:
    """Start a pod with the volume of the backups that runs another command. Return the name of its Job."""
    job = _job(database, ["copy"])
    spec: Any = job.spec
    spec.template.spec.containers[0].command, spec.template.spec.containers[0].args = command, []
    return _create(database, job)


def started_pod(database: Database, job: str) -> str:
    """Wait until the pod of a Job has started, and return its name."""
    try:
        _until(lambda: _has_started(database, job), START_SECONDS, f"start of the pod of job {job}")
    except BackupError as error:
        raise BackupError(f"{error}{_why_pending(_pod(database, job))}") from None
    pod = _pod(database, job)
    return str(pod and pod.metadata and pod.metadata.name)


def _why_pending(pod: Pod | None) -> str:
    """Return why a pod does not start, as far as Kubernetes says: no node, no volume, no image."""
    status: Any = pod and pod.status
    conditions = [c.message for c in (status and status.conditions) or [] if c.status == "False" and c.message]
    waiting = [c.state.waiting for c in (status and status.containerStatuses) or [] if c.state and c.state.waiting]
    reasons = [*conditions, *(f"{state.reason}: {state.message or ''}" for state in waiting)]
    return f" Kubernetes says: {'; '.join(dict.fromkeys(reasons))}" if reasons else ""


def _create(database: Database, job: Job) -> str:
    """Create the Job, and return its name."""
    created = database.client.create(job)
    return str(created.metadata and created.metadata.name)


def _follow(database: Database, name: str, lines: list[str] | None = None) -> int:
    """Print what the Job's pod writes until it ends, and return its exit code."""
    for line in database.client.log(started_pod(database, name), follow=True):
        typer.echo(line.rstrip("\n"))
        if lines is not None:
            lines.append(line.rstrip("\n"))
    codes: list[int] = []

    def has_ended() -> bool:
        # Kept: a pod that is gone a moment later has no code any more, which is no success.
        code = _exit_code(database, name)
        codes.extend([] if code is None else [code])
        return bool(codes)

    _until(has_ended, START_SECONDS, f"end of job {name}")
    return codes[0]


def _job(database: Database, arguments: list[str]) -> Job:
    try:
        schedule = database.client.get(CronJob, MYSQL_BACKUP)
    except ApiError as error:
        if error.status.code != NOT_FOUND:
            raise
        raise BackupError(
            f"CronJob {MYSQL_BACKUP} of stack {database.stack} is not there. Is the stack up? "
            f"pulumi up -s {database.stack}"
        ) from None
    spec: Any = copy.deepcopy(schedule.spec and schedule.spec.jobTemplate.spec)
    spec.template.spec.containers[0].args = arguments
    spec.backoffLimit = 0
    spec.ttlSecondsAfterFinished = KEPT_SECONDS
    assert isinstance(spec, JobSpec)  # noqa: S101
    # Owned by the schedule, and deleted with it: otherwise its pod would hold the volume for ever.
    uid = str(schedule.metadata and schedule.metadata.uid)
    owner = OwnerReference("batch/v1", "CronJob", MYSQL_BACKUP, uid, controller=True, blockOwnerDeletion=True)
    metadata = ObjectMeta(generateName=f"{MYSQL_BACKUP}-{arguments[0]}-", ownerReferences=[owner])
    return Job(metadata=metadata, spec=spec)


def _pod(database: Database, job: str) -> Pod | None:
    return next(iter(database.client.list(Pod, labels={"batch.kubernetes.io/job-name": job})), None)


def _has_started(database: Database, job: str) -> bool:
    pod = _pod(database, job)
    return bool(pod and pod.status and pod.status.phase not in (None, "Pending"))


def _exit_code(database: Database, job: str) -> int | None:
    pod = _pod(database, job)
    status: Any = pod and pod.status
    ended = [c.state.terminated for c in (status and status.containerStatuses) or [] if c.state and c.state.terminated]
    return ended[0].exitCode if ended else None


def _stop(database: Database, services: list[str]) -> None:
    for service in services:
        _scale(database, service, 0)
    selectors: list[dict[str, Any]] = [dict(selector_of(service, database.stack)) for service in services]
    _until(
        lambda: not any(list(database.client.list(Pod, labels=selector)) for selector in selectors),
        STOP_SECONDS,
        f"end of the pods of {', '.join(services)}",
    )


def _start(database: Database, services: Mapping[str, int]) -> None:
    for service, replicas in services.items():
        _scale(database, service, replicas)


def _replicas(database: Database, service: str) -> int:
    """Return the number of pods to start again; that of the settings where a former restore has stopped them."""
    deployment = database.client.get(Deployment, service)
    present = (deployment.spec and deployment.spec.replicas) or 0
    return present or database.settings.services[service].min_replicas


def _scale(database: Database, service: str, replicas: int) -> None:
    """Set the number of pods. An autoscaler leaves a Deployment of 0 alone, and resumes when there are more."""
    typer.echo(f"{service}: {replicas} pods", err=True)
    database.client.patch(Deployment, service, {"spec": {"replicas": replicas}})


def _until(done: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise BackupError(f"{what}: not within {seconds:.0f} s; see kubectl describe.")
        time.sleep(0.5)

"""`./slipway backup` and `restore`: the store of a stack, dumped and put back by the pod of its backup schedule.

Both print what they did: the name of the dump, its checksum and the rows of each table. A restore is proved by dumping
what it restored: that has to be the same text (infra/mysql.sh).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import typer
from lightkube import ApiError, Client
from lightkube.models.batch_v1 import JobSpec
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.batch_v1 import CronJob, Job
from lightkube.resources.core_v1 import Pod
from naming import selector_of
from settings import MYSQL_BACKUP, Settings

from ops import config
from ops.cluster import NOT_FOUND, connect

# mysql.sh ends with this when it failed before it touched the data.
NOTHING_CHANGED = 3
START_SECONDS = 120
STOP_SECONDS = 120
KEPT_SECONDS = 24 * 3600


class BackupFailed(Exception):
    """Why there is no backup, or no restore; what to do about it."""


@dataclass(frozen=True)
class Store:
    """The in-cluster store of a stack, and the cluster it is in."""

    stack: str
    settings: Settings
    client: Client

    @property
    def users(self) -> list[str]:
        """The services that log in to it."""
        return [name for name, service in self.settings.services.items() if "mysql" in service.needs]


def store(stack: str) -> Store:
    """`BackupFailed` if the stack has none of its own; `NoCluster` if its context does not lead to its cluster."""
    settings = config.settings(stack)
    here = f"stacks/Pulumi.{stack}.yaml"
    if settings.mysql is None:
        raise BackupFailed(f"{here}: there is no slipway:mysql, so nothing to back up.")
    if settings.mysql.source == "managed":
        raise BackupFailed(f"{here}: slipway:mysql is managed; who runs {settings.mysql.host} keeps its backups.")
    if settings.mysql.backup is None:
        raise BackupFailed(f"{here}: slipway:mysql.backup is null; take that out, then `pulumi up -s {stack}`.")
    return Store(stack, settings, connect(stack, settings).client)


def backup(store: Store) -> None:
    """Dump it now; prints name, checksum and rows."""
    if code := run(store, ["backup"]):
        raise BackupFailed(f"the backup ended with {code}; the reason stands above. The earlier ones are untouched.")


def names(store: Store) -> None:
    """Prints the dumps there are, the oldest first."""
    run(store, ["list"])


def restore(store: Store, name: str | None) -> None:
    """Put a dump back, the newest by default, while no service is connected; prints the proof.

    The services are started again when it is proved, or when nothing was changed. Else they stay stopped.
    """
    job = _job(store, ["restore", *([name] if name else [])])
    stopped = {service: _replicas(store, service) for service in store.users}
    started = ""
    try:
        _stop(store, [*stopped])
        started = _created(store, job)
        code = _followed(store, started)
    except (BackupFailed, httpx2.HTTPError) as error:
        if not started and _leaves_nothing(error):
            _start(store, stopped)
        else:
            name = started or f"{MYSQL_BACKUP}-restore-..."
            typer.echo(f"{_stay_stopped(stopped)} Job {name} may still run: see its log.", err=True)
        raise
    if code in (0, NOTHING_CHANGED):
        _start(store, stopped)
    if code == NOTHING_CHANGED:
        raise BackupFailed("nothing was restored, and nothing changed; the reason stands above.")
    if code:
        raise BackupFailed(
            f"the restore ended with {code}; the reason stands above. {_stay_stopped(stopped)} "
            f"What was there is a backup too: ./slipway restore -s {store.stack} NAME-before-restore"
        )


def _leaves_nothing(error: Exception) -> bool:
    """Return whether no Job can be running: without an answer, or behind a failing proxy, it may have been made."""
    return isinstance(error, BackupFailed) or (
        isinstance(error, httpx2.HTTPStatusError) and error.response.is_client_error
    )


def _stay_stopped(services: Iterable[str]) -> str:
    return f"{', '.join(services)} stay stopped."


def run(store: Store, arguments: list[str]) -> int:
    """Run the backup pod with these arguments; its output goes to stdout, its exit code comes back."""
    return _followed(store, _created(store, _job(store, arguments)))


def _created(store: Store, job: Job) -> str:
    """Make the Job, and return its name."""
    made = store.client.create(job)
    return str(made.metadata and made.metadata.name)


def _followed(store: Store, name: str) -> int:
    """Print what the Job's pod writes until it ends, and return its exit code."""
    _until(lambda: _has_started(store, name), START_SECONDS, f"the pod of job {name} starts")
    pod = _pod(store, name)
    assert pod and pod.metadata and pod.metadata.name  # noqa: S101 it has started
    for line in store.client.log(pod.metadata.name, follow=True):
        typer.echo(line.rstrip("\n"))
    _until(lambda: _exit_code(store, name) is not None, START_SECONDS, f"job {name} ends")
    return _exit_code(store, name) or 0


def _job(store: Store, arguments: list[str]) -> Job:
    try:
        schedule = store.client.get(CronJob, MYSQL_BACKUP)
    except ApiError as error:
        if error.status.code != NOT_FOUND:
            raise
        raise BackupFailed(
            f"CronJob {MYSQL_BACKUP} of stack {store.stack} is not there. Is the stack up? pulumi up -s {store.stack}"
        ) from None
    spec: Any = copy.deepcopy(schedule.spec and schedule.spec.jobTemplate.spec)
    spec.template.spec.containers[0].args = arguments
    spec.backoffLimit = 0
    spec.ttlSecondsAfterFinished = KEPT_SECONDS
    assert isinstance(spec, JobSpec)  # noqa: S101
    # The schedule's own: what is left of it goes with it, or its pod would hold the volume for ever.
    uid = str(schedule.metadata and schedule.metadata.uid)
    owner = OwnerReference("batch/v1", "CronJob", MYSQL_BACKUP, uid, controller=True, blockOwnerDeletion=True)
    metadata = ObjectMeta(generateName=f"{MYSQL_BACKUP}-{arguments[0]}-", ownerReferences=[owner])
    return Job(metadata=metadata, spec=spec)


def _pod(store: Store, job: str) -> Pod | None:
    return next(iter(store.client.list(Pod, labels={"batch.kubernetes.io/job-name": job})), None)


def _has_started(store: Store, job: str) -> bool:
    pod = _pod(store, job)
    return bool(pod and pod.status and pod.status.phase not in (None, "Pending"))


def _exit_code(store: Store, job: str) -> int | None:
    pod = _pod(store, job)
    status: Any = pod and pod.status
    ended = [c.state.terminated for c in (status and status.containerStatuses) or [] if c.state and c.state.terminated]
    return ended[0].exitCode if ended else None


def _stop(store: Store, services: list[str]) -> None:
    for service in services:
        _scale(store, service, 0)
    labels: list[dict[str, Any]] = [dict(selector_of(service, store.stack)) for service in services]
    _until(
        lambda: not any(list(store.client.list(Pod, labels=one)) for one in labels),
        STOP_SECONDS,
        f"the pods of {', '.join(services)} are gone",
    )


def _start(store: Store, services: Mapping[str, int]) -> None:
    for service, replicas in services.items():
        _scale(store, service, replicas)


def _replicas(store: Store, service: str) -> int:
    """How many pods to start again: as many as there are, or as there should be where a restore has stopped them."""
    deployment = store.client.get(Deployment, service)
    present = (deployment.spec and deployment.spec.replicas) or 0
    return present or store.settings.services[service].fewest


def _scale(store: Store, service: str, replicas: int) -> None:
    """An autoscaler leaves a Deployment of 0 alone, and goes on when there are more."""
    typer.echo(f"{service}: {replicas} pods", err=True)
    store.client.patch(Deployment, service, {"spec": {"replicas": replicas}})


def _until(done: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise BackupFailed(f"waited {seconds:.0f} s in vain until {what}; look with kubectl describe.")
        time.sleep(0.5)

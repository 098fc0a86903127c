"""`./slipway env sleep` and `wake`: no pod of a stack runs, its volumes stay, and later all is as it was.

Asleep, each Deployment and StatefulSet has 0 pods, which disables its HorizontalPodAutoscaler; CronJobs are suspended,
and ScaledObjects of KEDA paused. Only the cluster is changed: the program still declares all of it.
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import typer

from slipway.naming import ASLEEP, INSTANCE, instance
from slipway.objects import Object, asleep_since, dig, items, name_of
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.cluster.sleep_mark import SleepMarkError, merged, sleep_change, wake_change
from slipway.ops.environments.errors import EnvError
from slipway.settings.tiers import TIERS

JOB_SECONDS = 600
STOP_SECONDS = 300
START_SECONDS = 300
POLL_SECONDS = 0.5
# https://keda.sh/docs/2.17/concepts/scaling-deployments/#pausing-autoscaling
PAUSED = "autoscaling.keda.sh/paused"

Change = Callable[[Object], tuple[Object, Object]]
"""Returns the merge patch that stops an object, and the one that takes it back."""


def _no_pods(workload: Object) -> tuple[Object, Object]:
    return {"spec": {"replicas": 0}}, {"spec": {"replicas": dig(workload, "spec.replicas")}}


def _suspended(job: Object) -> tuple[Object, Object]:
    return {"spec": {"suspend": True}}, {"spec": {"suspend": bool(dig(job, "spec.suspend"))}}


def _paused(scaler: Object) -> tuple[Object, Object]:
    before = dig(scaler, "metadata.annotations", PAUSED)
    return {"metadata": {"annotations": {PAUSED: "true"}}}, {"metadata": {"annotations": {PAUSED: before}}}


@dataclass(frozen=True)
class Kind:
    """One kind of objects that can sleep."""

    api_version: str
    name: str
    plural: str
    change: Change


SERVICES = Kind("apps/v1", "Deployment", "deployments", _no_pods)
STORES = Kind("apps/v1", "StatefulSet", "statefulsets", _no_pods)
SCHEDULES = Kind("batch/v1", "CronJob", "cronjobs", _suspended)
SCALERS = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", _paused)


def sleep(cluster: StackCluster) -> None:
    """Stop everything, the services before the stores. Raises EnvError if the tier forbids it, or a pod stays.

    What sleeps already is left alone, so that an interrupted run can be repeated.
    """
    if not TIERS[cluster.settings.tier].allows_env:
        raise EnvError(f"stack {cluster.stack} is of tier {cluster.settings.tier}, which never sleeps")
    try:
        for kind in (SCHEDULES, *_scalers(cluster)):
            _stop(cluster, kind)
        _until(lambda: _running_jobs(cluster), JOB_SECONDS, "these still run, and no service was stopped", cluster)
    except BaseException:  # also Ctrl-C
        # Services that run show nobody that backups are suspended.
        if not asleep(cluster):
            _start_schedules(cluster)
        raise
    _stop(cluster, SERVICES)
    _until(lambda: _pods(cluster, SERVICES), STOP_SECONDS, "these have not ended", cluster)
    _stop(cluster, STORES)
    _until(lambda: _pods(cluster, STORES), STOP_SECONDS, "these have not ended", cluster)
    kept = ", ".join(sorted(map(name_of, cluster.items("persistentvolumeclaims")))) or "none"
    typer.echo(f"{cluster.stack}: asleep, 0 pods. Volumes kept: {kept}", err=True)


def wake(cluster: StackCluster) -> None:
    """Start everything that sleeps, the stores before the services. Raises EnvError if a pod does not get ready.

    Nothing is started if something does not say what it was before.
    """
    begin = time.monotonic()
    if not is_asleep(cluster):
        typer.echo(f"{cluster.stack}: is awake", err=True)
        return
    _check_marks(cluster)
    for kind in (STORES, SERVICES):
        _start(cluster, kind)
        wait_until_ready(cluster, kind)
    _start_schedules(cluster)
    typer.echo(f"{cluster.stack}: awake after {time.monotonic() - begin:.0f} s", err=True)


def wait_until_ready(cluster: StackCluster, kind: Kind = SERVICES) -> None:
    """Wait until all pods of a kind that are wanted are ready. Raises EnvError after START_SECONDS."""
    _until(lambda: _not_ready(cluster, kind), START_SECONDS, "these are not ready", cluster)


def asleep(cluster: StackCluster, kind: Kind = SERVICES) -> list[Object]:
    """Return the objects of a kind that sleep."""
    return [obj for obj in _objects(cluster, kind) if asleep_since(obj)]


def is_asleep(cluster: StackCluster) -> bool:
    """Return whether anything sleeps, also after a run that was interrupted."""
    return any(asleep(cluster, kind) for kind in _kinds(cluster))


def _kinds(cluster: StackCluster) -> Sequence[Kind]:
    return [SERVICES, STORES, SCHEDULES, *_scalers(cluster)]


def _scalers(cluster: StackCluster) -> Sequence[Kind]:
    """Return the kind of KEDA where a service uses it: other clusters need not know it."""
    return [SCALERS] if any(service.is_scaled_by_keda for service in cluster.settings.services.values()) else []


def _objects(cluster: StackCluster, kind: Kind) -> list[Object]:
    return cluster.items(kind.plural, labelSelector=f"{INSTANCE}={instance(cluster.stack)}")


def _stop(cluster: StackCluster, kind: Kind) -> None:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    for obj in _objects(cluster, kind):
        stop, wake = kind.change(obj)
        # One that sleeps may have been started since, by `kubectl scale` or an update of the engine.
        if not asleep_since(obj) or merged(obj, stop) != obj:
            cluster.patch(kind.api_version, kind.name, name_of(obj), sleep_change(stop, wake, now))


def _start(cluster: StackCluster, kind: Kind) -> None:
    for obj in asleep(cluster, kind):
        cluster.patch(kind.api_version, kind.name, name_of(obj), wake_change(obj))


def _check_marks(cluster: StackCluster) -> None:
    """Raise EnvError with each object that sleeps and does not say what it was before."""
    broken: list[str] = []
    for kind in _kinds(cluster):
        for obj in asleep(cluster, kind):
            try:
                wake_change(obj)
            except SleepMarkError as error:
                where = f"--context {cluster.context} -n {cluster.namespace}"
                command = f"kubectl {where} annotate {kind.name.lower()} {name_of(obj)} {ASLEEP}-"
                broken.append(f"{kind.name}/{error}. Start it by hand, and take the mark away: {command}")
    if broken:
        raise EnvError("\n  ".join([f"{cluster.stack}: nothing was started", *broken]))


def _start_schedules(cluster: StackCluster) -> None:
    for kind in (*_scalers(cluster), SCHEDULES):
        _start(cluster, kind)


def _running_jobs(cluster: StackCluster) -> Iterator[str]:
    """Yield the Jobs of the stack that run. Those of its schedules carry its label on their pods only."""
    for job in cluster.items("jobs"):
        of_stack = instance(cluster.stack) in (
            dig(job, "metadata.labels", INSTANCE),
            dig(job, "spec.template.metadata.labels", INSTANCE),
        )
        if of_stack and dig(job, "status.active"):
            yield f"Job/{name_of(job)}"


def _pods(cluster: StackCluster, kind: Kind) -> Iterator[str]:
    """Yield the pods of the stack's objects of a kind that have not ended, also those that are about to.

    By owner, since pods of an adopted Deployment need not carry the label of the stack.
    """
    owners = {(kind.name, name_of(obj)) for obj in _objects(cluster, kind)}
    if kind is SERVICES:
        owners = {("ReplicaSet", name_of(found)) for found in cluster.items("replicasets") if _owned(found, owners)}
    for pod in cluster.items("pods"):
        if _owned(pod, owners) and dig(pod, "status.phase") not in ("Succeeded", "Failed"):
            yield f"Pod/{name_of(pod)}"


def _owned(obj: Object, owners: set[tuple[str, str]]) -> bool:
    references = items(obj, "metadata.ownerReferences")
    return any((reference.get("kind"), reference.get("name")) in owners for reference in references)


def _not_ready(cluster: StackCluster, kind: Kind) -> Iterator[str]:
    for workload in _objects(cluster, kind):
        if (dig(workload, "status.readyReplicas") or 0) < (dig(workload, "spec.replicas") or 0):
            yield f"{kind.name}/{name_of(workload)}"


def _until(left: Callable[[], Iterator[str]], seconds: float, problem: str, cluster: StackCluster) -> None:
    """Wait until nothing is left. Raises EnvError with what is left after so many seconds."""
    end = time.monotonic() + seconds
    while waiting := list(left()):
        if time.monotonic() > end:
            raise EnvError(
                f"{cluster.stack}: after {seconds:.0f} s {problem}: {', '.join(waiting)}. "
                f"See ./slipway status -s {cluster.stack}, then run it again"
            )
        time.sleep(POLL_SECONDS)

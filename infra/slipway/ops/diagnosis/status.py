"""`./slipway status`: one screen about a stack. What is wrong comes first; the exit code is its health."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from slipway.objects import Object, asleep_since, condition, dig, has_rollout_failed, is_rolled_out, items, name_of
from slipway.ops.cluster.connection import StackCluster, service_of
from slipway.ops.cluster.snapshot import ClusterSnapshot, age, is_ready
from slipway.ops.diagnosis.cause import Cause, StackLocation
from slipway.ops.diagnosis.causes import causes, newest_jobs
from slipway.ops.monitoring.prometheus import Alert
from slipway.ops.terminal.tables import table
from slipway.settings.names import MYSQL_BACKUP
from slipway.settings.settings import Settings

HEALTHY, UNHEALTHY = 0, 1
# In place of the address of a worker.
NO_ADDRESS = "none (a worker)"


@dataclass(frozen=True)
class ServiceStatus:
    """One service of the stack, as the cluster has it. The fields are the keys of `--json`."""

    name: str
    version: str | None
    """The version of the pod template; None without a Deployment."""
    digest: str | None
    serving: list[str]
    """The versions of the pods that are ready."""
    ready: int
    wanted: int
    least: int
    """The smallest number of pods that the stack file allows."""
    autoscaling: dict[str, int | None] | None
    rollout: str
    """complete · in progress · failed · paused · asleep · missing"""
    changed: str | None
    """When the newest ReplicaSet was created."""
    address: str
    answers: bool
    """Whether a pod is ready, so that requests to the address are answered."""


@dataclass(frozen=True)
class StoreStatus:
    """MySQL or Redis."""

    name: str
    source: str
    host: str
    ready: int
    wanted: int
    volumes: list[dict[str, str]]


@dataclass(frozen=True)
class JobRun:
    """The last run of a job."""

    job: str
    state: str
    """done · failed · running · never"""
    at: str | None


@dataclass(frozen=True)
class Status:
    """Everything on the screen."""

    stack: str
    namespace: str
    context: str
    services: list[ServiceStatus]
    stores: list[StoreStatus]
    jobs: list[JobRun]
    causes: list[Cause]
    unread: list[str]
    """Kinds that we may not read, so that their causes are missing."""
    notes: Sequence[str] = ()
    """Remarks that do not count as unhealthy."""
    alerts: Sequence[Alert] = ()
    """What is firing. It does not count as unhealthy: burn rates look back for hours after the cause is gone."""
    asleep: str | None = None
    """When `./slipway env sleep` has stopped it; None if it is awake."""

    @property
    def lacking(self) -> list[str]:
        """Return what has fewer ready pods than the stack file asks for."""
        absent = [f"{service.name} is not deployed" for service in self.services if service.rollout == "missing"]
        counts = [
            *(
                (service.name, service.ready, service.least)
                for service in self.services
                if service.rollout not in ("missing", "asleep")
            ),
            *((store.name, store.ready, store.wanted) for store in self.stores),
        ]
        return [*absent, *(f"{name} has {ready} of {least} pods" for name, ready, least in counts if ready < least)]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong. A rollout in progress is healthy while enough pods serve."""
        return not self.causes and not self.lacking


def read(cluster: StackCluster, snapshot: ClusterSnapshot) -> Status:
    """Return the status of what the stack file declares."""
    settings = cluster.settings
    location = StackLocation(cluster.stack, cluster.context, cluster.namespace)
    needs = {name: service.needs for name, service in settings.services.items()}
    return Status(
        stack=cluster.stack,
        namespace=cluster.namespace,
        context=cluster.context,
        services=[_service(name, settings, snapshot) for name in settings.services],
        stores=list(_stores(settings, snapshot)),
        jobs=list(_jobs(settings, snapshot)),
        causes=causes(snapshot, location, needs),
        unread=list(snapshot.unread),
        asleep=min(filter(None, map(asleep_since, [*snapshot.deployments, *snapshot.stateful_sets])), default=None),
    )


def _service(name: str, settings: Settings, snapshot: ClusterSnapshot) -> ServiceStatus:
    service = settings.services[name]
    deployment = next((obj for obj in snapshot.deployments if name_of(obj) == name), {})
    replica_sets = snapshot.owned(snapshot.replica_sets, deployment)
    pods = [pod for replica_set in replica_sets for pod in snapshot.owned(snapshot.pods, replica_set)]
    newest = snapshot.newest_replica_set(deployment) if deployment else None
    return ServiceStatus(
        name=name,
        version=_version(dig(deployment, "spec.template") or {}),
        digest=_digest(deployment),
        serving=sorted({version for pod in pods if is_ready(pod) and (version := _version(pod))}),
        ready=dig(deployment, "status.readyReplicas") or 0,
        wanted=dig(deployment, "spec.replicas") or 0,
        least=service.min_replicas,
        autoscaling=_autoscaling(name, snapshot),
        rollout=_rollout(deployment, service.min_replicas),
        changed=dig(newest, "metadata.creationTimestamp"),
        address=_address(name, settings),
        answers=any(map(is_ready, pods)),
    )


def _address(name: str, settings: Settings) -> str:
    service = settings.services[name]
    if service.is_worker:
        return NO_ADDRESS
    return service.ingress.url if service.ingress else f"http://{name}.{settings.namespace} (inside the cluster)"


def _version(labelled: Object) -> str | None:
    return dig(labelled, "metadata.labels", "app.kubernetes.io/version")


def _digest(deployment: Object) -> str | None:
    for container in items(deployment, "spec.template.spec.containers"):
        return container["image"].partition("@")[2] or container["image"]
    return None


def _rollout(deployment: Object, min_replicas: int) -> str:
    if not deployment:
        return "missing"
    if asleep_since(deployment):
        return "asleep"
    if dig(deployment, "spec.paused"):
        return "paused"
    if has_rollout_failed(deployment):
        return "failed"
    return "complete" if is_rolled_out(deployment, min_replicas) else "in progress"


def _autoscaling(service: str, snapshot: ClusterSnapshot) -> dict[str, int | None] | None:
    for scaler in snapshot.autoscalers:
        if dig(scaler, "spec.scaleTargetRef.name") == service:
            return {
                "min": scaler["spec"].get("minReplicas", 1),
                "max": scaler["spec"]["maxReplicas"],
                "cpuPercent": _cpu_percent(scaler, "status.currentMetrics", "current"),
                "cpuPercentTarget": _cpu_percent(scaler, "spec.metrics", "target"),
            }
    return None


def _cpu_percent(scaler: Object, metrics: str, value: str) -> int | None:
    for metric in items(scaler, metrics):
        if dig(metric, "resource.name") == "cpu":
            return dig(metric, f"resource.{value}.averageUtilization")
    return None


def _stores(settings: Settings, snapshot: ClusterSnapshot) -> Iterator[StoreStatus]:
    for name, section in settings.stores.items():
        if section.source == "managed":
            yield StoreStatus(name, "managed", f"{section.host}:{section.port}", 0, 0, [])
            continue
        server = next((obj for obj in snapshot.stateful_sets if name_of(obj) == name), {})
        yield StoreStatus(
            name=name,
            source="cluster",
            host=f"{name}:{section.port}",
            ready=dig(server, "status.readyReplicas") or 0,
            # Not that of the StatefulSet: it is 0 during a restore, and after one that failed.
            wanted=0 if asleep_since(server) else 1,
            volumes=[_volume(claim) for claim in snapshot.claims if service_of(claim) == name],
        )


def _volume(claim: Object) -> dict[str, str]:
    size = dig(claim, "status.capacity.storage") or dig(claim, "spec.resources.requests.storage") or ""
    return {"name": name_of(claim), "phase": dig(claim, "status.phase") or "", "size": size}


def _jobs(settings: Settings, snapshot: ClusterSnapshot) -> Iterator[JobRun]:
    """Yield the last run of each migration, each scheduled job and the backup."""
    names = [f"{service}-{job}" for service, section in settings.services.items() for job in section.jobs]
    if settings.mysql and settings.mysql.source == "cluster" and settings.mysql.backup:
        names.append(MYSQL_BACKUP)
    jobs = {dig(job, "spec.template.metadata.labels", "app.kubernetes.io/name"): job for job in newest_jobs(snapshot)}
    for name in names:
        yield _job_run(name, jobs.get(name))


def _job_run(name: str, job: Object | None) -> JobRun:
    if job is None:
        return JobRun(name, "never", None)
    for kind, state in (("Complete", "done"), ("Failed", "failed")):
        if condition(job, kind).get("status") == "True":
            return JobRun(name, state, condition(job, kind).get("lastTransitionTime"))
    return JobRun(name, "running", dig(job, "status.startTime") or dig(job, "metadata.creationTimestamp"))


def as_json(status: Status) -> str:
    """Return the status for programs."""
    return json.dumps({"healthy": status.healthy, **asdict(status)}, indent=2, ensure_ascii=False) + "\n"


def screen(status: Status, snapshot: ClusterSnapshot) -> str:
    """Return the status for people."""
    services = [_service_row(service, snapshot) for service in status.services]
    runs = [[run.job, run.state, _ago(run.at, snapshot)] for run in status.jobs]
    tables = [
        table(services, ("service", "version", "pods", "cpu", "rollout", "changed", "address")),
        *([table(map(_store_row, status.stores), ("store", "where", "pods", "volumes"))] if status.stores else []),
        *([table(runs, ("job", "last run", "when"))] if runs else []),
    ]
    unread = [f"not readable with these rights: {', '.join(status.unread)}\n"] if status.unread else []
    stack = f"stack {status.stack}, namespace {status.namespace}, context {status.context}\n"
    notes = [f"note: {note}\n" for note in status.notes]
    alerts = ["".join(f"{_alert(alert, snapshot)}\n" for alert in status.alerts)] if status.alerts else []
    about = f"{headline(status)}\n{stack}"
    return "\n".join([about, *alerts, *map(describe, status.causes), *tables, *unread, *notes])


def headline(status: Status) -> str:
    """Return what is wrong, or that the stack is healthy."""
    if status.causes:
        first, *others = status.causes
        more = f" (and {len(others)} more)" if others else ""
        return f"NOT HEALTHY: {first.label}: {first.object}{more}"
    if status.lacking:
        return f"NOT HEALTHY: {', '.join(status.lacking)}"
    if status.asleep:
        return f"asleep since {status.asleep}; to wake it: ./slipway env wake {status.stack}"
    rolling = [service.name for service in status.services if service.rollout == "in progress"]
    return f"healthy; rolling out: {', '.join(rolling)}" if rolling else "healthy"


def describe(cause: Cause) -> str:
    """Return a cause with its evidence, its consequences and the next command."""
    lines = [f"{cause.label}: {cause.object}", *(f"  {line}" for line in cause.evidence)]
    lines += [f"  so: {line}" for line in cause.consequences]
    return "\n".join([*lines, f"  next: {cause.next}", ""])


def _alert(alert: Alert, snapshot: ClusterSnapshot) -> str:
    """Return `firing for 12m: page ErrorBudgetFastBurn: api spends its error budget too fast.`"""
    since = f" for {age(snapshot.seconds_since(alert.since))}" if alert.since else ""
    return f"firing{since}: {alert.severity} {alert.name}: {alert.summary or alert.service}".rstrip(": ")


def _service_row(service: ServiceStatus, snapshot: ClusterSnapshot) -> list[str]:
    version = service.version or "-"
    if service.serving and service.serving != [service.version]:
        version += f" (serving: {', '.join(service.serving)})"
    if service.digest and service.digest.startswith("sha256:"):
        version += f" {service.digest[:19]}"
    pods, cpu = f"{service.ready}/{service.wanted}", ""
    if scaling := service.autoscaling:
        pods += f" ({scaling['min']}-{scaling['max']})"
        cpu = f"{'?' if scaling['cpuPercent'] is None else scaling['cpuPercent']}/{scaling['cpuPercentTarget']}%"
    is_silent = not service.answers and service.address != NO_ADDRESS
    address = f"{service.address} (no pod answers)" if is_silent else service.address
    return [service.name, version, pods, cpu, service.rollout, _ago(service.changed, snapshot), address]


def _store_row(store: StoreStatus) -> list[str]:
    if store.source == "managed":
        return [store.name, f"{store.host} (managed)", "-", "-"]
    volumes = ", ".join(f"{volume['name']} {volume['size']} {volume['phase']}" for volume in store.volumes)
    return [store.name, store.host, f"{store.ready}/{store.wanted}", volumes or "none"]


def _ago(time: str | None, snapshot: ClusterSnapshot) -> str:
    return f"{age(snapshot.seconds_since(time))} ago" if time else "-"

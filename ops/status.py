"""`./slipway status`: one screen about a stack. What is wrong comes first; the exit code is its health."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from settings import MYSQL_BACKUP, Settings

from ops.ailments import Cause, Place
from ops.causes import causes, newest_jobs
from ops.cluster import Cluster, Object, at, name_of, service_of
from ops.held import Held, age, condition

HEALTHY, UNHEALTHY, CANNOT_TELL = 0, 1, 2


@dataclass(frozen=True)
class Service:
    """One service of the stack, as the cluster has it."""

    name: str
    version: str | None
    """Of the template; None where there is no Deployment."""
    digest: str | None
    serving: list[str]
    """Versions of the pods that are ready."""
    ready: int
    wanted: int
    least: int
    """Pods the stack file asks for at the least."""
    autoscaling: dict[str, int | None] | None
    rollout: str
    """complete · in progress · failed · paused · missing"""
    changed: str | None
    """When the newest pods were first asked for."""
    address: str
    answers: bool
    """Whether a pod answers its readiness probe, so that the address leads to it."""


@dataclass(frozen=True)
class Store:
    """MySQL or Redis."""

    name: str
    source: str
    host: str
    ready: int
    wanted: int
    volumes: list[dict[str, str]]


@dataclass(frozen=True)
class Run:
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
    services: list[Service]
    stores: list[Store]
    jobs: list[Run]
    causes: list[Cause]
    unread: list[str]
    """Kinds we may not read, so that what they would say is missing."""
    notes: Sequence[str] = ()
    """What may be right, and is better known."""

    @property
    def lacking(self) -> list[str]:
        """What has fewer ready pods than the stack file asks for."""
        absent = [f"{one.name} is not deployed" for one in self.services if one.rollout == "missing"]
        few = [(one.name, one.ready, one.least) for one in self.services if one.rollout != "missing"]
        few += [(one.name, one.ready, one.wanted) for one in self.stores]
        return [*absent, *(f"{name} has {ready} of {least} pods" for name, ready, least in few if ready < least)]

    @property
    def healthy(self) -> bool:
        """Nothing is wrong. A rollout may be on its way: enough pods serve meanwhile."""
        return not self.causes and not self.lacking


def read(cluster: Cluster, held: Held) -> Status:
    """What the cluster holds, as far as it belongs to the stack's own file."""
    settings = cluster.settings
    place = Place(cluster.stack, cluster.context, cluster.namespace)
    needs = {name: service.needs for name, service in settings.services.items()}
    return Status(
        stack=cluster.stack,
        namespace=cluster.namespace,
        context=cluster.context,
        services=[_service(name, settings, held) for name in settings.services],
        stores=list(_stores(settings, held)),
        jobs=list(_jobs(settings, held)),
        causes=causes(held, place, needs),
        unread=list(held.unread),
    )


def _service(name: str, settings: Settings, held: Held) -> Service:
    deployment = next((one for one in held.deployments if name_of(one) == name), {})
    pods = [
        pod for replica_set in held.owned(held.replica_sets, deployment) for pod in held.owned(held.pods, replica_set)
    ]
    serving = sorted({version for pod in pods if _is_ready(pod) and (version := _version(pod))})
    newest = held.newest_set(deployment) if deployment else None
    ingress = settings.services[name].ingress
    return Service(
        name=name,
        version=_version(at(deployment, "spec", "template") or {}),
        digest=_digest(deployment),
        serving=serving,
        ready=at(deployment, "status", "readyReplicas") or 0,
        wanted=at(deployment, "spec", "replicas") or 0,
        least=settings.services[name].fewest,
        autoscaling=_autoscaling(name, held),
        rollout=_rollout(deployment),
        changed=at(newest, "metadata", "creationTimestamp"),
        address=ingress.url if ingress else f"http://{name}.{settings.namespace} (inside the cluster)",
        answers=any(_is_ready(pod) for pod in pods),
    )


def _version(labelled: Object) -> str | None:
    return at(labelled, "metadata", "labels", "app.kubernetes.io/version")


def _digest(deployment: Object) -> str | None:
    for container in at(deployment, "spec", "template", "spec", "containers") or []:
        return container["image"].partition("@")[2] or container["image"]
    return None


def _is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True" and not at(pod, "metadata", "deletionTimestamp")


def _rollout(deployment: Object) -> str:
    if not deployment:
        return "missing"
    spec, status = deployment["spec"], deployment.get("status") or {}
    if spec.get("paused"):
        return "paused"
    if condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return "failed"
    updated = status.get("updatedReplicas", 0)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    is_done = updated >= spec.get("replicas", 1) and status.get("replicas", 0) == updated
    return "complete" if seen and is_done and status.get("availableReplicas", 0) >= updated else "in progress"


def _autoscaling(service: str, held: Held) -> dict[str, int | None] | None:
    for scaler in held.autoscalers:
        if at(scaler, "spec", "scaleTargetRef", "name") == service:
            used = [at(one, "resource", "current", "averageUtilization") for one in _metrics(scaler, "status")]
            target = [at(one, "resource", "target", "averageUtilization") for one in _metrics(scaler, "spec")]
            return {
                "min": scaler["spec"].get("minReplicas", 1),
                "max": scaler["spec"]["maxReplicas"],
                "cpuPercent": next(iter(used), None),
                "cpuPercentTarget": next(iter(target), None),
            }
    return None


def _metrics(scaler: Object, part: str) -> list[Object]:
    found: list[Object] = at(scaler, part, "currentMetrics" if part == "status" else "metrics") or []
    return [one for one in found if at(one, "resource", "name") == "cpu"]


def _stores(settings: Settings, held: Held) -> Iterator[Store]:
    for name, section in settings.backing.items():
        if section.source == "managed":
            yield Store(name, "managed", f"{section.host}:{section.port}", 0, 0, [])
            continue
        server = next((one for one in held.stateful_sets if name_of(one) == name), {})
        volumes = [_volume(claim) for claim in held.claims if service_of(claim) == name]
        yield Store(
            name=name,
            source="cluster",
            host=f"{name}:{section.port}",
            ready=at(server, "status", "readyReplicas") or 0,
            # The stack file asks for one; 0 is a restore that goes on, or has failed.
            wanted=1,
            volumes=volumes,
        )


def _volume(claim: Object) -> dict[str, str]:
    size = at(claim, "status", "capacity", "storage") or at(claim, "spec", "resources", "requests", "storage") or ""
    return {"name": name_of(claim), "phase": at(claim, "status", "phase") or "", "size": size}


def _jobs(settings: Settings, held: Held) -> Iterator[Run]:
    """Migrations, schedules and the backup, each with its last run."""
    names = [f"{service}-{job}" for service, section in settings.services.items() for job in section.jobs]
    if settings.mysql and settings.mysql.source == "cluster" and settings.mysql.backup:
        names.append(MYSQL_BACKUP)
    last = {
        at(job, "spec", "template", "metadata", "labels", "app.kubernetes.io/name"): job for job in newest_jobs(held)
    }
    for name in names:
        yield _run(name, last.get(name))


def _run(name: str, job: Object | None) -> Run:
    if job is None:
        return Run(name, "never", None)
    for kind, state in (("Complete", "done"), ("Failed", "failed")):
        if condition(job, kind).get("status") == "True":
            return Run(name, state, condition(job, kind).get("lastTransitionTime"))
    return Run(name, "running", at(job, "status", "startTime") or at(job, "metadata", "creationTimestamp"))


def as_json(status: Status) -> str:
    """For programs; labels as they are typed in docs/faults.md."""
    plain: dict[str, Any] = asdict(status)
    for told, cause in zip(plain["causes"], status.causes, strict=True):
        told["label"] = cause.label.value
    return json.dumps({"healthy": status.healthy, **plain}, indent=2, ensure_ascii=False) + "\n"


def screen(status: Status, held: Held) -> str:
    """For people."""
    services = [["service", "version", "pods", "cpu", "rollout", "changed", "address"]]
    services += [_service_row(service, held) for service in status.services]
    stores = [["store", "where", "pods", "volumes"], *map(_store_row, status.stores)]
    runs = [["job", "last run", "when"], *([run.job, run.state, _ago(run.at, held)] for run in status.jobs)]
    tables = [_columns(table) for table in (services, stores, runs) if len(table) > 1]
    unread = [f"not readable with these rights: {', '.join(status.unread)}\n"] if status.unread else []
    about = f"stack {status.stack}, namespace {status.namespace}, context {status.context}\n"
    notes = [f"note: {note}\n" for note in status.notes]
    return "\n".join([f"{headline(status)}\n{about}", *map(told, status.causes), *tables, *unread, *notes])


def headline(status: Status) -> str:
    """What is wrong, or that nothing is."""
    if status.causes:
        first, *others = status.causes
        more = f" (and {len(others)} more)" if others else ""
        return f"NOT HEALTHY: {first.label.value}: {first.object}{more}"
    if status.lacking:
        return f"NOT HEALTHY: {', '.join(status.lacking)}"
    rolling = [service.name for service in status.services if service.rollout == "in progress"]
    return f"healthy; rolling out: {', '.join(rolling)}" if rolling else "healthy"


def told(cause: Cause) -> str:
    """A cause with what says so, what follows from it, and the next command."""
    lines = [f"{cause.label.value}: {cause.object}", *(f"  {line}" for line in cause.evidence)]
    lines += [f"  so: {line}" for line in cause.consequences]
    return "\n".join([*lines, f"  next: {cause.next}", ""])


def _service_row(one: Service, held: Held) -> list[str]:
    version = one.version or "-"
    if one.serving and one.serving != [one.version]:
        version += f" (serving: {', '.join(one.serving)})"
    scaling, bounds, cpu = one.autoscaling, "", ""
    if scaling:
        bounds = f" ({scaling['min']}-{scaling['max']})"
        cpu = f"{'?' if scaling['cpuPercent'] is None else scaling['cpuPercent']}/{scaling['cpuPercentTarget']}%"
    digest = f" {one.digest[:19]}" if one.digest and one.digest.startswith("sha256:") else ""
    answers = "" if one.answers else " (no pod answers)"
    pods = f"{one.ready}/{one.wanted}{bounds}"
    return [one.name, version + digest, pods, cpu, one.rollout, _ago(one.changed, held), one.address + answers]


def _store_row(one: Store) -> list[str]:
    if one.source == "managed":
        return [one.name, f"{one.host} (managed)", "-", "-"]
    volumes = ", ".join(f"{volume['name']} {volume['size']} {volume['phase']}" for volume in one.volumes)
    return [one.name, one.host, f"{one.ready}/{one.wanted}", volumes or "none"]


def _ago(time: str | None, held: Held) -> str:
    return f"{age(held.seconds_since(time))} ago" if time else "-"


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"

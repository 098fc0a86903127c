"""Why a stack does not run: one cause for each workload, the most specific, with its consequences folded under it.

Only what is current counts: the pods of the ReplicaSet a Deployment is rolling to, and the last run of each job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ops.ailments import Cause, Label, Patient, Place, refusal
from ops.cluster import Object, at, name_of, service_of
from ops.held import Held, age, condition

# What a service shows when something it needs is not there.
_WITHOUT_NEEDS = (Label.CRASH, Label.READINESS, Label.STARTUP, Label.MIGRATION, Label.JOB, Label.DEADLINE)


def causes(held: Held, place: Place, needs: Mapping[str, Sequence[str]] | None = None) -> list[Cause]:
    """Every cause there is, of what others need first; `needs` says what each service cannot do without."""
    found: dict[str, Cause] = {}
    for workload in (*held.stateful_sets, *held.deployments, *newest_jobs(held)):
        if cause := _of_workload(workload, held, place):
            key = f"{kind_of(workload)}/{name_of(workload)}"
            found[key] = replace(cause, consequences=tuple(_consequences(key, workload)))
    found |= {f"PersistentVolumeClaim/{name_of(claim)}": cause for claim, cause in _lost(held, place)}
    return _folded(found, _services(held), needs or {})


def kind_of(workload: Object) -> str:
    """The API server leaves the kind out in lists; each has a field the others do not have."""
    spec = workload.get("spec") or {}
    return (
        "StatefulSet" if "serviceName" in spec else "Deployment" if "selector" in spec and "strategy" in spec else "Job"
    )


def newest_jobs(held: Held) -> list[Object]:
    """The last run of each job: of a migration that of the last release, of a schedule the last one."""
    newest: dict[str, Object] = {}
    for job in sorted(held.jobs, key=lambda job: at(job, "metadata", "creationTimestamp") or ""):
        newest[at(job, "spec", "template", "metadata", "labels", "app.kubernetes.io/name") or name_of(job)] = job
    return list(newest.values())


def _of_workload(workload: Object, held: Held, place: Place) -> Cause | None:
    """Its most specific cause; None while it is well, or on its way."""
    kind = kind_of(workload)
    if kind == "Job" and condition(workload, "Complete").get("status") == "True":
        return None
    maker = held.newest_set(workload) if kind == "Deployment" else workload
    pods = held.owned(held.pods, maker) if maker else []
    label = _label_of_job(workload) if kind == "Job" else Label.CRASH
    found = [cause for pod in pods if _is_current(pod, kind) for cause in Patient(pod, held, place, label).causes()]
    found += _not_made(kind, maker, held, place) if maker else []
    found += _overdue(kind, workload, held, place)
    # Of equals the newest pod's: it is the one the rollout waits for.
    return min(found, key=lambda cause: cause.label.rank, default=None)


def _label_of_job(job: Object) -> Label:
    return Label.MIGRATION if name_of(job).rpartition("-")[0].endswith("-migration") else Label.JOB


def _is_current(pod: Object, kind: str) -> bool:
    """A pod that was evicted has a successor; that of a job is its result."""
    return kind == "Job" or at(pod, "status", "phase") not in ("Failed", "Succeeded")


def _not_made(kind: str, maker: Object, held: Held, place: Place) -> Iterator[Cause]:
    """Pods that the API server refuses to make. Only a ReplicaSet has a condition for it."""
    events = held.events_of(maker, "FailedCreate")
    failure = condition(maker, "ReplicaFailure")
    if kind == "Deployment":
        if failure.get("status") != "True":
            return
        message, told = failure["message"], [f"ReplicaFailure: {failure['reason']}: {failure['message']}"]
    elif events and not (at(maker, "status", "active") or at(maker, "status", "replicas")):
        message, told = events[0].get("message") or "", list[str]()
    else:
        return
    object = f"{'ReplicaSet' if kind == 'Deployment' else kind}/{name_of(maker)}"
    evidence = [*map(held.mask.values, told), *map(held.told, events[:1])]
    yield refusal(object, message, evidence, held, place)


def _overdue(kind: str, workload: Object, held: Held, place: Place) -> Iterator[Cause]:
    """A rollout or a job that has failed, whatever its pods say."""
    object = f"{kind}/{name_of(workload)}"
    progressing, failed = condition(workload, "Progressing"), condition(workload, "Failed")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        seconds = workload["spec"].get("progressDeadlineSeconds", 600)
        events = [held.told(event) for event in held.events_of(workload)[:3]]
        told = (f"no progress for {seconds} s: {progressing.get('message')}", *events)
        yield Cause(Label.DEADLINE, object, told, place.kubectl(f"describe deployment {name_of(workload)}"))
    if failed.get("status") == "True":
        is_late = failed.get("reason") == "DeadlineExceeded"
        since = age(held.seconds_since(failed.get("lastTransitionTime")))
        told = (f"Failed {since} ago: {failed.get('reason')}: {failed.get('message')}",)
        label = Label.DEADLINE if is_late else _label_of_job(workload)
        command = place.kubectl(f"describe job {name_of(workload)}")
        yield Cause(label, object, (*told, *(held.told(event) for event in held.events_of(workload)[:2])), command)


def _consequences(key: str, workload: Object) -> Iterator[str]:
    """What the workload itself says, which is never the reason."""
    for kind, bad in (("Progressing", "False"), ("Available", "False"), ("Failed", "True")):
        said = condition(workload, kind)
        if said.get("status") == bad:
            yield f"{key}: {said.get('reason')}: {said.get('message')}"


def _lost(held: Held, place: Place) -> Iterator[tuple[Object, Cause]]:
    for claim in held.claims:
        if at(claim, "status", "phase") == "Lost":
            told = (f"its volume {at(claim, 'spec', 'volumeName')} is gone", *map(held.told, held.events_of(claim)[:1]))
            object = f"PersistentVolumeClaim/{name_of(claim)}"
            yield claim, Cause(Label.VOLUME, object, told, place.kubectl(f"describe pvc {name_of(claim)}"))


def _services(held: Held) -> dict[str, str]:
    """The service each workload belongs to, as the stack file calls it."""
    return {
        f"{kind_of(one)}/{name_of(one)}": (
            at(one, "spec", "template", "metadata", "labels", "slipway/service") or service_of(one)
        )
        for one in (*held.stateful_sets, *held.deployments, *held.jobs)
    }


def _folded(found: dict[str, Cause], services: dict[str, str], needs: Mapping[str, Sequence[str]]) -> list[Cause]:
    """One of each, with what follows from it: other workloads of the same cause, and those that need this one."""
    broken = {services.get(key, ""): key for key in found if not key.startswith("Job/")}
    roots: dict[tuple[Label, str], Cause] = {}
    later: list[tuple[str, Cause]] = []
    for key, cause in found.items():
        needed = [broken[need] for need in needs.get(services.get(key, ""), ()) if need in broken]
        if needed and cause.label in _WITHOUT_NEEDS:
            later.append((needed[0], cause))
            continue
        one = roots.setdefault((cause.label, cause.object), cause)
        roots[cause.label, cause.object] = _with(one, cause.consequences)
    for key, cause in later:
        root = (found[key].label, found[key].object)
        told = (f"{cause.object}: {cause.label.value}", *cause.consequences)
        if root in roots:
            roots[root] = _with(roots[root], told)
        else:
            roots[cause.label, cause.object] = cause
    return sorted(roots.values(), key=lambda cause: cause.label.rank)


def _with(cause: Cause, consequences: Sequence[str]) -> Cause:
    return replace(cause, consequences=tuple(dict.fromkeys([*cause.consequences, *consequences])))

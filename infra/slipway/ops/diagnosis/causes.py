"""Why a stack does not run: the causes of all workloads, with what follows from a cause folded under it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from slipway.naming import SERVICE_LABEL
from slipway.objects import Object, condition, dig, name_of
from slipway.ops.cluster.connection import service_of
from slipway.ops.cluster.snapshot import ClusterSnapshot
from slipway.ops.diagnosis.cause import Cause, Label, StackLocation
from slipway.ops.diagnosis.workloads import WorkloadDiagnosis, kind_of

# What a service shows while something it needs is missing.
_LABELS_WITHOUT_NEEDS = (Label.CRASH, Label.READINESS, Label.STARTUP, Label.MIGRATION, Label.JOB, Label.DEADLINE)


def causes(
    snapshot: ClusterSnapshot, location: StackLocation, needs: Mapping[str, Sequence[str]] | None = None
) -> list[Cause]:
    """Return the root causes of all failures, most specific first.

    `needs` maps each service to the services and stores it cannot run without: its failure is a consequence of theirs.
    """
    causes_by_object: dict[str, Cause] = {}
    for workload in (*snapshot.stateful_sets, *snapshot.deployments, *newest_jobs(snapshot)):
        if cause := WorkloadDiagnosis(workload, snapshot, location).cause():
            key = f"{kind_of(workload)}/{name_of(workload)}"
            causes_by_object[key] = replace(cause, consequences=tuple(_consequences(key, workload)))
    causes_by_object |= _lost_volumes(snapshot, location)
    return _fold(causes_by_object, _services(snapshot), needs or {})


def newest_jobs(snapshot: ClusterSnapshot) -> list[Object]:
    """Return the last run of each job: of a migration that of the last release, of a schedule the last one."""
    newest: dict[str, Object] = {}
    for job in sorted(snapshot.jobs, key=lambda job: dig(job, "metadata.creationTimestamp") or ""):
        newest[dig(job, "spec.template.metadata.labels", "app.kubernetes.io/name") or name_of(job)] = job
    return list(newest.values())


def _consequences(key: str, workload: Object) -> Iterator[str]:
    """Yield the workload's own conditions, which are never the reason."""
    for kind, bad_status in (("Progressing", "False"), ("Available", "False"), ("Failed", "True")):
        entry = condition(workload, kind)
        if entry.get("status") == bad_status:
            yield f"{key}: {entry.get('reason')}: {entry.get('message')}"


def _lost_volumes(snapshot: ClusterSnapshot, location: StackLocation) -> dict[str, Cause]:
    """Return the causes of the claims whose volume no longer exists, by object."""
    lost: dict[str, Cause] = {}
    for claim in snapshot.claims:
        if dig(claim, "status.phase") == "Lost":
            key, command = f"PersistentVolumeClaim/{name_of(claim)}", f"describe pvc {name_of(claim)}"
            events = map(snapshot.describe_event, snapshot.events_of(claim)[:1])
            evidence = (f"its volume {dig(claim, 'spec.volumeName')} is gone", *events)
            lost[key] = Cause(Label.VOLUME, key, evidence, location.kubectl(command))
    return lost


def _services(snapshot: ClusterSnapshot) -> dict[str, str]:
    """Return the service or store of each workload, by its name in the stack file."""
    return {
        f"{kind_of(workload)}/{name_of(workload)}": (
            dig(workload, "spec.template.metadata.labels", SERVICE_LABEL) or service_of(workload)
        )
        for workload in (*snapshot.stateful_sets, *snapshot.deployments, *snapshot.jobs)
    }


def _fold(
    causes_by_object: Mapping[str, Cause], services: Mapping[str, str], needs: Mapping[str, Sequence[str]]
) -> list[Cause]:
    """Merge equal causes, and add the failure of a service to the consequences of what the service needs."""
    failed = {services.get(key, ""): key for key in causes_by_object if not key.startswith("Job/")}
    roots: dict[tuple[Label, str], Cause] = {}
    dependent: list[tuple[Cause, Cause]] = []
    for key, cause in causes_by_object.items():
        failed_needs = [failed[need] for need in needs.get(services.get(key, ""), ()) if need in failed]
        if failed_needs and cause.label in _LABELS_WITHOUT_NEEDS:
            dependent.append((cause, causes_by_object[failed_needs[0]]))
        else:
            _add(roots, cause, cause.consequences)
    for cause, root in dependent:
        if (root.label, root.object) in roots:
            _add(roots, root, (f"{cause.object}: {cause.label}", *cause.consequences))
        else:
            roots[cause.label, cause.object] = cause
    return sorted(roots.values(), key=lambda cause: cause.label.rank)


def _add(roots: dict[tuple[Label, str], Cause], cause: Cause, consequences: Sequence[str]) -> None:
    """Add a cause to the roots, or consequences to the equal cause that is there."""
    root = roots.setdefault((cause.label, cause.object), cause)
    merged = tuple(dict.fromkeys([*root.consequences, *consequences]))
    roots[cause.label, cause.object] = replace(root, consequences=merged)

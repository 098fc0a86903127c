"""`./slipway drift`: what was changed in the cluster since the last `pulumi up`, and by which field manager.

Compares what the engine's state has applied with the objects in the cluster, field by field. Fields that the program
leaves to others (the number of pods under an autoscaler, defaults of the API server) are not in the state and so no
drift. Nor is what `./slipway env sleep` has stopped. The content of Secrets is not compared, because it is encrypted in
the state. Objects with the stack's labels that neither the state nor a workload needs are reported as orphans.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from slipway import engine, retention
from slipway.cluster.kinds import plural
from slipway.naming import COMPONENT, INSTANCE, RELEASE, instance
from slipway.objects import Object, quantity
from slipway.ops.cluster import dev_build
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.cluster.sleep_mark import as_awake
from slipway.ops.markdown import cell
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import State

EXIT_DRIFT = 2
MAX_ROWS = 40
"""Rows of a stack in the issue, so that those of a dozen stacks fit in."""
GONE, ORPHAN = "gone", "orphan"
# Annotations for the provider, which the API server never gets.
_FOR_THE_PROVIDER = "pulumi.com/"

MANAGED_BY = "app.kubernetes.io/managed-by=pulumi"
ORPHAN_KINDS = (
    *retention.CONFIGURATION,
    *("Deployment", "StatefulSet", "Job", "CronJob", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
    *("Service", "Ingress", "NetworkPolicy", "ServiceAccount", "PersistentVolumeClaim"),
)

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Drift:
    """One field that differs from what was applied; without a field, an object that is gone, or an orphan."""

    object: str
    field: str
    applied: Any
    found: Any
    managers: list[str]
    """Who owns the field now: `kubectl-edit (Update, 2026-11-21T08:35:23Z)`; empty if nobody does."""


def command(cluster: StackCluster, state: State, *, as_json: bool, markdown: bool = False) -> tuple[str, int]:
    """Return the text to print, and the exit code: 0 without drift, 2 with."""
    all_drift = [*drifts(cluster, state), *orphans(cluster, state)]
    if as_json:
        text = json.dumps({"stack": cluster.stack, "drift": [asdict(drift) for drift in all_drift]}, indent=2)
    elif markdown:
        text = as_markdown(cluster.stack, all_drift)
    else:
        lines = [*map(_describe, all_drift), *_advice(cluster.stack, all_drift)]
        text = "\n".join(lines) or f"{cluster.stack}: the cluster holds what was applied"
    return text + "\n", EXIT_DRIFT if all_drift else 0


def as_markdown(stack: str, all_drift: Sequence[Drift]) -> str:
    """Return the section of a stack in the issue that drift.yml keeps: a heading, and a row per field."""
    heading = f"### {stack}\n\n"
    if not all_drift:
        return f"{heading}The cluster holds what was applied."
    lines = ["| object | field | applied | found | changed by |", "|---|---|---|---|---|"]
    lines += [f"| `{drift.object}` | {' | '.join(map(cell, _facts(drift)))} |" for drift in all_drift[:MAX_ROWS]]
    if (hidden := len(all_drift) - MAX_ROWS) > 0:
        lines += ["", f"{hidden} more: `./slipway drift -s {stack}` lists all."]
    return heading + "\n".join(lines)


def _facts(drift: Drift) -> tuple[str, str, str, str]:
    """Return field, both values and managers. An object that is gone, or nobody declares, has no field to show."""
    managers = ", ".join(drift.managers)
    if not drift.field:
        return "", "", "nobody declares it" if drift.found == ORPHAN else GONE, managers
    return drift.field, _short(drift.applied), _short(drift.found), managers


def drifts(cluster: StackCluster, state: State) -> Iterator[Drift]:
    """Yield every field that differs, in the order of the state."""
    for applied in engine_state.applied(state):
        name = f"{applied['kind']}/{applied['metadata']['name']}"
        present = cluster.get(applied["apiVersion"], applied["kind"], applied["metadata"]["name"])
        if present is None:
            yield Drift(name, "", "there", GONE, [])
            continue
        for path, wanted, has in differences(applied, as_awake(present)):
            yield Drift(name, _dotted(path), wanted, has, managers(present, path))


def orphans(cluster: StackCluster, state: State) -> Iterator[Drift]:
    """Yield the stack's objects that are not in its state, and that neither a pod nor a rollback needs."""
    labels = f"{INSTANCE}={instance(cluster.stack)},{MANAGED_BY}"
    needed = {(obj.kind, obj.name) for obj in engine_state.objects(state).values()} | _read_by_pods(cluster)
    for kind in ORPHAN_KINDS:
        for present in cluster.items(plural(kind), labelSelector=labels):
            metadata = present["metadata"]
            is_made_by_another = bool(metadata.get("ownerReferences"))
            is_release = metadata["labels"].get(COMPONENT) == RELEASE
            if not is_made_by_another and not is_release and (kind, metadata["name"]) not in needed:
                yield Drift(f"{kind}/{metadata['name']}", "", None, ORPHAN, managers(present, ()))


def _read_by_pods(cluster: StackCluster) -> set[tuple[str, str]]:
    """Return kind and name of the configuration of all workloads, also of former ReplicaSets, for a rollback."""
    names = retention.referenced_names(
        workload for kind in retention.WORKLOADS for workload in cluster.items(plural(kind))
    )
    return {(kind, name) for kind in retention.CONFIGURATION for name in names}


def differences(applied: Any, present: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any, Any]]:
    """Yield path and both values of each field of `applied` that differs in `present`, or is missing there."""
    if engine.is_secret(applied):
        return
    if isinstance(applied, dict):
        if present is not None and not isinstance(present, dict):
            yield path, applied, present
            return
        for key, value in applied.items():
            if not str(key).startswith(_FOR_THE_PROVIDER) and key not in ("stringData", "__defaults"):
                yield from differences(value, (present or {}).get(key), (*path, key))
    elif isinstance(applied, list) and isinstance(present, list) and len(applied) == len(present):
        for index, (applied_item, present_item) in enumerate(zip(applied, present, strict=True)):
            yield from differences(applied_item, present_item, (*path, index))
    elif not _same(applied, present):
        yield path, applied, present


def _same(applied: Any, present: Any) -> bool:
    """Whether two values mean the same: the API server omits empty ones, and quantities have many forms."""
    if applied == present or (not applied and present is None):
        return True
    return quantity(str(applied)) == quantity(str(present)) is not None


def managers(present: Object, path: FieldPath) -> list[str]:
    """Return who owns a field, the latest first."""
    owners = [
        entry
        for entry in (present.get("metadata") or {}).get("managedFields") or []
        if _owns(entry.get("fieldsV1") or {}, present, path)
    ]
    owners.sort(key=lambda entry: entry.get("time") or "", reverse=True)
    return [f"{entry.get('manager')} ({entry.get('operation')}, {entry.get('time')})" for entry in owners]


def _owns(fields: Object, present: Any, path: FieldPath) -> bool:
    """Whether a FieldsV1 set contains the field, or a list or map around it as a whole.

    https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#fieldsv1-v1-meta
    """
    if not path:
        return True
    first, *rest = path
    if isinstance(first, int):
        item = present[first] if isinstance(present, list) and first < len(present) else None
        inner = [value for key, value in fields.items() if _selects(key, item)]
    else:
        item = present.get(first) if isinstance(present, dict) else None
        inner = [fields[f"f:{first}"]] if f"f:{first}" in fields else []
    # A list that is owned as a whole has no fields below it.
    return any(not (value.keys() - {"."}) or _owns(value, item, tuple(rest)) for value in inner)


def _selects(key: str, item: Any) -> bool:
    """Whether a FieldsV1 key such as `k:{"name":"api"}` or `v:"ALL"` stands for the item of a list."""
    kind, _, text = key.partition(":")
    if kind == "v":
        return json.loads(text) == item
    return kind == "k" and isinstance(item, dict) and json.loads(text).items() <= item.items()


def _dotted(path: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _describe(drift: Drift) -> str:
    if not drift.field:
        is_orphan = drift.found == ORPHAN
        return f"{drift.object}: {'is no longer declared, and nothing needs it' if is_orphan else 'is gone'}"
    by = ", ".join(drift.managers) or "nobody owns it"
    return f"{drift.object}: {drift.field}: {_short(drift.applied)} -> {_short(drift.found)}   by {by}"


def _advice(stack: str, all_drift: Sequence[Drift]) -> Iterator[str]:
    """Yield what puts back a build of `./slipway dev`, if there is one."""
    if any(manager.startswith(f"{dev_build.MANAGER} ") for drift in all_drift for manager in drift.managers):
        yield f"{dev_build.MANAGER} is ./slipway dev: Ctrl-C there puts the release back, or ./slipway up -s {stack}"


def _short(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value)[:80]

"""`./slipway drift`: what somebody changed in the cluster since the last `pulumi up`, and by which field manager.

What Pulumi's state says it has applied is compared with what the cluster holds, field by field. What the program
leaves to others (the number of pods an autoscaler owns, defaults of the API server) is in no state and so no drift. The
content of Secrets is not compared: it is encrypted in the state. Objects with the stack's labels that neither the state
nor anything in the cluster needs are listed as orphans.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import retention
from kinds import plural
from lightkube.utils.quantity import parse_quantity
from naming import COMPONENT, INSTANCE, RELEASE, instance
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key  # pyright: ignore[reportPrivateUsage]

from ops import engine_state
from ops.cluster import Cluster, Object
from ops.engine_state import State

EXIT_DRIFT = 2
GONE, ORPHAN = "gone", "orphan"
# Orders to the provider, which the API server never sees in this form.
_FOR_THE_PROVIDER = "pulumi.com/"

MANAGED_BY = "app.kubernetes.io/managed-by=pulumi"
ORPHAN_KINDS = (
    *retention.CONFIGURATION,
    *("Deployment", "StatefulSet", "Job", "CronJob", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
    *("Service", "Ingress", "NetworkPolicy", "ServiceAccount", "PersistentVolumeClaim"),
)

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Drift:
    """One field that is not what was applied. An object that is gone, or that nobody declares, has no field."""

    object: str
    field: str
    applied: Any
    found: Any
    managers: list[str]
    """`kubectl-edit (Update, 2026-11-21T08:35:23Z)`: who says so now; empty for what nobody owns."""


def command(cluster: Cluster, state: State, *, as_json: bool) -> tuple[str, int]:
    """What to print, and the exit code: 0 without drift, 2 with."""
    found = [*drifts(cluster, state), *orphans(cluster, state)]
    if as_json:
        text = json.dumps({"stack": cluster.stack, "drift": [asdict(one) for one in found]}, indent=2)
    else:
        text = "\n".join(map(_told, found)) or f"{cluster.stack}: the cluster holds what was applied"
    return text + "\n", EXIT_DRIFT if found else 0


def drifts(cluster: Cluster, state: State) -> Iterator[Drift]:
    """Every field that differs, in the order of the state."""
    for resource in state["deployment"].get("resources") or []:
        applied = resource.get("inputs") or {}
        if not resource["type"].startswith("kubernetes:") or resource.get("delete") or "kind" not in applied:
            continue
        name = f"{applied['kind']}/{applied['metadata']['name']}"
        present = cluster.one(applied["apiVersion"], applied["kind"], applied["metadata"]["name"])
        if present is None:
            yield Drift(name, "", "there", GONE, [])
            continue
        for path, wanted, has in differences(applied, present):
            yield Drift(name, _dotted(path), wanted, has, managers(present, path))


def orphans(cluster: Cluster, state: State) -> Iterator[Drift]:
    """Yield the stack's objects that are not in its state, and that neither a pod nor a rollback needs."""
    labels = f"{INSTANCE}={instance(cluster.stack)},{MANAGED_BY}"
    needed = {(found.kind, found.name) for found in engine_state.objects(state).values()} | _read_by_pods(cluster)
    for kind in ORPHAN_KINDS:
        for present in cluster.items(plural(kind), labelSelector=labels):
            metadata = present["metadata"]
            is_made_by_another = bool(metadata.get("ownerReferences"))
            is_release = metadata["labels"].get(COMPONENT) == RELEASE
            if not is_made_by_another and not is_release and (kind, metadata["name"]) not in needed:
                yield Drift(f"{kind}/{metadata['name']}", "", None, ORPHAN, managers(present, ()))


def _read_by_pods(cluster: Cluster) -> set[tuple[str, str]]:
    """Return kind and name of what the pods of any workload read, also of those that `kubectl rollout undo` starts."""
    names = retention.names_read(found for kind in retention.WORKLOADS for found in cluster.items(plural(kind)))
    return {(kind, name) for kind in retention.CONFIGURATION for name in names}


def differences(applied: Any, present: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """The fields of `applied` that `present` has otherwise, or not at all."""
    if isinstance(applied, dict):
        if applied.get(_special_sig_key) == _special_secret_sig:
            return
        if present is not None and not isinstance(present, dict):
            yield path, applied, present
            return
        for key, value in applied.items():
            if not str(key).startswith(_FOR_THE_PROVIDER) and key not in ("stringData", "__defaults"):
                yield from differences(value, (present or {}).get(key), (*path, key))
    elif isinstance(applied, list) and isinstance(present, list) and len(applied) == len(present):
        for index, (one, other) in enumerate(zip(applied, present, strict=True)):
            yield from differences(one, other, (*path, index))
    elif not _same(applied, present):
        yield path, applied, present


def _same(applied: Any, present: Any) -> bool:
    """Nothing is what the API server leaves out when it is empty; quantities have many forms."""
    if applied == present or (not applied and present is None):
        return True
    try:
        return parse_quantity(str(applied)) == parse_quantity(str(present)) is not None
    except ValueError:
        return False


def managers(present: Object, path: Path) -> list[str]:
    """Who owns a field, the latest first."""
    owners = [
        entry
        for entry in (present.get("metadata") or {}).get("managedFields") or []
        if _owns(entry.get("fieldsV1") or {}, present, path)
    ]
    owners.sort(key=lambda entry: entry.get("time") or "", reverse=True)
    return [f"{one.get('manager')} ({one.get('operation')}, {one.get('time')})" for one in owners]


def _owns(fields: Object, present: Any, path: Path) -> bool:
    """Whether a FieldsV1 set has the field, or all that it is a part of.

    https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#fieldsv1-v1-meta
    """
    if not path:
        return True
    first, *rest = path
    if isinstance(first, int):
        item = present[first] if isinstance(present, list) and first < len(present) else None
        inner = [value for key, value in fields.items() if _names(key, item)]
    else:
        item = present.get(first) if isinstance(present, dict) else None
        inner = [fields[f"f:{first}"]] if f"f:{first}" in fields else []
    # A list that is owned as a whole has no fields below it.
    return any(not (value.keys() - {"."}) or _owns(value, item, tuple(rest)) for value in inner)


def _names(key: str, item: Any) -> bool:
    """Whether `k:{"name":"api"}` or `v:"ALL"` stands for the item of a list."""
    kind, _, text = key.partition(":")
    if kind == "v":
        return json.loads(text) == item
    return kind == "k" and isinstance(item, dict) and json.loads(text).items() <= item.items()


def _dotted(path: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _told(one: Drift) -> str:
    if not one.field:
        is_orphan = one.found == ORPHAN
        return f"{one.object}: {'is no longer declared, and nothing needs it' if is_orphan else 'is gone'}"
    by = ", ".join(one.managers) or "nobody owns it"
    return f"{one.object}: {one.field}: {_short(one.applied)} -> {_short(one.found)}   by {by}"


def _short(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value)[:80]

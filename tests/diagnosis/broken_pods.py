"""Snapshots in which a pod is broken, and the cause that is found in them."""

from __future__ import annotations

from slipway.objects import Object
from slipway.ops.cluster.snapshot import ClusterSnapshot
from slipway.ops.diagnosis.cause import Cause, StackLocation
from slipway.ops.diagnosis.causes import causes
from tests import namespace as ns
from tests.namespace import condition, make_snapshot

LOCATION = StackLocation("dev", "dev", "slipway-dev")
NEW = f"api-{ns.POD_HASHES['new']}"
POD = f"Pod/{NEW}-x2x4k"
OVERDUE = condition(
    "Progressing", "False", "ProgressDeadlineExceeded", f'ReplicaSet "{NEW}" has timed out progressing.'
)
LATE = ns.deployment("api", condition("Available", "True"), OVERDUE, updatedReplicas=1, replicas=3)
SIGNING_KEY = "SECRETS_DIR: read signing-key: open /run/secrets/slipway/signing-key: no such file or directory"


def only(snapshot: ClusterSnapshot, needs: dict[str, list[str]] | None = None) -> Cause:
    [cause] = causes(snapshot, LOCATION, needs)
    return cause


def with_pod(status: Object, *events: tuple[str, str], lines: tuple[str, ...] = ()) -> ClusterSnapshot:
    """A rollout that has missed its deadline: an old pod serves, the new one has this status and these events."""
    sick = ns.pod(**status)
    pod_events = [ns.event(sick, "Pod", reason, message) for reason, message in events]
    sets = [ns.replica_set("old", replicas=2), ns.replica_set("new", replicas=1)]
    pods = [ns.pod("aaaaa", age="old"), sick]
    return make_snapshot(*lines, deployments=[LATE], replica_sets=sets, pods=pods, events=pod_events)

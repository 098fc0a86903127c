"""A snapshot of the objects in a stack's namespace, with the questions that relate them to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from slipway.objects import Object, condition, dig, items, name_of
from slipway.ops.cluster.connection import RefusedError, StackCluster
from slipway.ops.cluster.masking import Mask, secret_values

LOG_LINES = 20
Log = Callable[[str, str, bool], list[str]]
"""Returns the last lines of a container: `log(pod, container, previous)`."""


@dataclass(frozen=True)
class ClusterSnapshot:
    """The objects of a namespace at one moment, by kind. A kind that we may not read is empty."""

    deployments: Sequence[Object] = ()
    stateful_sets: Sequence[Object] = ()
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    jobs: Sequence[Object] = ()
    events: Sequence[Object] = ()
    claims: Sequence[Object] = ()
    quotas: Sequence[Object] = ()
    nodes: Sequence[Object] = ()
    autoscalers: Sequence[Object] = ()
    log: Log = lambda _pod, _container, _previous: []
    mask: Mask = field(default_factory=Mask)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    unread: Sequence[str] = ()
    """Kinds that we may not read."""

    def owned(self, objects: Sequence[Object], owner: Object) -> list[Object]:
        """Return the objects that the owner controls, except those being deleted."""
        uid = dig(owner, "metadata.uid")
        return [
            obj
            for obj in objects
            if not dig(obj, "metadata.deletionTimestamp")
            and any(reference.get("uid") == uid for reference in items(obj, "metadata.ownerReferences"))
        ]

    def newest_replica_set(self, deployment: Object) -> Object | None:
        """Return the ReplicaSet of the Deployment's current pod template."""
        return max(self.owned(self.replica_sets, deployment), key=_revision, default=None)

    def events_of(self, obj: Object, *reasons: str) -> list[Object]:
        """Return the events of an object that have one of these reasons, by default its warnings; newest first."""
        uid = dig(obj, "metadata.uid")
        events = [
            event
            for event in self.events
            if dig(event, "involvedObject.uid") == uid
            and (event.get("reason") in reasons if reasons else event.get("type") == "Warning")
        ]
        return sorted(events, key=_last_seen, reverse=True)

    def seconds_since(self, time: str | None) -> float:
        """Return the age of a timestamp; 0 without one."""
        return (self.now - datetime.fromisoformat(time)).total_seconds() if time else 0

    def describe_event(self, event: Object) -> str:
        """Return an event in one line: `FailedMount (7 times, last 12s ago): MountVolume.SetUp failed ...`."""
        count = dig(event, "series.count") or event.get("count") or 1
        last = f"{age(self.seconds_since(_last_seen(event)))} ago"
        when = f"{count} times, last {last}" if count > 1 else last
        return self.mask.values(f"{event['reason']} ({when}): {(event.get('message') or '').strip()}")

    def log_tail(self, pod: Object, container: str, *, previous: bool) -> list[str]:
        """Return the last log lines of a container, without secrets; a line with the reason if there are none."""
        try:
            lines = self.log(name_of(pod), container, previous)
        except RefusedError as error:
            return [f"(no log: {error})"]
        return [self.mask.line(line) for line in lines[-LOG_LINES:]]


def take_snapshot(cluster: StackCluster) -> ClusterSnapshot:
    """Read all objects of the namespace. Raises `RefusedError` if we may not even list pods."""
    unread: list[str] = []

    def listed(kind: str) -> list[Object]:
        try:
            return cluster.items(kind)
        except RefusedError:
            unread.append(kind)
            return []

    return ClusterSnapshot(
        pods=cluster.items("pods"),
        deployments=listed("deployments"),
        stateful_sets=listed("statefulsets"),
        replica_sets=listed("replicasets"),
        jobs=listed("jobs"),
        events=listed("events"),
        claims=listed("persistentvolumeclaims"),
        quotas=listed("resourcequotas"),
        nodes=listed("nodes"),
        autoscalers=listed("horizontalpodautoscalers"),
        log=lambda pod, container, previous: cluster.log(pod, container, previous=previous, tailLines=LOG_LINES),
        # Without the right to read Secrets, what looks like a secret is still masked.
        mask=Mask(secret_values(listed("secrets"))),
        unread=unread,
    )


def is_ready(obj: Object) -> bool:
    """Whether a pod or node reports Ready, and is not being deleted."""
    return condition(obj, "Ready").get("status") == "True" and not dig(obj, "metadata.deletionTimestamp")


def age(seconds: float) -> str:
    """Return a duration in its largest fitting unit: `12s`, `3m`, `5h`, `2d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size or (unit != "m" and seconds >= size):
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _revision(replica_set: Object) -> int:
    return int(dig(replica_set, "metadata.annotations", "deployment.kubernetes.io/revision") or 0)


def _last_seen(event: Object) -> str:
    return (
        dig(event, "series.lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or dig(event, "metadata.creationTimestamp")
        or ""
    )

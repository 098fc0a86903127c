"""What the namespace of a stack holds at one moment, as plain dicts, and how one thing in it leads to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops.cluster import Cluster, Object, Refused, at, name_of
from ops.masking import Mask, secret_values

LOG_LINES = 20
Log = Callable[[str, str, bool], list[str]]
"""The last lines of a container: `log(pod, container, previous)`."""


@dataclass(frozen=True)
class Held:
    """Objects by kind. A kind that may not be read is empty."""

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
    """Kinds that may not be read."""

    def owned(self, objects: Sequence[Object], owner: Object) -> list[Object]:
        """Those that the owner controls and that are not on their way out."""
        uid = at(owner, "metadata", "uid")
        return [
            one
            for one in objects
            if not at(one, "metadata", "deletionTimestamp")
            and any(ref.get("uid") == uid for ref in at(one, "metadata", "ownerReferences") or [])
        ]

    def newest_set(self, deployment: Object) -> Object | None:
        """The ReplicaSet a Deployment is rolling to, or has rolled to."""
        owned = self.owned(self.replica_sets, deployment)
        return max(owned, key=_revision, default=None)

    def events_of(self, found: Object, *reasons: str) -> list[Object]:
        """Its warnings, or its events of these reasons; the newest first."""
        uid = at(found, "metadata", "uid")
        events = [
            event
            for event in self.events
            if at(event, "involvedObject", "uid") == uid
            and (event.get("reason") in reasons if reasons else event.get("type") == "Warning")
        ]
        return sorted(events, key=_last_seen, reverse=True)

    def seconds_since(self, time: str | None) -> float:
        """0 for a time that is not told."""
        return (self.now - datetime.fromisoformat(time)).total_seconds() if time else 0

    def told(self, event: Object) -> str:
        """An event in a line: `FailedMount (7 times, last 12s ago): MountVolume.SetUp failed ...`."""
        count = at(event, "series", "count") or event.get("count") or 1
        seen = f"{f'{count} times, last ' if count > 1 else ''}{age(self.seconds_since(_last_seen(event)))} ago"
        return self.mask.values(f"{event['reason']} ({seen}): {(event.get('message') or '').strip()}")

    def tail(self, pod: Object, container: str, *, previous: bool) -> list[str]:
        """The last lines of a container, without secrets; a line for why there are none."""
        try:
            lines = self.log(name_of(pod), container, previous)
        except Refused as error:
            return [f"(no log: {error})"]
        return [self.mask.line(line) for line in lines[-LOG_LINES:]]


def look(cluster: Cluster) -> Held:
    """Everything there is now. `Refused` if we may not even see pods."""
    unread: list[str] = []

    def items(kind: str) -> list[Object]:
        try:
            return cluster.items(kind)
        except Refused:
            unread.append(kind)
            return []

    return Held(
        pods=cluster.items("pods"),
        deployments=items("deployments"),
        stateful_sets=items("statefulsets"),
        replica_sets=items("replicasets"),
        jobs=items("jobs"),
        events=items("events"),
        claims=items("persistentvolumeclaims"),
        quotas=items("resourcequotas"),
        nodes=items("nodes"),
        autoscalers=items("horizontalpodautoscalers"),
        log=lambda pod, container, previous: cluster.log(pod, container, previous=previous, tailLines=LOG_LINES),
        # Who may not read secrets still gets masked what looks like one.
        mask=Mask(secret_values(items("secrets"))),
        unread=unread,
    )


def condition(found: Object, kind: str) -> Object:
    """The status condition of that type; empty when there is none."""
    conditions: list[Object] = at(found, "status", "conditions") or []
    return next((one for one in conditions if one["type"] == kind), Object())


def age(seconds: float) -> str:
    """`12s`, `3m`, `5h`, `2d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size or (unit != "m" and seconds >= size):
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _revision(replica_set: Object) -> int:
    return int((at(replica_set, "metadata", "annotations") or {}).get("deployment.kubernetes.io/revision") or 0)


def _last_seen(event: Object) -> str:
    return (
        at(event, "series", "lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or at(event, "metadata", "creationTimestamp")
        or ""
    )

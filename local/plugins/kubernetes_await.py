"""Waits until an object is usable or gone, and finds out why when it does not get there.

Each kind has a check that looks at the live object once: it returns what is still awaited, None when the object can be
used, or raises NotUsable when waiting longer is pointless. Objects are polled: a watch would save little against one
API server and one deployment, and would need its own recovery.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import cast

from local.plugins.kubernetes_api import Cluster
from local.plugins.kubernetes_errors import ApiError
from local.plugins.kubernetes_kinds import Kind
from local.plugins.kubernetes_object import Object, annotation, at, condition, name_of, namespace_of, title

_POLL_SECONDS = 0.5
_LOOK_AT_PODS_EVERY = 5.0
_LOG_LINES = 20
# Events that repeat what the status of a pod says.
_SAID_BY_THE_POD = ("BackOff", "FailedScheduling")
# How long a Service may select no pod at all before that is taken for intended (a Deployment scaled to zero).
_NO_PODS_SECONDS = 10


class NotUsable(Exception):
    """The object exists and is not, or not yet, usable. `reasons` are lines for the user, the cause first."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = list(reasons)


@dataclass
class Wait:
    """One wait: where, for what, and for how long already. `applied` is the object as it was when the wait began."""

    cluster: Cluster
    applied: Object
    seconds: float = 0


Check = Callable[[Wait, Object], Awaitable[str | None]]
Report = Callable[[str], Awaitable[None]]


async def usable(cluster: Cluster, kind: Kind, applied: Object, timeout: float, report: Report) -> Object:
    """The live object once it can be used. NotUsable when it cannot, when `timeout` seconds are over, or on cancel."""
    check = _check(kind, applied)
    if check is None:
        return applied
    wait = Wait(cluster, applied)
    started = looked_at_pods = time.monotonic()
    said = trouble = ""
    while True:
        live = await cluster.get(kind, namespace_of(applied), name_of(applied))
        if live is None:
            raise NotUsable(f"{title(applied)} was deleted while waiting for it")
        try:
            awaited = await check(wait, live)
        except NotUsable as error:
            raise NotUsable(*error.reasons, *await problems(cluster, live)) from None
        if awaited is None:
            return live
        wait.seconds = time.monotonic() - started
        if wait.seconds > timeout:
            reason = f"{title(live)} is not usable after {timeout:.0f} s: {awaited}"
            raise NotUsable(reason, *await problems(cluster, live))
        if time.monotonic() - looked_at_pods > _LOOK_AT_PODS_EVERY:
            found = await problems(cluster, live, with_logs=False)
            trouble, looked_at_pods = (f" ({found[0]})" if found else ""), time.monotonic()
        if awaited + trouble != said:
            said = awaited + trouble
            await report(said)
        if not await cluster.pause(_POLL_SECONDS):
            raise NotUsable(f"interrupted while waiting for {title(live)}: {said}")


async def ailments(cluster: Cluster, kind: Kind, live: Object) -> list[str]:
    """Why an object cannot be used right now, without waiting; empty when it can."""
    check = _check(kind, live)
    if check is None:
        return []
    try:
        awaited = await check(Wait(cluster, live, seconds=math.inf), live)
    except NotUsable as error:
        return [*error.reasons, *await problems(cluster, live)]
    return [f"{title(live)}: {awaited}"] if awaited else []


async def gone(cluster: Cluster, kind: Kind, place: tuple[str, str], timeout: float, report: Report) -> None:
    """Returns when the object is no more. NotUsable, naming what holds it, after `timeout` seconds or on cancel."""
    live = first = await cluster.get(kind, *place)
    started = time.monotonic()
    pause, said = 0.1, ""
    while live is not None and first is not None and live["metadata"]["uid"] == first["metadata"]["uid"]:
        held = f"{title(live)} is being deleted{_held_by(live)}"
        if held != said:
            said = held
            await report(held)
        if time.monotonic() - started > timeout:
            raise NotUsable(f"{held}; it still exists after {timeout:.0f} s")
        if not await cluster.pause(pause):
            raise NotUsable(f"interrupted: {held}")
        pause = min(2 * pause, _POLL_SECONDS)  # most objects are gone at once
        live = await cluster.get(kind, *place)


def _held_by(live: Object) -> str:
    """What keeps an object that is being deleted: the content of a namespace, or finalizers."""
    remaining = [
        one["message"]
        for one in cast("list[Object]", at(live, "status", "conditions") or [])
        if one["type"].startswith("Namespace") and one["status"] == "True"
    ]
    finalizers: list[str] = at(live, "metadata", "finalizers") or []
    # Kubernetes itself works through this one; the content of a namespace is what takes time.
    others = [finalizer for finalizer in finalizers if finalizer != "foregroundDeletion"]
    return "".join(f": {part}" for part in remaining) or (f", held by finalizers {', '.join(others)}" if others else "")


# --- checks -----------------------------------------------------------------------------------------------------------


async def _deployment(wait: Wait, live: Object) -> str | None:
    spec: Object = live["spec"]
    status: Object = live.get("status") or {}
    if spec.get("paused"):
        return None
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "waiting for the Deployment controller"
    progressing = condition(live, "Progressing")
    # A deadline that was missed before this wait says nothing about it, until the deadline has passed once more.
    is_old = progressing == condition(wait.applied, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        deadline = spec.get("progressDeadlineSeconds", 600)
        if not is_old or wait.seconds > deadline:
            raise NotUsable(f"{title(live)} made no progress for {deadline} s: {progressing.get('message')}")
    replicas, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    # Available counts old pods too, so all of the old ones have to be gone before it says something about the new.
    if updated < replicas:
        return f"{updated} of {replicas} new pods started"
    if status.get("replicas", 0) > updated:
        return f"{updated} new pods started, {status['replicas'] - updated} old pods still running"
    if (available := status.get("availableReplicas", 0)) < updated:
        return f"{available} of {updated} new pods available"
    return None


async def _stateful_set(_: Wait, live: Object) -> str | None:
    spec: Object = live["spec"]
    status: Object = live.get("status") or {}
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "waiting for the StatefulSet controller"
    replicas: int = spec.get("replicas", 1)
    if at(spec, "updateStrategy", "type") != "OnDelete":
        kept_back = at(spec, "updateStrategy", "rollingUpdate", "partition") or 0
        updated, wanted = status.get("updatedReplicas", 0), max(0, replicas - kept_back)
        if updated < wanted:
            return f"{updated} of {wanted} pods updated"
    if (ready := status.get("readyReplicas", 0)) < replicas:
        return f"{ready} of {replicas} pods ready"
    return None


async def _service(wait: Wait, live: Object) -> str | None:
    spec: Object = live["spec"]
    if spec.get("type") == "LoadBalancer" and not at(live, "status", "loadBalancer", "ingress"):
        return "waiting for a load balancer address"
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return None
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace_of(live)}/endpointslices"
    slices = await wait.cluster.items(path, labelSelector=f"kubernetes.io/service-name={name_of(live)}")
    endpoints = [endpoint for part in slices for endpoint in cast("list[Object]", part.get("endpoints") or [])]
    # Unset means ready, says the EndpointSlice API.
    if any(at(endpoint, "conditions", "ready") is not False for endpoint in endpoints):
        return None
    if not endpoints:
        return None if wait.seconds > _NO_PODS_SECONDS else "waiting for pods that match the selector"
    return f"none of the {len(endpoints)} pods it selects is ready"


async def _ingress(_: Wait, live: Object) -> str | None:
    if at(live, "status", "loadBalancer", "ingress"):
        return None
    name = live["spec"].get("ingressClassName")
    return f"no controller of the ingress class {name or '(default)'} has written an address to its status yet"


async def _job(_: Wait, live: Object) -> str | None:
    if condition(live, "Complete").get("status") == "True" or live["spec"].get("suspend"):
        return None
    failed = condition(live, "Failed")
    if failed.get("status") == "True":
        raise NotUsable(f"{title(live)} failed: {failed.get('reason')}: {failed.get('message')}")
    status: Object = live.get("status") or {}
    done, wanted = status.get("succeeded", 0), live["spec"].get("completions", 1)
    return f"{done} of {wanted} pods succeeded, {status.get('active', 0)} active, {status.get('failed', 0)} failed"


async def _volume_claim(wait: Wait, live: Object) -> str | None:
    phase = at(live, "status", "phase")
    if phase == "Bound":
        return None
    if phase == "Lost":
        raise NotUsable(f"{title(live)} lost its volume {live['spec'].get('volumeName')}")
    if class_name := live["spec"].get("storageClassName"):
        classes = await wait.cluster.items("/apis/storage.k8s.io/v1/storageclasses")
        modes = {c["metadata"]["name"]: c.get("volumeBindingMode") for c in classes}
        if modes.get(class_name) == "WaitForFirstConsumer":
            return None
        if class_name not in modes:
            return f"there is no storage class {class_name}; waiting for a volume all the same"
    return "waiting for a volume"


async def _volume(_: Wait, live: Object) -> str | None:
    phase = at(live, "status", "phase")
    return None if phase in ("Available", "Bound") else f"the volume is {phase or 'new'}"


_CHECKS: dict[tuple[str, str], Check] = {
    ("apps/v1", "Deployment"): _deployment,
    ("apps/v1", "StatefulSet"): _stateful_set,
    ("batch/v1", "Job"): _job,
    ("networking.k8s.io/v1", "Ingress"): _ingress,
    ("v1", "PersistentVolume"): _volume,
    ("v1", "PersistentVolumeClaim"): _volume_claim,
    ("v1", "Service"): _service,
}


def _check(kind: Kind, obj: Object) -> Check | None:
    skipped = annotation(obj, "pulumi.com/skipAwait") == "true"
    return None if skipped else _CHECKS.get((kind.api_version, kind.name))


# --- why --------------------------------------------------------------------------------------------------------------


async def problems(cluster: Cluster, live: Object, *, with_logs: bool = True) -> list[str]:
    """What is wrong with an object and its pods, in lines for the user. Never fails: it explains another failure."""
    try:
        owners = [live, *await _new_replica_set(cluster, live)]
        pods = await _pods(cluster, live, {owner["metadata"]["uid"] for owner in owners})
        found = [line for pod in pods for line in _pod_problems(pod)]
        found += await _warnings(cluster, [*owners, *pods])
        if with_logs:
            found += [tail for pod in pods[:2] for tail in await _crash_logs(cluster, pod)]
        return list(dict.fromkeys(found))
    except Exception as error:
        return [f"(the reason could not be read: {error})"]


async def _new_replica_set(cluster: Cluster, live: Object) -> list[Object]:
    if live["kind"] != "Deployment":
        return []
    path = f"/apis/apps/v1/namespaces/{namespace_of(live)}/replicasets"
    sets = await cluster.items(path, labelSelector=_selector(live))
    mine = [s for s in sets if _owner(s) == live["metadata"]["uid"]]
    return sorted(mine, key=lambda s: int(annotation(s, "deployment.kubernetes.io/revision") or 0))[-1:]


async def _pods(cluster: Cluster, live: Object, owners: set[str]) -> list[Object]:
    if not (selector := _selector(live)):
        return []
    pods = await cluster.items(f"/api/v1/namespaces/{namespace_of(live)}/pods", labelSelector=selector)
    if live["kind"] == "Service":
        return pods
    return [pod for pod in pods if _owner(pod) in owners]


def _selector(live: Object) -> str:
    labels: Object = at(live, "spec", "selector", *(() if live["kind"] == "Service" else ("matchLabels",))) or {}
    return ",".join(f"{key}={value}" for key, value in labels.items() if isinstance(value, str))


def _owner(obj: Object) -> str:
    owners: list[Object] = at(obj, "metadata", "ownerReferences") or [{}]
    return owners[0].get("uid", "")


def _pod_problems(pod: Object) -> Iterator[str]:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"{title(pod)} is not scheduled: {scheduled.get('reason')}: {scheduled.get('message')}"
    for container in _containers(pod):
        waiting = at(container, "state", "waiting", "reason")
        message = at(container, "state", "waiting", "message")
        ended = at(container, "state", "terminated") or at(container, "lastState", "terminated")
        parts: list[str] = [] if waiting in (None, "ContainerCreating", "PodInitializing") else [waiting]
        # The message of a CrashLoopBackOff only says how long it backs off.
        if parts and message and waiting != "CrashLoopBackOff":
            parts.append(message)
        if at(ended, "exitCode"):
            parts.append(f"last run ended with {at(ended, 'reason')}, exit code {at(ended, 'exitCode')}")
        if parts:
            yield f"{title(pod)}, container {container['name']}: {': '.join(parts)}"


async def _warnings(cluster: Cluster, objects: list[Object]) -> list[str]:
    """The newest warning event of each reason: failed probes, quota, pod security, volumes that cannot be mounted."""
    path = f"/api/v1/namespaces/{namespace_of(objects[0]) or 'default'}/events"
    uids = [obj["metadata"]["uid"] for obj in objects[:8]]
    events = await asyncio.gather(*(cluster.items(path, fieldSelector=f"involvedObject.uid={uid}") for uid in uids))
    newest: dict[str, str] = {}
    for event in sorted((e for found in events for e in found), key=_event_time):
        if event.get("type") == "Warning" and event.get("reason") not in _SAID_BY_THE_POD:
            target = event["involvedObject"]
            line = f"{target['kind']} {target.get('name')}: {event['reason']}: {event.get('message', '').strip()}"
            newest[event["reason"]] = line
    return list(newest.values())[-5:]


def _event_time(event: Object) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]


async def _crash_logs(cluster: Cluster, pod: Object) -> list[str]:
    """The last lines of each container that ended badly."""
    tails: list[str] = []
    for container in _containers(pod):
        exit_code = at(container, "state", "terminated", "exitCode")
        # A container that was started again has its failed run behind it.
        previous = exit_code is None
        if not (at(container, "lastState", "terminated", "exitCode") if previous else exit_code):
            continue
        try:
            text = await cluster.log_tail(
                namespace_of(pod), name_of(pod), container["name"], lines=_LOG_LINES, previous=previous
            )
        except ApiError as error:
            text = f"(no log: {error})"
        heading = f"last lines of {title(pod)}, container {container['name']}:"
        tails.append("\n    ".join([heading, *text.splitlines()]))
    return tails


def _containers(pod: Object) -> list[Object]:
    return [*(at(pod, "status", "initContainerStatuses") or []), *(at(pod, "status", "containerStatuses") or [])]

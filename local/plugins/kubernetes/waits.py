"""Wait until an object is ready or deleted.

Each kind has a check of the live object. It returns what is still missing, returns None when the object is ready, or
raises NotReadyError when waiting longer is pointless. Objects are polled: with one API server and one deployment a
watch would save little, and it would need its own recovery.
"""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from local.plugins.kubernetes.api import KubernetesApi
from local.plugins.kubernetes.failures import failure_reasons
from local.plugins.kubernetes.inputs import SKIP_AWAIT
from local.plugins.kubernetes.kinds import Kind
from local.plugins.kubernetes.objects import annotation, namespace_of, title
from slipway.objects import Object, condition, dig, items, name_of

_POLL_SECONDS = 0.5
_CHECK_PODS_EVERY_SECONDS = 5.0
# A Service that selects no pods for this long is assumed to be meant so, as for a Deployment scaled to zero.
_NO_PODS_SECONDS = 10


class NotReadyError(Exception):
    """The object exists but is not ready. `reasons` are lines for the user, the cause first."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = list(reasons)


@dataclass
class Wait:
    """The state of one wait. `applied` is the object as it was when the wait began."""

    api: KubernetesApi
    applied: Object
    elapsed: float = 0


Check = Callable[[Wait, Object], Awaitable[str | None]]
Report = Callable[[str], Awaitable[None]]


async def until_ready(api: KubernetesApi, kind: Kind, applied: Object, timeout: float, report: Report) -> Object:
    """Return the live object once it is ready. Raise NotReadyError on failure, on timeout, or on cancel."""
    check = _check(kind, applied)
    if check is None:
        return applied
    wait = Wait(api, applied)
    started = pods_checked = time.monotonic()
    reported = pod_problem = ""
    while True:
        live = await api.get(kind, namespace_of(applied), name_of(applied))
        if live is None:
            raise NotReadyError(f"{title(applied)} was deleted while waiting for it")
        try:
            missing = await check(wait, live)
        except NotReadyError as error:
            raise NotReadyError(*error.reasons, *await failure_reasons(api, live)) from None
        if missing is None:
            return live
        wait.elapsed = time.monotonic() - started
        if wait.elapsed > timeout:
            reason = f"{title(live)} is not ready after {timeout:.0f} s: {missing}"
            raise NotReadyError(reason, *await failure_reasons(api, live))
        if time.monotonic() - pods_checked > _CHECK_PODS_EVERY_SECONDS:
            reasons = await failure_reasons(api, live, with_logs=False)
            pod_problem, pods_checked = (f" ({reasons[0]})" if reasons else ""), time.monotonic()
        if missing + pod_problem != reported:
            reported = missing + pod_problem
            await report(reported)
        if not await api.pause(_POLL_SECONDS):
            raise NotReadyError(f"interrupted while waiting for {title(live)}: {reported}")


async def not_ready_reasons(api: KubernetesApi, kind: Kind, live: Object) -> list[str]:
    """Return why the object is not ready at this moment; empty if it is."""
    check = _check(kind, live)
    if check is None:
        return []
    try:
        missing = await check(Wait(api, live, elapsed=math.inf), live)
    except NotReadyError as error:
        return [*error.reasons, *await failure_reasons(api, live)]
    return [f"{title(live)}: {missing}"] if missing else []


async def until_gone(api: KubernetesApi, kind: Kind, place: tuple[str, str], timeout: float, report: Report) -> None:
    """Wait until the object is deleted. Raise NotReadyError with what blocks it on timeout, or on cancel."""
    live = first = await api.get(kind, *place)
    started = time.monotonic()
    pause, reported = 0.1, ""
    while live is not None and first is not None and live["metadata"]["uid"] == first["metadata"]["uid"]:
        progress = f"{title(live)} is being deleted{_deletion_blockers(live)}"
        if progress != reported:
            reported = progress
            await report(progress)
        if time.monotonic() - started > timeout:
            raise NotReadyError(f"{progress}; it still exists after {timeout:.0f} s")
        if not await api.pause(pause):
            raise NotReadyError(f"interrupted: {progress}")
        pause = min(2 * pause, _POLL_SECONDS)  # most objects are deleted at once
        live = await api.get(kind, *place)


def _deletion_blockers(live: Object) -> str:
    """Describe what delays a deletion: the content of a namespace, or finalizers."""
    remaining = [
        entry["message"]
        for entry in items(live, "status.conditions")
        if entry["type"].startswith("Namespace") and entry["status"] == "True"
    ]
    finalizers: list[str] = items(live, "metadata.finalizers")
    # Kubernetes handles this finalizer itself.
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
    # A deadline missed before this wait may still be shown; it counts only when the deadline has passed again.
    is_old = progressing == condition(wait.applied, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        deadline = spec.get("progressDeadlineSeconds", 600)
        if not is_old or wait.elapsed > deadline:
            raise NotReadyError(f"{title(live)} made no progress for {deadline} s: {progressing.get('message')}")
    replicas, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    # availableReplicas includes old pods, so it describes the new ones only after all old pods are gone.
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
    if dig(spec, "updateStrategy.type") != "OnDelete":
        partition = dig(spec, "updateStrategy.rollingUpdate.partition") or 0
        updated, wanted = status.get("updatedReplicas", 0), max(0, replicas - partition)
        if updated < wanted:
            return f"{updated} of {wanted} pods updated"
    if (ready := status.get("readyReplicas", 0)) < replicas:
        return f"{ready} of {replicas} pods ready"
    return None


async def _service(wait: Wait, live: Object) -> str | None:
    spec: Object = live["spec"]
    if spec.get("type") == "LoadBalancer" and not dig(live, "status.loadBalancer.ingress"):
        return "waiting for a load balancer address"
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return None
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace_of(live)}/endpointslices"
    slices = await wait.api.items(path, labelSelector=f"kubernetes.io/service-name={name_of(live)}")
    endpoints = [endpoint for part in slices for endpoint in cast("list[Object]", part.get("endpoints") or [])]
    # In the EndpointSlice API, unset means ready.
    if any(dig(endpoint, "conditions.ready") is not False for endpoint in endpoints):
        return None
    if not endpoints:
        return None if wait.elapsed > _NO_PODS_SECONDS else "waiting for pods that match the selector"
    return f"none of the {len(endpoints)} pods it selects is ready"


async def _ingress(_: Wait, live: Object) -> str | None:
    if dig(live, "status.loadBalancer.ingress"):
        return None
    name = live["spec"].get("ingressClassName")
    return f"no controller of the ingress class {name or '(default)'} has written an address to its status yet"


async def _job(_: Wait, live: Object) -> str | None:
    if condition(live, "Complete").get("status") == "True" or live["spec"].get("suspend"):
        return None
    failed = condition(live, "Failed")
    if failed.get("status") == "True":
        raise NotReadyError(f"{title(live)} failed: {failed.get('reason')}: {failed.get('message')}")
    status: Object = live.get("status") or {}
    done, wanted = status.get("succeeded", 0), live["spec"].get("completions", 1)
    return f"{done} of {wanted} pods succeeded, {status.get('active', 0)} active, {status.get('failed', 0)} failed"


async def _volume_claim(wait: Wait, live: Object) -> str | None:
    phase = dig(live, "status.phase")
    if phase == "Bound":
        return None
    if phase == "Lost":
        raise NotReadyError(f"{title(live)} lost its volume {live['spec'].get('volumeName')}")
    if class_name := live["spec"].get("storageClassName"):
        classes = await wait.api.items("/apis/storage.k8s.io/v1/storageclasses")
        modes = {c["metadata"]["name"]: c.get("volumeBindingMode") for c in classes}
        if modes.get(class_name) == "WaitForFirstConsumer":
            return None
        if class_name not in modes:
            return f"there is no storage class {class_name}; waiting for a volume"
    return "waiting for a volume"


async def _volume(_: Wait, live: Object) -> str | None:
    phase = dig(live, "status.phase")
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
    skipped = annotation(obj, SKIP_AWAIT) == "true"
    return None if skipped else _CHECKS.get((kind.api_version, kind.name))

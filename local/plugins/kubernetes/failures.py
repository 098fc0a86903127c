"""Explain why an object is not ready: the state, warning events and logs of its pods."""

import asyncio
from collections.abc import Iterator

from local.plugins.kubernetes.api import KubernetesApi
from local.plugins.kubernetes.objects import ApiError, annotation, namespace_of, title
from slipway.objects import Object, condition, dig, items, mapping, name_of

_LOG_LINES = 20
# Events that repeat what the status of the pod shows already.
_REDUNDANT_EVENTS = ("BackOff", "FailedScheduling")


async def failure_reasons(api: KubernetesApi, live: Object, *, with_logs: bool = True) -> list[str]:
    """Return what is wrong with an object and its pods. Never raises, because it explains another failure."""
    try:
        owners = [live, *await _new_replica_set(api, live)]
        pods = await _pods(api, live, {owner["metadata"]["uid"] for owner in owners})
        reasons = [line for pod in pods for line in _pod_problems(pod)]
        reasons += await _warnings(api, [*owners, *pods])
        if with_logs:
            reasons += [tail for pod in pods[:2] for tail in await _crash_logs(api, pod)]
        return list(dict.fromkeys(reasons))
    except Exception as error:
        return [f"(the reason could not be read: {error})"]


async def _new_replica_set(api: KubernetesApi, live: Object) -> list[Object]:
    if live["kind"] != "Deployment":
        return []
    path = f"/apis/apps/v1/namespaces/{namespace_of(live)}/replicasets"
    sets = await api.items(path, labelSelector=_selector(live))
    own = [replica_set for replica_set in sets if _owner(replica_set) == live["metadata"]["uid"]]
    return sorted(own, key=lambda entry: int(annotation(entry, "deployment.kubernetes.io/revision") or 0))[-1:]


async def _pods(api: KubernetesApi, live: Object, owners: set[str]) -> list[Object]:
    if not (selector := _selector(live)):
        return []
    pods = await api.items(f"/api/v1/namespaces/{namespace_of(live)}/pods", labelSelector=selector)
    if live["kind"] == "Service":
        return pods
    return [pod for pod in pods if _owner(pod) in owners]


def _selector(live: Object) -> str:
    labels = mapping(live, "spec.selector" if live["kind"] == "Service" else "spec.selector.matchLabels")
    return ",".join(f"{key}={value}" for key, value in labels.items() if isinstance(value, str))


def _owner(obj: Object) -> str:
    owners: list[Object] = dig(obj, "metadata.ownerReferences") or [{}]
    return owners[0].get("uid", "")


def _pod_problems(pod: Object) -> Iterator[str]:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"{title(pod)} is not scheduled: {scheduled.get('reason')}: {scheduled.get('message')}"
    for container in _containers(pod):
        if problems := _container_problems(container):
            yield f"{title(pod)}, container {container['name']}: {': '.join(problems)}"


def _container_problems(container: Object) -> list[str]:
    waiting, message = dig(container, "state.waiting.reason"), dig(container, "state.waiting.message")
    ended = dig(container, "state.terminated") or dig(container, "lastState.terminated")
    problems: list[str] = [] if waiting in (None, "ContainerCreating", "PodInitializing") else [waiting]
    # The message of a CrashLoopBackOff contains only the delay.
    if problems and message and waiting != "CrashLoopBackOff":
        problems.append(message)
    if dig(ended, "exitCode"):
        problems.append(f"last run ended with {dig(ended, 'reason')}, exit code {dig(ended, 'exitCode')}")
    return problems


async def _warnings(api: KubernetesApi, objects: list[Object]) -> list[str]:
    """Return the newest warning of each reason: failed probes, quota, pod security, volumes that cannot be mounted."""
    path = f"/api/v1/namespaces/{namespace_of(objects[0]) or 'default'}/events"
    uids = [obj["metadata"]["uid"] for obj in objects[:8]]
    events = await asyncio.gather(*(api.items(path, fieldSelector=f"involvedObject.uid={uid}") for uid in uids))
    newest: dict[str, str] = {}
    for event in sorted((event for answer in events for event in answer), key=_event_time):
        if event.get("type") == "Warning" and event.get("reason") not in _REDUNDANT_EVENTS:
            target = event["involvedObject"]
            line = f"{target['kind']} {target.get('name')}: {event['reason']}: {event.get('message', '').strip()}"
            newest[event["reason"]] = line
    return list(newest.values())[-5:]


def _event_time(event: Object) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]


async def _crash_logs(api: KubernetesApi, pod: Object) -> list[str]:
    """Return the last log lines of each container that failed."""
    logs: list[str] = []
    for container in _containers(pod):
        exit_code = dig(container, "state.terminated.exitCode")
        # Of a container that was restarted, the log of the previous run shows the failure.
        previous = exit_code is None
        if dig(container, "lastState.terminated.exitCode") if previous else exit_code:
            logs.append(await _log(api, pod, container["name"], previous=previous))
    return logs


async def _log(api: KubernetesApi, pod: Object, container: str, *, previous: bool) -> str:
    try:
        text = await api.log_tail(namespace_of(pod), name_of(pod), container, lines=_LOG_LINES, previous=previous)
    except ApiError as error:
        text = f"(no log: {error})"
    return "\n    ".join([f"last lines of {title(pod)}, container {container}:", *text.splitlines()])


def _containers(pod: Object) -> list[Object]:
    return [*items(pod, "status.initContainerStatuses"), *items(pod, "status.containerStatuses")]

"""Rolls out dev builds: checks that a Deployment may run one, and waits until its first pod is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import httpx2

from slipway import releases
from slipway.naming import SERVICE_LABEL
from slipway.objects import Object, asleep_since, dig, items, name_of
from slipway.ops.cluster import dev_build, refusal
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.cluster.dev_build import KIND, DevBuild
from slipway.ops.cluster.snapshot import is_ready, take_snapshot
from slipway.ops.development import delve
from slipway.ops.development.errors import DevError
from slipway.ops.diagnosis import locks, status

POLL_SECONDS = 0.25
# A pod of a small program serves after 2 s, and one that waits for its stores a little later.
SERVING_SECONDS = 30
# Reasons to wait that every container has for a moment.
_STARTING = ("ContainerCreating", "PodInitializing")


def released_images(cluster: StackCluster) -> dict[str, str]:
    """Return the images of the release in force, by name. Raises `DevError` if there is none."""
    stack = cluster.stack
    try:
        recorded = releases.kept(cluster.client, stack)
    except httpx2.HTTPError as error:
        raise DevError(f"the releases of stack {stack} cannot be read: {refusal.error_message(error)}") from None
    if not recorded:
        raise DevError(f"stack {stack} runs no release yet. First: ./slipway up -s {stack}")
    return recorded[0].images


def require_release(cluster: StackCluster, service: str, image: str) -> Object:
    """Return the Deployment of a service, which runs this image of the release in force.

    The build of a killed session is replaced by the release first. Raises `DevError` during an update, or if somebody
    else's session is at work, or if anything else runs there: nobody could tell later what is to be put back.
    """
    stack = cluster.stack
    if current_locks := locks.state_locks(stack):
        raise DevError(f"stack {stack} is locked {current_locks[0].text}; see ./slipway doctor -s {stack}")
    deployment = _deployment(cluster, service)
    if build := dev_build.of(deployment):
        if build.may_run:
            raise DevError(
                f"Deployment/{service} runs {build.text}. End that session by Ctrl-C; if it is gone: "
                f"./slipway up -s {stack}"
            )
        dev_build.put_back(cluster, deployment)
        deployment = _deployment(cluster, service)
    if since := asleep_since(deployment):
        raise DevError(f"stack {stack} is asleep since {since}. First: ./slipway env wake {stack}")
    if (present := dev_build.image_of(deployment)) != image:
        raise DevError(
            f"Deployment/{service} runs {present or 'no container of that name'}, and the release in force has "
            f"{image}; see ./slipway drift -s {stack}. First: ./slipway up -s {stack}"
        )
    return deployment


def run(
    cluster: StackCluster,
    service: str,
    released: str,
    image: str,
    version: str,
    *,
    debug: Callable[[Object], Object] | None = None,
) -> None:
    """Run an image in place of the one that is released. Raises `DevError` as `require_release` does.

    `debug` returns what a debugged service takes, from what the release has there.
    """
    mark = dev_build.of(_deployment(cluster, service))
    if mark is None or not mark.is_ours:
        deployment = require_release(cluster, service, released)
        version_label = dig(deployment, "spec.template.metadata.labels", dev_build.VERSION) or ""
        replaced = delve.replaced(deployment, cluster.get(*dev_build.AUTOSCALER, service)) if debug else None
        mark = DevBuild.begin(released, version_label, replaced)
    dev_build.run(cluster, service, image, version, mark, changes=debug(mark.debugged) if debug else None)


def ready_pod(cluster: StackCluster, service: str, image: str) -> str:
    """Return the name of a ready pod of the image; empty if there is none."""
    return next((name_of(pod) for pod in _pods(cluster, service, image) if is_ready(pod)), "")


def is_ours(cluster: StackCluster, service: str) -> bool:
    """Return whether the Deployment of a service runs a build of this session."""
    mark = dev_build.of(_deployment(cluster, service))
    return mark is not None and mark.is_ours


def await_serving(
    cluster: StackCluster, services: Sequence[str], image: str, is_outdated: Callable[[], bool]
) -> tuple[bool, str]:
    """Wait until each service has a ready pod of the image. Return whether it has, and why it has not.

    Ends early if a pod of it fails, or a newer version is about to come.
    """
    end = time.monotonic() + SERVING_SECONDS
    waiting = set(services)
    while waiting and time.monotonic() < end:
        for service in sorted(waiting):
            pods = _pods(cluster, service, image)
            if any(map(is_ready, pods)):
                waiting.discard(service)
            elif any(map(_fails, pods)):
                return False, _causes(cluster) or f"a pod of {service} has failed"
        if waiting and is_outdated():
            return False, "the sources changed again"
        if waiting:
            time.sleep(POLL_SECONDS)
    if waiting:
        return False, _causes(cluster) or f"no pod of {', '.join(sorted(waiting))} is ready after {SERVING_SECONDS} s"
    return True, ""


def _deployment(cluster: StackCluster, service: str) -> Object:
    deployment = cluster.get(*KIND, service)
    if deployment is None:
        raise DevError(f"Deployment/{service} is not there. First: ./slipway up -s {cluster.stack}")
    return deployment


def _pods(cluster: StackCluster, service: str, image: str) -> list[Object]:
    """Return the pods of a service that run the image. Those of its jobs run another."""
    pods = cluster.items("pods", labelSelector=f"{SERVICE_LABEL}={service}")
    return [pod for pod in pods if image in (container["image"] for container in items(pod, "spec.containers"))]


def _fails(pod: Object) -> bool:
    """Whether a container of a pod has ended, or cannot start."""
    for state in items(pod, "status.containerStatuses"):
        reason = dig(state, "state.waiting.reason")
        if state.get("restartCount") or dig(state, "state.terminated") or (reason and reason not in _STARTING):
            return True
    return False


def _causes(cluster: StackCluster) -> str:
    """Return why pods of the stack do not run; empty if nothing shows it."""
    report = status.read(cluster, take_snapshot(cluster))
    return "\n".join(map(status.describe, report.causes)).rstrip()

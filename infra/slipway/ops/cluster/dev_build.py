"""The mark of a Deployment that runs a build of `./slipway dev`, and the way back to what the release in force runs.

The mark holds what is put back, so that anybody can do it: the session itself, the next one, or `./slipway up`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from socket import gethostname
from typing import Any

from slipway import releases
from slipway.image.reference import version_of
from slipway.naming import DEV_BUILD, INSTANCE, instance
from slipway.objects import Object, dig, items, name_of
from slipway.ops import signals
from slipway.ops.cluster.connection import RefusedError, StackCluster

MANAGER = "slipway-dev"
"""The field manager of what `./slipway dev` sets."""
VERSION = "app.kubernetes.io/version"
KIND = ("apps/v1", "Deployment")
AUTOSCALER = ("autoscaling/v2", "HorizontalPodAutoscaler")
_TRIES = 5
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class DevBuild:
    """The mark: who runs a build of their own in a Deployment, and what the release in force runs there."""

    user: str
    host: str
    pid: int
    since: str
    image: str
    """That of the release: `repository:tag@sha256:...`."""
    version: str
    """The label of its pods."""
    debugged: Object = field(default_factory=dict[str, Any])
    """What else a debugged service takes, as the release has it: fields of its `container`, `replicas`, and the bounds
    of its `autoscaler`."""

    @classmethod
    def begin(cls, image: str, version: str, debugged: Object | None = None) -> DevBuild:
        """Return the mark of a session of this process."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return cls(os.environ.get("USER", "somebody"), gethostname(), os.getpid(), now, image, version, debugged or {})

    @property
    def is_ours(self) -> bool:
        """Whether this process has set it."""
        return (self.host, self.pid) == (gethostname(), os.getpid())

    @property
    def may_run(self) -> bool:
        """Whether the session may still be at work: that of another machine always may, since we cannot look there."""
        return self.host != gethostname() or signals.is_process(self.pid)

    @property
    def text(self) -> str:
        """Return whose build it is."""
        return f"a build of ./slipway dev ({self.user}@{self.host}, process {self.pid}, since {self.since})"


UNREADABLE = DevBuild("somebody", "an unknown host", 0, "an unknown time", "", "")
"""A mark that somebody has damaged. What it held is that of the newest recorded release."""


def of(deployment: Object | None) -> DevBuild | None:
    """Return the mark of a Deployment, UNREADABLE if it is damaged; None if it runs what a release runs."""
    mark = dig(deployment, "metadata.annotations", DEV_BUILD)
    if not mark:
        return None
    try:
        read = json.loads(mark)
        build = DevBuild(**read)
    except (ValueError, TypeError):
        return UNREADABLE
    texts = [value for name, value in read.items() if name not in ("pid", "debugged")]
    is_valid = type(build.pid) is int and build.image and all(isinstance(text, str) for text in texts)
    is_valid = is_valid and isinstance(build.debugged, dict)  # pyright: ignore[reportUnnecessaryIsInstance]
    return build if is_valid else UNREADABLE


def image_of(deployment: Object) -> str:
    """Return the image of a service's own container; empty if there is none."""
    containers = items(deployment, "spec.template.spec.containers")
    return next((container["image"] for container in containers if container["name"] == name_of(deployment)), "")


def notes(deployments: Iterable[Object], stack: str) -> list[str]:
    """Return one line for each Deployment that runs such a build."""
    return [
        f"Deployment/{name_of(deployment)} runs {build.text}, and not {build.image.partition('@')[0] or 'the image'} "
        "of the release; "
        f"to put that back: Ctrl-C there, or ./slipway up -s {stack}"
        for deployment in deployments
        if (build := of(deployment))
    ]


def run(
    cluster: StackCluster, name: str, image: str, version: str, mark: DevBuild, *, changes: Object | None = None
) -> None:
    """Run an image in a service's Deployment, and mark it. Nothing else of it changes but what `changes` names.

    They have the form of `DevBuild.debugged`. A field that an earlier call has added is removed without them.
    """
    changes = changes or {}
    api_version, kind = KIND
    fields = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "annotations": {DEV_BUILD: json.dumps(asdict(mark), separators=(",", ":"))}},
        "spec": {
            **({"replicas": changes["replicas"]} if "replicas" in changes else {}),
            "template": {
                "metadata": {"labels": {VERSION: version}},
                "spec": {"containers": [{**changes.get("container", {}), "name": name, "image": image}]},
            },
        },
    }
    cluster.apply(fields, MANAGER)
    if bounds := changes.get("autoscaler"):
        api_version, kind = AUTOSCALER
        scaler = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": bounds}
        cluster.apply(scaler, MANAGER)


def put_back(cluster: StackCluster, deployment: Object) -> None:
    """Run what the release runs in a Deployment that has a mark, and remove the mark and our ownership of its fields.

    Raises `RefusedError` if others change the object at each of several attempts, or if the mark is damaged and no
    release is recorded.
    """
    name, build = name_of(deployment), of(deployment)
    if build is None:
        return
    image, version = (build.image, build.version) if build is not UNREADABLE else _recorded(cluster, name)
    run(cluster, name, image, version, build, changes=build.debugged)
    if "autoscaler" in build.debugged:
        _disown(cluster, AUTOSCALER, name)
    # The mark goes last: until then anybody can repeat this.
    _disown(cluster, KIND, name)


def _disown(cluster: StackCluster, kind: tuple[str, str], name: str) -> None:
    """Remove our ownership of an object's fields, and its mark. Raises `RefusedError` as `put_back` does."""
    # While we own the image, an update that changes it would be a conflict. Fields of no owner are taken by the next
    # one who sets them.
    for tries_left in reversed(range(_TRIES)):
        present = cluster.get(*kind, name)
        if present is None:
            return
        others = [entry for entry in items(present, "metadata.managedFields") if entry["manager"] != MANAGER]
        # A concurrent change would add owners that we have not seen.
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": present["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": others},
        ]
        if dig(present, "metadata.annotations", DEV_BUILD):
            patch.append({"op": "remove", "path": f"/metadata/annotations/{DEV_BUILD.replace('/', '~1')}"})
        elif kind == KIND:
            return
        try:
            cluster.patch_if(*kind, name, patch)
        except RefusedError:
            if not tries_left:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _recorded(cluster: StackCluster, service: str) -> tuple[str, str]:
    """Return the image of a service in the newest recorded release, and the version of its pods."""
    recorded = releases.kept(cluster.client, cluster.stack)
    image = recorded[0].images.get(cluster.settings.image_of(service)) if recorded else None
    if not image:
        raise RefusedError(
            f"the annotation {DEV_BUILD} of Deployment/{service} is damaged, and no release is recorded that says what "
            "ran there before. Remove the annotation, and set the image by hand"
        )
    return image, version_of(image)


def marked(cluster: StackCluster) -> list[Object]:
    """Return the Deployments of a stack that run such a build."""
    deployments = cluster.items("deployments", labelSelector=f"{INSTANCE}={instance(cluster.stack)}")
    return [deployment for deployment in deployments if of(deployment)]


def put_back_each(cluster: StackCluster, deployments: Iterable[Object]) -> Iterator[str]:
    """Put back what the release runs in marked Deployments, one after the other. Yield one line after each."""
    for deployment in deployments:
        build = of(deployment) or UNREADABLE
        put_back(cluster, deployment)
        yield f"Deployment/{name_of(deployment)} ran {build.text}; the image of the release is put back"

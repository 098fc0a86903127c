"""Releases: what was deployed when, as one immutable ConfigMap for each, in the stack's own namespace.

A release is the settings as the program understood them and the image by digest. Its record is made after all services,
so there is none of a rollout that was not complete; only the image it names is exported. Secrets, and where they come
from, are no part of it: going back (ops/rollback.py) takes today's, so that a rotated secret stays rotated.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import monitor
import pulumi
import rollout
import yaml
from environment import Environment
from image import AppImage
from lightkube import Client
from lightkube.resources.core_v1 import ConfigMap
from naming import COMPONENT, PART_OF, RELEASE, content_hash, content_name, labels, selector_of
from pulumi_kubernetes import core, meta
from settings import ROOT, SECRET_SOURCES, Settings

KEPT = 10
"""Releases one can go back to."""
BY, COMMIT, AT = "slipway/by", "slipway/commit", "slipway/at"
_SETTINGS, _IMAGE = "settings.yaml", "image"


@dataclass(frozen=True)
class Release:
    """One release, as its record tells it."""

    revision: str
    """Hash of the settings and the image; what one types to go back to it."""
    settings: dict[str, Any]
    """The sections of a stack file, all that holds: nothing is to be laid under them."""
    image: str
    """`repository:tag@sha256:...`."""
    by: str = ""
    commit: str = ""
    """Of the program and the stack files, with `-dirty` where they were edited after it."""
    at: str = ""
    """When it came into force the last time, in UTC."""

    @classmethod
    def of(cls, name: str, data: Mapping[str, str], annotations: Mapping[str, str]) -> Self:
        """What a ConfigMap of this name, content and annotations records."""
        who = {field: annotations.get(key, "") for field, key in (("by", BY), ("commit", COMMIT), ("at", AT))}
        return cls(name.removeprefix(f"{RELEASE}-"), yaml.safe_load(data[_SETTINGS]), data[_IMAGE], **who)

    @property
    def config_hash(self) -> str:
        """The same for two releases that differ in the image alone."""
        return content_hash({_SETTINGS: _text(self.settings)})


def declare(
    settings: Settings, image: AppImage, environment: Environment, after: Sequence[pulumi.Resource]
) -> pulumi.Output[str]:
    """Record this release once everything else of it is there. Return the recorded image."""
    recorded = _text(content(settings))
    data = image.reference.apply(lambda reference: {_SETTINGS: recorded, _IMAGE: reference})
    record = core.v1.ConfigMap(
        RELEASE,
        metadata=meta.v1.ObjectMetaArgs(
            name=data.apply(lambda data: content_name(RELEASE, data)),
            namespace=environment.namespace,
            labels=labels(PART_OF, RELEASE),
            annotations=_circumstances(settings),
        ),
        data=data,
        immutable=True,
        opts=pulumi.ResourceOptions(
            provider=environment.retaining,
            depends_on=list(after),
            retain_on_delete=True,
            # Told when it is made: a commit that changes nothing is no change.
            ignore_changes=["metadata.annotations"],
            hooks=_hooks(settings),
        ),
    )
    return record.data.apply(lambda data: data[_IMAGE])


def content(settings: Settings) -> dict[str, Any]:
    """What a release says besides its image: every setting given, without those that are about secrets or rules."""
    left_out: dict[str, Any] = dict.fromkeys(("image", "image_files", "release", "waivers", *SECRET_SOURCES), True)
    left_out["services"] = {"__all__": {"secret_lengths"}}
    given = settings.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=left_out)
    for name in settings.servers:
        given[name]["image"] = settings.server_image(name)
    return given


def kept(api: Client, stack: str) -> list[Release]:
    """The releases the cluster has records of, the newest first."""
    return [release for _, release in _records(api, stack)]


def _records(api: Client, stack: str) -> list[tuple[str, Release]]:
    own: dict[str, Any] = {**selector_of(PART_OF, stack), COMPONENT: RELEASE}
    found: list[tuple[str, Release]] = []
    for record in api.list(ConfigMap, labels=own):
        metadata: Any = record.metadata
        found.append((metadata.name, Release.of(metadata.name, record.data or {}, metadata.annotations or {})))
    return sorted(found, key=lambda pair: pair[1].at, reverse=True)


def _text(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), allow_unicode=True)


def _circumstances(settings: Settings) -> dict[str, str] | None:
    """Who, which commit and when. None under mocks: what is rendered is the same each time."""
    if monitor.is_mocked():
        return None
    commit = (
        settings.release.commit
        if settings.release
        else _git("describe", "--always", "--dirty", "--abbrev=8", "--exclude=*")
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    by = _git("config", "user.name") or os.environ.get("USER", "")
    # A release that comes again finds the record of the time before, which Pulumi wrote by another name.
    return {BY: by, COMMIT: commit, AT: now, "pulumi.com/patchForce": "true"}


def _git(*arguments: str) -> str:
    """What git answers; nothing where there is no git, or no clone."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _hooks(settings: Settings) -> pulumi.ResourceHookBinding | None:
    """Return the hook that waits for all rollouts before the record is made. None in a preview, and under mocks."""
    if monitor.is_mocked():
        return None
    return pulumi.ResourceHookBinding(before_create=[rollout.before_record(settings)])


def delete_old(api: Client, stack: str) -> None:
    """Delete the records of releases that are older than the KEPT newest."""
    for name in superseded(name for name, _ in _records(api, stack)):
        api.delete(ConfigMap, name)


def superseded(names: Iterable[str]) -> list[str]:
    """Return the records to delete: all but the KEPT newest. Expects the newest first."""
    return list(names)[KEPT:]

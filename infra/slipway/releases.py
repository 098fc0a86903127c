"""Releases: what was deployed when, recorded as immutable ConfigMaps in the stack's own namespace.

A release is the settings as the program read them, and the images by digest. It is recorded after all services, so an
incomplete rollout leaves no record; only the images of a recorded release are exported. Secrets, and where they come
from, are not recorded: a rollback (ops/releases/rollback.py) uses the current ones, so a rotated secret stays rotated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pulumi
import yaml
from pulumi_kubernetes import core, meta

from slipway import engine
from slipway.environment import Environment
from slipway.image.promotion import Promotion
from slipway.naming import COMPONENT, ENVIRONMENT, RELEASE, content_hash, content_name, labels, selector_of
from slipway.project import git
from slipway.rollout import completion
from slipway.settings.names import RULES_OF_UPDATES, SHORT_FORM, UNRECORDED, UNRECORDED_OF_SERVICES
from slipway.settings.settings import Settings

if TYPE_CHECKING:
    from lightkube import Client

KEPT = 10
"""The number of releases to roll back to."""
BY, COMMIT, AT = "slipway/by", "slipway/commit", "slipway/at"
OVERRIDE, OVERRIDES, IMAGE_COMMIT = "slipway/budget-override", "slipway/overrides", "slipway/image-commit"
OVERRIDE_VARIABLE = "SLIPWAY_BUDGET_OVERRIDE"
"""Environment variable with the reason to deploy although an error budget is burnt (ops/monitoring/gate.py)."""
OVERRIDES_VARIABLE = "SLIPWAY_OVERRIDES"
"""Environment variable with the reasons to deploy although something else stood against it, as JSON by what it was."""
FIRST_REQUEST, REHEARSAL = "slipway/first-request", "slipway/rollback-rehearsal"
"""Annotations that ops adds to the record of a release in force: what was proved of it since."""
# `image` is that of `slipway:image`; a stack with `slipway:images` records all of them by name.
_SETTINGS, _IMAGE, _IMAGES = "settings.yaml", "image", "images.yaml"


@dataclass(frozen=True)
class Release:
    """One release, as read from its record."""

    revision: str
    """Hash of the settings and the image: the argument of `./slipway rollback`."""
    settings: dict[str, Any]
    """The sections of a stack file, complete: no defaults are to be added."""
    image: str
    """`repository:tag@sha256:...`; empty for a stack with several images."""
    by: str = ""
    commit: str = ""
    """Commit of the program and the stack files, with `-dirty` if they had uncommitted changes."""
    at: str = ""
    """When it was last deployed, in UTC."""
    override: str = ""
    """Why it was deployed although an error budget was burnt; empty if none was."""
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why it was deployed although something else stood against it, by what it was (ops/delivery/checklist.py)."""
    image_commit: str = ""
    """The commit that promoted images were built from; empty for other images, and where it is not known."""
    first_request: str = ""
    """When its services answered the first requests (ops/releases/trials), in UTC; empty if they did not."""
    rehearsal: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The last rehearsal of a rollback from it (ops/releases/trials/rehearsal.py); empty without one."""
    named_images: Mapping[str, str] = field(default_factory=dict[str, str])
    """Those of a stack with several images, by name."""

    @classmethod
    def of(cls, name: str, data: Mapping[str, str], annotations: Mapping[str, str]) -> Self:
        """Read a release from the name, data and annotations of its ConfigMap."""
        keys = {"by": BY, "commit": COMMIT, "at": AT, "override": OVERRIDE, "image_commit": IMAGE_COMMIT}
        who = {field: annotations.get(key, "") for field, key in (keys | {"first_request": FIRST_REQUEST}).items()}
        proved = {"overrides": OVERRIDES, "rehearsal": REHEARSAL}
        mappings: dict[str, Any] = {field: _note(annotations.get(key, "{}")) for field, key in proved.items()}
        named: dict[str, str] = yaml.safe_load(data.get(_IMAGES, "{}"))
        revision, settings = name.removeprefix(f"{RELEASE}-"), yaml.safe_load(data[_SETTINGS])
        return cls(revision, settings, data.get(_IMAGE, ""), named_images=named, **who, **mappings)

    @property
    def images(self) -> dict[str, str]:
        """All images by name, however many the stack has."""
        return {SHORT_FORM: self.image} if self.image else dict(self.named_images)

    @property
    def config_hash(self) -> str:
        """Hash of the settings; equal for two releases that differ in the image alone."""
        return content_hash({_SETTINGS: _text(self.settings)})


def _note(text: str) -> dict[str, Any]:
    """Return a note on a record; an empty one for text that somebody has damaged: it must not prevent a rollback."""
    try:
        note = json.loads(text)
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def declare(
    settings: Settings,
    images: pulumi.Output[dict[str, str]],
    environment: Environment,
    after: Sequence[pulumi.Resource],
) -> pulumi.Output[dict[str, str]]:
    """Record this release when everything in `after` is complete. Return the images of the record by name."""
    recorded, is_short = _text(content(settings)), settings.image is not None
    data = images.apply(lambda images: {_SETTINGS: recorded, **_image_data(images, is_short=is_short)})
    record = core.v1.ConfigMap(
        RELEASE,
        metadata=meta.v1.ObjectMetaArgs(
            name=data.apply(lambda data: content_name(RELEASE, data)),
            namespace=environment.namespace,
            labels=labels(ENVIRONMENT, RELEASE),
            annotations=_circumstances(settings),
        ),
        data=data,
        immutable=True,
        opts=pulumi.ResourceOptions(
            provider=environment.retaining,
            depends_on=list(after),
            retain_on_delete=True,
            # Set once, at creation: a new commit with the same content must not change the record.
            ignore_changes=["metadata.annotations"],
            hooks=engine.hooks(before_create=completion.before_record(settings)),
        ),
    )
    return record.data.apply(lambda data: Release.of("", data, {}).images)


def _image_data(images: Mapping[str, str], *, is_short: bool) -> dict[str, str]:
    """Return the images as a record holds them."""
    return {_IMAGE: images[SHORT_FORM]} if is_short else {_IMAGES: _text(images)}


def content(settings: Settings) -> dict[str, Any]:
    """Return the settings that a release records: all that are set, except those about secrets, rules or drills."""
    left_out: dict[str, Any] = dict.fromkeys(("image", "named_images", "release", *RULES_OF_UPDATES, *UNRECORDED), True)
    left_out["services"] = {"__all__": {"secret_lengths", "variables", "check", *UNRECORDED_OF_SERVICES}}
    given = settings.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=left_out)
    for name in settings.servers:
        given[name]["image"] = settings.server_image(name)
    return given


def kept(api: Client, stack: str) -> list[Release]:
    """Return the recorded releases in the cluster, newest first."""
    return [release for _, release in _records(api, stack)]


def _records(api: Client, stack: str) -> list[tuple[str, Release]]:
    from lightkube.resources.core_v1 import ConfigMap  # noqa: PLC0415 - a preview does not need the client

    own: dict[str, Any] = {**selector_of(ENVIRONMENT, stack), COMPONENT: RELEASE}
    records: list[tuple[str, Release]] = []
    for record in api.list(ConfigMap, labels=own):
        metadata: Any = record.metadata
        records.append((metadata.name, Release.of(metadata.name, record.data or {}, metadata.annotations or {})))
    return sorted(records, key=lambda pair: pair[1].at, reverse=True)


def _text(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), allow_unicode=True)


def _circumstances(settings: Settings) -> dict[str, str] | None:
    """Return who deploys which commit, and when; None without an engine, so that renderings are the same each time."""
    if not engine.is_present():
        return None
    commit = (
        settings.release.commit
        if settings.release
        else git("describe", "--always", "--dirty", "--abbrev=8", "--exclude=*")
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    by = git("config", "user.name") or os.environ.get("USER", "")
    # A release that is deployed again updates its old record, whose fields belong to another field manager.
    promotion = Promotion.current()
    known = {
        OVERRIDE: os.environ.get(OVERRIDE_VARIABLE, ""),
        OVERRIDES: os.environ.get(OVERRIDES_VARIABLE, ""),
        IMAGE_COMMIT: promotion.commit if promotion else "",
    }
    given = {key: text for key, text in known.items() if text}
    return {BY: by, COMMIT: commit, AT: now, **given, "pulumi.com/patchForce": "true"}


def delete_old(api: Client, stack: str) -> None:
    """Delete the records of releases that are older than the KEPT newest."""
    from lightkube.resources.core_v1 import ConfigMap  # noqa: PLC0415

    for name in superseded(name for name, _ in _records(api, stack)):
        api.delete(ConfigMap, name)


def superseded(names: Iterable[str]) -> list[str]:
    """Return the records to delete: all but the KEPT newest. Expects the newest first."""
    return list(names)[KEPT:]

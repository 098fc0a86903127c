"""`./slipway rollback`: a `pulumi up` with the settings and the images that a former release recorded.

Both are taken whole. Secrets are today's: a rollback must not bring back a password that was changed because somebody
knew it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pulumi
import typer
from pydantic.alias_generators import to_camel

from slipway import releases
from slipway.image.reference import parts, prebuilt
from slipway.ops.changes import preview, stack_models
from slipway.ops.cluster import connection, refusal
from slipway.ops.development import leftovers
from slipway.ops.diagnosis import autoscalers
from slipway.ops.errors import UserError
from slipway.ops.program import config, engine_run, engine_state
from slipway.ops.program.engine_state import State
from slipway.ops.program.recorder import stack_config
from slipway.ops.releases import todays_settings
from slipway.releases import Release
from slipway.settings.engine_yaml import Node, read
from slipway.settings.errors import PREFIX
from slipway.settings.layers import effective
from slipway.settings.names import UNRECORDED
from slipway.settings.secret_checks import required_secrets
from slipway.settings.settings import CANDIDATE, RELEASE, Settings
from slipway.settings.source_files import STACKS, read_files
from slipway.settings.stack_file import candidate_in, settings_of_release


class UnknownReleaseError(UserError):
    """There is no such release, or the records cannot be read."""


def command(stack: str, revision: str | None, allow: Sequence[str], *, yes: bool, rehearse: bool = False) -> int:
    """Show what the rollback will change, ask, and roll back, and return if it is a rehearsal. Return the exit code."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    state = engine_state.export(stack)
    present = engine_state.in_force(state)
    release = choose(recorded(stack, present), present, revision, stack)
    typer.echo(f"{stack}: rollback to {describe(release)}; secrets stay as they are today", err=True)
    # Before the preview, which is refused where ./slipway dev owns the image.
    leftovers.put_back(stack, lambda: connection.connect(stack, _settings(stack, present)))
    with config_file(stack, release) as file:
        changes = stack_models.of_engine(stack, "--config-file", str(file))
        verdict = preview.preview_of(stack, "the stack's state", changes, preview.allowed(allow))
        preview.as_table([verdict])
        if preview.refuse([verdict]):
            return preview.EXIT_FORBIDDEN
        if not yes:
            typer.confirm(f"Roll stack {stack} back to release {release.revision}?", abort=True, err=True)
        if not rehearse:
            return apply(stack, release, file, state)
    from slipway.ops.releases.trials import rehearsal  # noqa: PLC0415 - it rolls back by this module

    return rehearsal.rehearse(stack, present, release, state)


def recorded(stack: str, present: Release | None = None) -> list[Release]:
    """Return the releases that the cluster has records of, the newest first. Raises UnknownReleaseError.

    Where today's stack file has mistakes, the settings of the release in force say which cluster that is.
    """
    try:
        cluster = connection.connect(stack, _settings(stack, present))
        return releases.kept(cluster.client, stack)
    except (connection.ClusterError, httpx2.HTTPError, pulumi.RunError) as error:
        reason = refusal.error_message(error) if isinstance(error, httpx2.HTTPError) else error
        raise UnknownReleaseError(f"the cluster of stack {stack} cannot be read: {reason}") from None


def _settings(stack: str, present: Release | None) -> Settings:
    try:
        return config.settings(stack)
    except pulumi.RunError as error:
        if present is None:
            raise
        typer.echo(f"warning: {error}\nUsing the cluster of the release in force.", err=True)
        return settings_of_release(
            stack, Node.of({**present.settings, **_images(present), RELEASE: _name(present)}), []
        )


def choose(known: Sequence[Release], present: Release | None, revision: str | None, stack: str) -> Release:
    """Return the release of that revision; by default the newest one before that in force."""
    if revision is None:
        matching = [release for release in known if present is None or release.revision != present.revision]
        problem = f"stack {stack} has no release but the one in force; see ./slipway history -s {stack}"
    else:
        matching = [release for release in known if release.revision == revision]
        revisions = ", ".join(release.revision for release in known) or "none"
        problem = f"there is no release {revision} of stack {stack}. Recorded, the newest first: {revisions}"
    if not matching:
        raise UnknownReleaseError(problem)
    return matching[0]


def describe(release: Release) -> str:
    """Return `release 0a1b2c3d (image src-..., commit 72015a6, 2026-11-21T08:35:23+00:00)`."""
    images = [f"image {_short(release.image)}"] if release.image else []
    images += [f"image {name} {_short(image)}" for name, image in release.named_images.items()]
    facts = [*images, *([f"commit {release.commit}"] if release.commit else []), release.at]
    return f"release {release.revision} ({', '.join(fact for fact in facts if fact)})"


def _short(reference: str) -> str:
    """Return the tag of an image, or the start of its digest."""
    _, tag, digest = parts(reference)
    return tag or digest[:19]


def roll_back(stack: str, release: Release, before: State, reason: str = "") -> int:
    """Run `pulumi up` with a release; `before` has the images that were built. Return the engine's exit code."""
    with config_file(stack, release) as file:
        return apply(stack, release, file, before, reason)


def apply(stack: str, release: Release, file: Path, before: State, reason: str = "") -> int:
    """Run `pulumi up` with the stack file of a release, as config_file() makes it. Return the engine's exit code."""
    state = _repair(stack, engine_state.undo_replacements)
    leftovers.put_back(stack, lambda: connection.connect(stack, _settings(stack, release)))
    autoscalers.forget_lost(stack, state, lambda: connection.connect(stack, _settings(stack, release)))
    message = f"rollback to release {release.revision}{f': {reason}' if reason else ''}"
    options = ("--yes", "--skip-preview", "--config-file", str(file), "--message", message)
    code = engine_run.code_of(["pulumi", "up", "-s", stack, *options])
    _repair(stack, lambda state: engine_state.keep_built_images(state, before))
    return code


def _repair(stack: str, repair: Callable[[State], State]) -> State:
    """Repair the state of a stack, if there is anything to repair. Return the state."""
    state = engine_state.export(stack)
    repaired = repair(state)
    if repaired != state:
        engine_state.restore(stack, repaired)
    return repaired


@contextmanager
def config_file(stack: str, release: Release, candidate: dict[str, Any] | None = None) -> Generator[Path]:
    """Yield a stack file with what the release recorded; it is deleted afterwards, and readable by this user only."""
    with tempfile.TemporaryDirectory(prefix="slipway-release-") as folder:
        file = Path(folder) / f"Pulumi.{stack}.yaml"
        file.touch(mode=0o600)
        # JSON is YAML in which no text can be read as a number.
        file.write_text(json.dumps(stack_file_of(stack, release, candidate), indent=2))
        yield file


def stack_file_of(stack: str, release: Release, candidate: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the content of that file: the release, and today's secrets with what it takes to decrypt them.

    With a candidate, the settings of a canary beside the release (canary_plan.py), it has the secrets of both.
    """
    file = STACKS / f"Pulumi.{stack}.yaml"
    root, _ = read(file.read_bytes(), f"{STACKS.name}/{file.name}")
    own, shared = read_files(stack)
    today = effective(own.settings, shared.settings).plain()
    unrecorded = {name: today[name] for name in map(to_camel, UNRECORDED) if name in today}
    tree = {**release.settings, **unrecorded, **_images(release), RELEASE: _name(release)}
    tree |= {"waivers": todays_settings.waivers(today)}
    tree |= {"services": todays_settings.services(release, today)} if "services" in tree else {}
    tree.pop("monitoring", None)
    monitoring = todays_settings.monitoring(stack, own, shared, today)
    tree |= {"monitoring": monitoring} if monitoring else {}
    tree |= {CANDIDATE: candidate} if candidate else {}
    config: dict[str, Any] = own.config.plain()
    trees = [Node.of(tree), candidate_in(tree) or Node({})]
    secrets = {f"{PREFIX}{name}" for needed in map(required_secrets, trees) for name in needed}
    kept = {key: value for key, value in config.items() if key in secrets or not key.startswith(PREFIX)}
    encryption = {key: value for key, value in root.plain().items() if key != "config"}
    return {**encryption, "config": {**kept, **{f"{PREFIX}{name}": value for name, value in tree.items()}}}


def _images(release: Release) -> dict[str, Any]:
    """Return the images of a release as sections of a stack file."""
    if release.image:
        return {"image": prebuilt(release.image)}
    return {"images": {name: prebuilt(reference) for name, reference in release.named_images.items()}}


def _name(release: Release) -> dict[str, str]:
    return {"revision": release.revision, "commit": release.commit}

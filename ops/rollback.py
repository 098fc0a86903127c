"""`./slipway rollback`: the stack as a former release had it, by a `pulumi up` with what that release recorded.

Settings and image are the recorded ones, taken whole. Secrets are today's: who goes back does not want a password back
that was changed because somebody knew it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pulumi
import releases
import typer
from engine_yaml import Node, read
from image import parts
from mistakes import PREFIX
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from releases import Release
from settings import SECRET_SOURCES, Settings, Waiver
from stack_file import CANDIDATE, RELEASE, STACKS, candidate_in, effective, needed_secrets, of_release, read_files

from ops import cluster, config, engine_state, models, preview, refusal
from ops.engine_state import State
from ops.recorder import ROOT, stack_config


class NoRelease(Exception):
    """There is nothing to go back to, or it cannot be read; what to do about it."""


def command(stack: str, revision: str | None, allow: Sequence[str], *, yes: bool) -> int:
    """Show what it will do, ask, and go back; the exit code."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    state = engine_state.export(stack)
    present = engine_state.in_force(state)
    release = chosen(recorded(stack, present), present, revision, stack)
    typer.echo(f"{stack}: back to {told(release)}; secrets stay as they are today", err=True)
    with config_file(stack, release) as file:
        changes = models.of_engine(stack, "--config-file", str(file))
    verdict = preview.judged(stack, "the stack's state", changes, preview.allowed(allow))
    preview.as_table([verdict])
    if preview.refused([verdict]):
        return preview.EXIT_FORBIDDEN
    if not yes:
        typer.confirm(f"Take stack {stack} back to release {release.revision}?", abort=True, err=True)
    return go_back(stack, release, state)


def recorded(stack: str, present: Release | None = None) -> list[Release]:
    """The releases that the cluster keeps records of, the newest first; `NoRelease` if it cannot be asked.

    With a release in force its settings say which cluster that is where today's stack file has mistakes.
    """
    try:
        found = cluster.connect(stack, _settings(stack, present))
        return releases.kept(found.client, stack)
    except (cluster.NoCluster, httpx2.HTTPError, pulumi.RunError) as error:
        why = refusal.of(error) if isinstance(error, httpx2.HTTPError) else error
        raise NoRelease(f"the cluster of stack {stack} cannot be read: {why}") from None


def _settings(stack: str, present: Release | None) -> Settings:
    try:
        return config.settings(stack)
    except pulumi.RunError as error:
        if present is None:
            raise
        typer.echo(f"warning: {error}\nThe cluster is that of the release in force.", err=True)
        return of_release(stack, Node.of({**present.settings, "image": _image(present), RELEASE: _name(present)}), [])


def chosen(known: Sequence[Release], present: Release | None, revision: str | None, stack: str) -> Release:
    """The release of that revision; by default the newest one before that in force."""
    others = [one for one in known if present is None or one.revision != present.revision]
    if revision is None:
        if not others:
            raise NoRelease(f"stack {stack} has no release but the one in force; see ./slipway history -s {stack}")
        return others[0]
    found = [one for one in known if one.revision == revision]
    if not found:
        there = ", ".join(one.revision for one in known) or "none"
        raise NoRelease(f"there is no release {revision} of stack {stack}. Recorded, the newest first: {there}")
    return found[0]


def told(release: Release) -> str:
    """`release 0a1b2c3d (image src-..., commit 72015a6, 2026-11-21T08:35:23+00:00)`."""
    _, tag, digest = parts(release.image)
    facts = [f"image {tag or digest[:19]}", *([f"commit {release.commit}"] if release.commit else []), release.at]
    return f"release {release.revision} ({', '.join(fact for fact in facts if fact)})"


def go_back(stack: str, release: Release, before: State, why: str = "") -> int:
    """`pulumi up` to a release; `before` knows the images that were built. The exit code is the engine's."""
    present = engine_state.export(stack)
    repaired = engine_state.with_former(present)
    if repaired != present:
        engine_state.restore(stack, repaired)
    with config_file(stack, release) as file:
        message = f"back to release {release.revision}{f': {why}' if why else ''}"
        options = ("--yes", "--skip-preview", "--config-file", str(file), "--message", message)
        code = subprocess.run(["pulumi", "up", "-s", stack, *options], cwd=ROOT, check=False).returncode
    present = engine_state.export(stack)
    with_builds = engine_state.with_builds(present, before)
    if with_builds != present:
        engine_state.restore(stack, with_builds)
    return code


@contextmanager
def config_file(stack: str, release: Release, candidate: dict[str, Any] | None = None) -> Generator[Path]:
    """A stack file that says what the release recorded, for as long as it is needed and for no other user."""
    with tempfile.TemporaryDirectory(prefix="slipway-release-") as folder:
        file = Path(folder) / f"Pulumi.{stack}.yaml"
        file.touch(mode=0o600)
        # JSON is YAML whose texts cannot be taken for numbers.
        file.write_text(json.dumps(composed(stack, release, candidate), indent=2))
        yield file


def composed(stack: str, release: Release, candidate: dict[str, Any] | None = None) -> dict[str, Any]:
    """Everything in that file: the release, and from today's stack file the secrets it needs and how to read them.

    With a candidate, which is to be tried beside it (ops/canary.py): its settings, and the secrets of both.
    """
    file = STACKS / f"Pulumi.{stack}.yaml"
    root, _ = read(file.read_bytes(), f"{STACKS.name}/{file.name}")
    own, shared = read_files(stack)
    today = effective(own.settings, shared.settings).plain()
    sources = {name: today[name] for name in map(to_camel, SECRET_SOURCES) if name in today}
    tree = {**release.settings, **sources, "image": _image(release), RELEASE: _name(release)}
    tree |= {"waivers": _waivers(today)}
    tree |= {CANDIDATE: candidate} if candidate else {}
    written: dict[str, Any] = own.config.plain()
    trees = [Node.of(tree), candidate_in(tree) or Node({})]
    secrets = {f"{PREFIX}{name}" for needed in map(needed_secrets, trees) for name in needed}
    kept = {key: value for key, value in written.items() if key in secrets or not key.startswith(PREFIX)}
    beside = {key: value for key, value in root.plain().items() if key != "config"}
    return {**beside, "config": {**kept, **{f"{PREFIX}{name}": value for name, value in tree.items()}}}


def _waivers(today: dict[str, Any]) -> list[Any]:
    """Today's waivers; one that is wrong keeps nobody from going back."""
    given = today.get("waivers")
    return [waiver for waiver in given if _is_waiver(waiver)] if isinstance(given, list) else []


def _is_waiver(waiver: Any) -> bool:
    try:
        Waiver.model_validate(waiver)
    except ValidationError:
        return False
    return True


def _image(release: Release) -> dict[str, str]:
    repository, tag, digest = parts(release.image)
    return {"source": "prebuilt", "repository": repository, "digest": digest} | ({"tag": tag} if tag else {})


def _name(release: Release) -> dict[str, str]:
    return {"revision": release.revision, "commit": release.commit}

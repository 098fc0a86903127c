"""Where two models of a stack come from: two git revisions, or the engine's own preview."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.changes import Change, Model, changed
from ops.recorder import ROOT, declare

# Runs in the tree of another revision, so it uses nothing but what all of them have.
_DECLARE = """\
import json, sys
from ops.recorder import declare
json.dump({stack: {f"{kind}/{name}": manifest for (kind, name), manifest in declare(stack).manifests().items()}
           for stack in sys.argv[1:]}, sys.stdout)
"""


class NoModel(Exception):
    """A model cannot be had; the message says which one, why, and what to do."""


def of_tree(stack: str) -> Model:
    """The stack as the working tree declares it."""
    return {f"{kind}/{name}": manifest for (kind, name), manifest in declare(stack).manifests().items()}


def of_folder(stacks: list[str], folder: Path) -> dict[str, Model]:
    """Some stacks as the tree in another folder declares them, by its own program; a stack it has not is empty."""
    there = [stack for stack in stacks if (folder / "stacks" / f"Pulumi.{stack}.yaml").is_file()]
    path = os.pathsep.join(str(part) for part in (folder, folder / "infra"))
    done = subprocess.run(
        [sys.executable, "-c", _DECLARE, *there],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise NoModel(f"the program of the base revision does not run: {why[0]}. Give another one with --base.")
    return {stack: {} for stack in stacks} | json.loads(done.stdout)


@contextmanager
def checked_out(revision: str) -> Generator[Path]:
    """The tree of a revision in a folder that goes away; the clone is not touched."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", revision], capture_output=True, check=False
    )
    if archive.returncode != 0:
        raise NoModel(f"git does not know the revision {revision!r}: {archive.stderr.decode().strip()}. See `git log`.")
    with tempfile.TemporaryDirectory(prefix="slipway-base-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
            tree.extractall(folder, filter="data")
        yield Path(folder)


def default_base() -> str:
    """Where this branch left main; HEAD on main itself."""
    for main in ("origin/main", "main"):
        found = subprocess.run(
            ["git", "-C", str(ROOT), "merge-base", "HEAD", main], capture_output=True, text=True, check=False
        )
        if found.returncode == 0:
            return found.stdout.strip()
    return "HEAD"


def of_engine(stack: str) -> list[Change]:
    """What `pulumi preview` says `pulumi up` would change: compared with the stack's state, secrets as `[secret]`."""
    command = ["pulumi", "preview", "--json", "--show-sames", "--non-interactive", "-s", stack]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        preview = json.loads(done.stdout)
    except ValueError:
        preview = {}
    if done.returncode != 0 or "steps" not in preview:
        told = [entry["message"].strip() for entry in preview.get("diagnostics", []) if entry["severity"] == "error"]
        raise NoModel(f"{stack}: `pulumi preview` failed: {' '.join(told) or done.stderr.strip()}")
    return of_steps(preview["steps"])


def of_steps(steps: list[dict[str, Any]]) -> list[Change]:
    """The changes in the steps of `pulumi preview --json`; a replacement, which takes three steps, is one change."""
    found: dict[str, Change] = {}
    for step in steps:
        type_, name = step["urn"].split("::")[2].split("$")[-1], step["urn"].split("::")[3]
        # Of a replacement's steps this one has both sides; the others repeat one of them.
        if not type_.startswith(("kubernetes:", "docker:")) or step["op"] in ("create-replacement", "delete-replaced"):
            continue
        before, after = (_inputs(step.get(side)) for side in ("oldState", "newState"))
        if step["op"] == "delete":
            after = None
        title = f"{type_.rpartition(':')[2]}/{name}"
        found[title] = changed(title, before, after, replaced=step["op"] == "replace")
    return list(found.values())


def _inputs(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the program asks for, without what only the engine reads."""
    if state is None:
        return None
    return {key: value for key, value in state.get("inputs", {}).items() if not re.match("__|id$", key)}

"""Writes files of a project and records its objects. What the program refuses leaves everything as it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from slipway import files
from slipway.ops.project.errors import ProjectError
from slipway.project import IMPORTED_FROM

# Lines of `slipway check` about stacks without a problem, and the heading above the mistakes of each stack.
_NOT_AN_ERROR = re.compile(r"hint: |: \d+ objects, no problem$|; nothing was changed\.$")


def write_and_record(root: Path, contents: dict[Path, str], *, with_schema: bool = False) -> None:
    """Write files, and record the objects of all stacks in stacks/golden. Raises ProjectError if they are refused."""
    before = _texts(root, contents)
    folders = {folder for file in contents for folder in file.parents if folder.exists()}
    for file in contents:
        file.parent.mkdir(parents=True, exist_ok=True)
    files.write(contents)
    try:
        if with_schema:
            _slipway(root, "config", "schema", "--write")
        _slipway(root, "check", "--write")
    except ProjectError:
        added = _texts(root, contents).keys() - before.keys()
        files.write(before)
        for file in added:
            file.unlink()
        _remove_empty({folder for file in added for folder in file.parents if folder.is_relative_to(root)} - folders)
        raise


def _texts(root: Path, contents: dict[Path, str]) -> dict[Path, str]:
    """Return the files that are written here, and those that the verbs write, as they are now."""
    stacks = root / "stacks"
    touched = {*contents, stacks / "schema.json", *(stacks / "golden").glob("*.yaml")}
    return {file: file.read_text() for file in touched if file.is_file()}


def _remove_empty(folders: set[Path]) -> None:
    for folder in sorted(folders, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _slipway(root: Path, *arguments: str) -> None:
    """Run a verb for another project than this process works for. Raises ProjectError with what it refuses."""
    paths = [str(IMPORTED_FROM), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SLIPWAY_PROJECT": str(root)}
    command = [sys.executable, "-m", "slipway", *arguments]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProjectError("what these options give is refused; nothing was kept:\n" + "\n".join(_errors(done.stderr)))


def _errors(output: str) -> list[str]:
    """Return the lines with what is wrong, each once: stacks mostly share their mistakes."""
    lines: dict[str, str] = {}
    for line in output.splitlines():
        if not _NOT_AN_ERROR.search(line):
            text = re.sub(r"^([\w.-]+: )?error: ", "", line)
            lines.setdefault(re.sub(r"^\s*stacks/[^:]+:\d+: ", "", text), text)
    return list(lines.values()) or output.splitlines()

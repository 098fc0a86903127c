"""The project that the program and the CLI work for: its root folder, its name in Pulumi.yaml, and its git."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

CONFIG = "slipway"
"""Namespace of the settings in a stack file (`slipway:image`), whatever the project is called."""
_FILE = "Pulumi.yaml"


def is_project(folder: Path) -> bool:
    """Return whether a folder is the root of a project."""
    return (folder / _FILE).is_file()


def _root() -> Path:
    """Return the folder with Pulumi.yaml: SLIPWAY_PROJECT, or the nearest one from the working folder up.

    The engine runs the program in a folder of the project. Elsewhere it is the clone that this package belongs to; an
    installed package belongs to none, and then it is the working folder.
    """
    given = os.environ.get("SLIPWAY_PROJECT")
    if given and is_project(Path(given)):
        return Path(given).resolve()
    here, clone = Path.cwd(), Path(__file__).resolve().parents[2]
    return next((folder for folder in (here, *here.parents, clone) if is_project(folder)), here)


def _name() -> str:
    """Return the `name` of Pulumi.yaml. A regular expression, since `./slipway --help` need not wait for a parser."""
    file = ROOT / _FILE
    text = file.read_text() if file.is_file() else ""
    named = re.search(r"""^name:\s*["']?([A-Za-z0-9_.-]+)""", text, re.MULTILINE)
    return named[1] if named else CONFIG


IMPORTED_FROM = Path(__file__).resolve().parents[1]
"""The folder from which Python imports this package: infra/ of a clone, or site-packages."""
ROOT = _root()
INFRA = ROOT / "infra"
"""The folder with __main__.py, in which the engine runs the program."""
PROJECT = _name()
"""Name of the Pulumi project. It separates the stacks of one project from those of another, also in labels."""


def config_key(name: str) -> str:
    """Return a setting as `pulumi config set` takes it: without a namespace it means one of the project's own name."""
    return name if PROJECT == CONFIG else f"{CONFIG}:{name}"


def git(*arguments: str) -> str:
    """Return the output of git in the project; empty if it fails, without git, and outside a clone."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

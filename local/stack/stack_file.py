"""Read the kube context from stacks/Pulumi.local.yaml, and hide the salt that Pulumi writes into it from git."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from local.paths import write

FILTER = "filter.slipway-local.clean"
WITHOUT_SALT = "sed '/^encryptionsalt:/d'"
STACK_FILE = "stacks/Pulumi.local.yaml"


def context(text: str) -> str:
    """Return the kube context of slipway:cluster; empty if there is none.

    It is read without a YAML parser, because it is needed before any package is installed.
    """
    section = re.search(r"^[ \t]*slipway:cluster:(.*\n(?:(?:[ \t]{4,}.*)?\n)*)", text + "\n", re.MULTILINE)
    match = re.search(r"\bcontext:\s*[\"']?([^\"'\s,}#]+)", section[1]) if section else None
    return match[1] if match else ""


def salt(text: str) -> str:
    """Return the salt that Pulumi wrote into the file; empty if there is none."""
    match = re.search(r"^encryptionsalt:\s*(\S+)", text, re.MULTILINE)
    return match[1] if match else ""


def without_salt(text: str) -> str:
    return re.sub(r"^encryptionsalt:.*\n?", "", text, flags=re.MULTILINE)


def drop_salt(stack_file: Path) -> bool:
    """Remove the salt from the file. Return True if it had one."""
    text = stack_file.read_text()
    return without_salt(text) != text and write(stack_file, without_salt(text), stack_file.stat().st_mode & 0o777)


def hide_salt(clone: Path) -> None:
    """Configure git in this clone to ignore the salt (see .gitattributes); do nothing without git."""
    _git(clone, "config", FILTER, WITHOUT_SALT)
    _refresh_index(clone)


def stop_hiding_salt(clone: Path) -> None:
    _git(clone, "config", "--remove-section", FILTER.rpartition(".")[0])
    _refresh_index(clone)


def _refresh_index(clone: Path) -> None:
    """Add the file to the index if only the salt differs, because git takes any file of another size for changed."""
    tracked = _git(clone, "ls-files", "--error-unmatch", STACK_FILE)
    if tracked and _git(clone, "diff", "--quiet", "--", STACK_FILE):
        _git(clone, "add", "--", STACK_FILE)


def _git(clone: Path, *arguments: str) -> bool:
    if not (clone / ".git").exists() or not shutil.which("git"):
        return False
    return subprocess.run(["git", "-C", str(clone), *arguments], capture_output=True, check=False).returncode == 0

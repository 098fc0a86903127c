"""stacks/Pulumi.local.yaml: which cluster it names, and the salt Pulumi writes into it, which git must not see."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from .places import write

FILTER = "filter.slipway-local.clean"
WITHOUT_SALT = "sed '/^encryptionsalt:/d'"
STACK_FILE = "stacks/Pulumi.local.yaml"


def context(text: str) -> str:
    """The kube context of slipway:cluster, "" if there is none.

    Read without a YAML parser: it is needed before any package is there.
    """
    section = re.search(r"^[ \t]*slipway:cluster:(.*\n(?:(?:[ \t]{4,}.*)?\n)*)", text + "\n", re.MULTILINE)
    found = re.search(r"\bcontext:\s*[\"']?([^\"'\s,}#]+)", section[1]) if section else None
    return found[1] if found else ""


def salt(text: str) -> str:
    """What Pulumi wrote into the file, "" if nothing."""
    found = re.search(r"^encryptionsalt:\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def without_salt(text: str) -> str:
    return re.sub(r"^encryptionsalt:.*\n?", "", text, flags=re.MULTILINE)


def drop_salt(stack_file: Path) -> bool:
    """Leave the file as git has it; True if that changed it."""
    text = stack_file.read_text()
    return without_salt(text) != text and write(stack_file, without_salt(text), stack_file.stat().st_mode & 0o777)


def hide_salt(clone: Path) -> None:
    """Make git of this clone see the file without the line (see .gitattributes); nothing where there is no git."""
    _git(clone, "config", FILTER, WITHOUT_SALT)
    _look_again(clone)


def stop_hiding_salt(clone: Path) -> None:
    _git(clone, "config", "--remove-section", FILTER.rpartition(".")[0])
    _look_again(clone)


def _look_again(clone: Path) -> None:
    """Where only the salt differs: git calls a file of another size changed, whatever a filter makes of it."""
    tracked = _git(clone, "ls-files", "--error-unmatch", STACK_FILE)
    if tracked and _git(clone, "diff", "--quiet", "--", STACK_FILE):
        _git(clone, "add", "--", STACK_FILE)


def _git(clone: Path, *arguments: str) -> bool:
    if not (clone / ".git").exists() or not shutil.which("git"):
        return False
    return subprocess.run(["git", "-C", str(clone), *arguments], capture_output=True, check=False).returncode == 0

"""Where this package came from, as a line of another project's requirements.txt.

Always an address, never the bare name: on PyPI `slipway` is a program of somebody else.
"""

from __future__ import annotations

import json
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from slipway.project import IMPORTED_FROM

NAME = "slipway"
_EXTRA = "test"


def clone() -> Path | None:
    """Return the clone of Slipway's repository that this package belongs to; None if it is installed."""
    folder = IMPORTED_FROM.parent
    return folder if IMPORTED_FROM.name == "infra" and (folder / "pyproject.toml").is_file() else None


def requirement() -> str:
    """Return the requirement that installs this package, with what a project's tests need."""
    folder = clone()
    if folder:
        return f"{NAME}[{_EXTRA}] @ {_of_clone(folder)}"
    distribution = metadata.distribution(NAME)
    direct = distribution.read_text("direct_url.json")
    if direct:
        return f"{NAME}[{_EXTRA}] @ {_address(json.loads(direct))}"
    # From an index that has this package; its user has chosen that one.
    return f"{NAME}[{_EXTRA}]=={distribution.version}"


def is_of_this_machine(line: str) -> bool:
    """Return whether a requirement is a path, which other machines do not have."""
    return "@ file:" in line


def _of_clone(folder: Path) -> str:
    remote, commit = _git(folder, "remote", "get-url", "origin"), _git(folder, "rev-parse", "HEAD")
    # A remote that is a path, or one that asks for a password, is no address for others.
    is_public = re.match(r"https://[^/@]+/", remote)
    return f"git+{remote}@{commit}" if is_public and commit else folder.as_uri()


def _address(direct: dict[str, Any]) -> str:
    """Return the address in direct_url.json (PEP 610), with the commit or the hash of what was installed."""
    url = str(direct["url"])
    if vcs := direct.get("vcs_info"):
        return f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    hashes = (direct.get("archive_info") or {}).get("hashes") or {}
    return f"{url}#sha256={hashes['sha256']}" if "sha256" in hashes else url


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""

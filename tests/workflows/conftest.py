"""The repository of which the workflows of these tests make their clones."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.paths import PROJECT, REPOSITORY

EDITS = {
    "app/cmd/api/main.go": ("package main", "package main // edited"),
    "stacks/Pulumi.staging.yaml": ("max: 4", "max: 3"),
    "stacks/Pulumi.prod.yaml": ("host: api.example.com", "host: shops.example.com"),
}


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose HEAD is the merge commit of a pull request that changes all four environments."""
    folder = tmp_path_factory.mktemp("fork") / "origin"
    folder.mkdir()
    ours = ("infra", "local", "Makefile", "slipway", "requirements.txt", ".github", ".gitignore")
    for part in [*(PROJECT / name for name in ("app", "stacks", "Pulumi.yaml")), *(REPOSITORY / name for name in ours)]:
        target = folder / part.name
        shutil.copytree(part, target, dirs_exist_ok=True) if part.is_dir() else shutil.copy2(part, target)
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "first")
    commit(folder, "second")  # which a clone of depth 1 would not reach from the merge commit
    git(folder, "checkout", "-qb", "edits")
    for name, (old, new) in EDITS.items():
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    commit(folder, "edits")
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "--no-ff", "edits")
    return folder


def git(folder: Path, *arguments: str) -> None:
    me = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *me, *arguments], check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "--allow-empty", "-qm", message)

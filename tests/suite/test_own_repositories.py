"""Tests that a git hook runs do not change the repository of the hook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import REPOSITORY


def test_tests_that_a_hook_runs_do_not_reach_the_repository_of_the_hook(tmp_path: Path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    before = files_of(tmp_path)
    env = {**os.environ, "GIT_DIR": str(tmp_path / ".git"), "GIT_INDEX_FILE": str(tmp_path / ".git" / "index")}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/local/stack/test_stack_file.py",
        "-k",
        "git_does_not_see_the_salt",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
    assert files_of(tmp_path) == before


def files_of(repository: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in (repository / ".git").rglob("*") if file.is_file()}

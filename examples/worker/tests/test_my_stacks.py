"""The stacks of this project: each is valid, keeps the house rules, and declares the objects that were reviewed.

This file knows no stack: it works on whatever stacks/ holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
STACKS = [file.name[len("Pulumi.") : -len(".yaml")] for file in sorted((PROJECT / "stacks").glob("Pulumi.*.yaml"))]
SCHEMA = PROJECT / "stacks" / "schema.json"


def slipway(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb of ./slipway in this project."""
    return subprocess.run(
        [sys.executable, "-m", "slipway", *arguments],
        cwd=PROJECT,
        env={**os.environ, "SLIPWAY_PROJECT": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_slipway_lists_the_stacks():
    assert sorted(slipway("stacks").stdout.split()) == sorted(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_is_valid_keeps_the_rules_and_declares_what_was_reviewed(stack: str):
    done = slipway("check", "-s", stack)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@pytest.mark.skipif(not SCHEMA.is_file(), reason="no stacks/schema.json: `./slipway config schema --write` makes it")
def test_editors_check_stack_files_with_the_schema_of_this_version():
    assert json.loads(SCHEMA.read_text()) == json.loads(slipway("config", "schema").stdout), (
        "run `./slipway config schema --write`"
    )

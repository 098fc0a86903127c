"""No workflow or target of make has a list of environments: `./slipway stacks` is the only one."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from slipway.ops.program.recorder import stacks
from tests.paths import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("file", [*WORKFLOWS, REPOSITORY / "Makefile"], ids=lambda file: file.name)
def test_no_list_of_environments_has_to_be_edited_for_another_one(file: Any):
    names = "|".join(stacks())
    assert re.findall(rf"\b(?:{names})\b\W{{1,3}}(?:{names})\b", file.read_text()) == []


def test_the_preview_has_one_job_for_each_stack_that_is_listed():
    jobs = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "preview.yml").read_text())["jobs"]
    assert jobs["preview"]["strategy"]["matrix"]["stack"] == "${{ fromJSON(needs.stacks.outputs.names) }}"
    assert jobs["preview"]["needs"] == "stacks"
    [step] = [step for step in jobs["stacks"]["steps"] if step.get("id") == "list"]
    assert "names=$(./slipway stacks --json --without local)\n" in step["run"]

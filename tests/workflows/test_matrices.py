"""No workflow or target of make has a list of environments: `slipway stacks` is the only one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from slipway.ops.program.recorder import stacks
from tests.paths import REPOSITORY
from tests.workflows.runner import FILES, Runner, jobs

LISTING = [file for file in FILES if "stacks" in jobs(file.stem)]


@pytest.mark.parametrize("file", [*FILES, REPOSITORY / "Makefile"], ids=lambda file: file.name)
def test_no_list_of_environments_has_to_be_edited_for_another_one(file: Path):
    names = "|".join(stacks())
    assert re.findall(rf"\b(?:{names})\b\W{{1,3}}(?:{names})\b", file.read_text()) == []


@pytest.mark.parametrize("file", LISTING, ids=lambda file: file.name)
def test_every_matrix_holds_the_stacks_of_all_tiers_or_of_the_one_that_the_job_is_named_after(file: Path):
    used = {
        name: job["strategy"]["matrix"] for name, job in jobs(file.stem).items() if "matrix" in job.get("strategy", {})
    }
    tiers = {name: name if name in stacks() else "all" for name in used}
    assert used == {name: {"include": f"${{{{ fromJSON(needs.stacks.outputs.{tiers[name]}) }}}}"} for name in used}


@pytest.fixture(scope="module")
def listed(merged: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the job `stacks` writes for the jobs after it."""
    runner = Runner(tmp_path_factory.mktemp("runner"), merged, {})
    assert runner.run(jobs("drift")["stacks"]), runner.output
    return dict(line.split("=", 1) for line in runner.file("GITHUB_OUTPUT").splitlines())


def test_the_job_that_lists_the_stacks_gives_each_with_the_one_it_is_promoted_from(listed: dict[str, str]):
    assert json.loads(listed["all"]) == [
        {"stack": "dev", "tier": "dev", "from": ""},
        {"stack": "staging", "tier": "staging", "from": "dev"},
        {"stack": "prod", "tier": "prod", "from": "staging"},
    ]
    assert [job["stack"] for job in json.loads(listed["prod"])] == ["prod"]


@pytest.mark.parametrize("file", LISTING, ids=lambda file: file.name)
def test_each_workflow_lists_the_stacks_alike_and_reads_only_what_is_listed(file: Path, listed: dict[str, str]):
    job = jobs(file.stem)["stacks"]
    assert job["steps"] == jobs("drift")["stacks"]["steps"]
    assert set(re.findall(r"steps\.list\.outputs\.(\w+)", str(job["outputs"]))) <= set(listed)

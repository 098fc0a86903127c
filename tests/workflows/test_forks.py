"""A pull request of a fork, as `preview.yml` runs for it: a shallow clone, no secret, no cluster, no terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.paths import REPOSITORY
from tests.workflows.expressions import holds
from tests.workflows.runner import FILES, Runner, jobs

COMMENT = Path(__file__).parent / "comment.md"
PULL_REQUEST: dict[str, Any] = {
    "github.event_name": "pull_request",
    "github.event.action": "opened",
    "github.repository": "shops/slipway",
    "github.event.pull_request.head.repo.full_name": "somebody/slipway",
    "github.event.pull_request.number": 7,
    "github.event.pull_request.labels.*.name": [],
    "github.token": "of the run",
    # What a repository that deploys has set; variables are no secrets.
    "vars.SLIPWAY_DEPLOY": "true",
    "vars.SLIPWAY_PR_FROM": "dev",
}


@pytest.fixture(scope="module")
def fork(merged: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Runner, bool]:
    """The job `verdict` for a fork, and whether it succeeded. A step that needs a secret would be a KeyError."""
    runner = Runner(tmp_path_factory.mktemp("runner"), merged, PULL_REQUEST)
    return runner, runner.run(jobs("preview")["verdict"])


@pytest.mark.timeout(400)
@pytest.mark.feature("K1", part="the workflow's own commands, for a fork without secrets")
def test_the_summary_of_a_fork_is_one_short_verdict_on_all_four_stacks(fork: tuple[Runner, bool]):
    runner, _ = fork
    # The commit, and names by content, which the fixture project decides.
    text = re.sub(r"(?<=[-(])[0-9a-f]{8,16}\b", "0a1b2c3d", runner.file("GITHUB_STEP_SUMMARY"))
    assert text == COMMENT.read_text(), f"{runner.output}\nif it is meant, {COMMENT.name} is to read:\n{text}"
    assert text.count("<!-- slipway preview -->") == 1
    assert len(text) < 4000


def test_the_check_of_a_fork_fails_when_an_environment_forbids_the_change(fork: tuple[Runner, bool]):
    runner, succeeded = fork
    assert not succeeded
    assert "prod forbids what exposes: Ingress/api" in runner.output["verdict"]


def test_a_fork_gets_no_comment_since_its_token_may_not_write_one(fork: tuple[Runner, bool]):
    assert "comment" not in fork[0].output


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_job_with_a_secret_or_an_environment_runs_for_a_fork(file: Path):
    run = runs_for(file.stem, PULL_REQUEST)
    told = {name: str(job) for name, job in jobs(file.stem).items() if name in run}
    assert [name for name, text in told.items() if "secrets." in text or "'environment'" in text] == []


@pytest.mark.parametrize("action", ["opened", "closed"])
@pytest.mark.feature("J5", part="made when a pull request is opened, deleted when it is closed")
def test_the_jobs_that_need_secrets_do_run_for_a_branch_of_the_repository(action: str):
    own = {
        **PULL_REQUEST,
        "github.event_name": "pull_request",
        "github.event.action": action,
        "github.event.pull_request.head.repo.full_name": "shops/slipway",
    }
    assert runs_for("pr-env", own) == ["create" if action == "opened" else "delete"]
    assert runs_for("preview", own) == ["verdict", "stacks", "deployed"]
    assert runs_for("preview", {**own, "vars.SLIPWAY_DEPLOY": ""}) == ["verdict"]


def runs_for(workflow: str, context: dict[str, Any]) -> list[str]:
    """Return the jobs that run for a pull request: a job does not if one that it needs does not."""
    triggers = (REPOSITORY / ".github" / "workflows" / f"{workflow}.yml").read_text()
    if "\n  pull_request:" not in triggers:
        return []
    outputs = dict.fromkeys([f"needs.stacks.outputs.{name}" for name in ("all", "dev", "staging", "prod")], "[{}]")
    run: list[str] = []
    for name, job in jobs(workflow).items():
        needs = job.get("needs", [])
        is_reached = set([needs] if isinstance(needs, str) else needs) <= set(run)
        if is_reached and holds(job.get("if"), {**context, **outputs}):
            run.append(name)
    return run

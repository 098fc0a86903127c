"""`deploy.yml`: one tier after the other, the digests of the one before, and nothing after a failure."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.ops.project import github
from tests.paths import REPOSITORY
from tests.workflows.expressions import holds
from tests.workflows.runner import Runner, calls, jobs, recorder

TIERS = ("dev", "staging", "prod")
SECRETS = dict.fromkeys(
    [
        *("secrets.PULUMI_ACCESS_TOKEN", "secrets.PULUMI_BACKEND_URL", "secrets.PULUMI_CONFIG_PASSPHRASE"),
        *("secrets.SIGNING_KEY", "secrets.COSIGN_PASSWORD"),
    ],
    "",
)


def deploy(folder: Path, source: str, script: str = "") -> tuple[bool, list[str]]:
    """Run the job of one stack. Return whether it succeeded, and the commands."""
    context = {**SECRETS, "matrix.stack": "here", "matrix.from": source}
    programs = recorder(folder / "programs", "slipway", script)
    return Runner(folder, None, context, programs).run(jobs("deploy")["prod"]), calls(programs)


@pytest.mark.feature("A10", part="the workflow signs what it has deployed")
def test_a_stack_that_builds_is_scanned_deployed_and_signed(tmp_path: Path):
    assert deploy(tmp_path, "") == (
        True,
        ["slipway scan -s here --newest", "slipway up -s here --yes", "slipway attest -s here"],
    )


@pytest.mark.feature("J2", part="the workflow builds once, and promotes from there")
def test_a_stack_with_a_source_is_given_what_its_source_runs_and_builds_nothing(tmp_path: Path):
    assert deploy(tmp_path, "dev", history("")) == (
        True,
        ["slipway history -s dev --json", "slipway promote dev here --yes"],
    )


@pytest.mark.parametrize(("running", "succeeds"), [("this", True), ("earlier", True), ("later", False)])
def test_the_approval_of_a_run_is_none_for_what_a_later_one_brought_to_the_source(
    tmp_path: Path, running: str, succeeds: bool
):
    commits = repository(tmp_path)
    succeeded, called = deploy(tmp_path, "dev", history(commits[running]))
    assert succeeded == succeeds
    assert ("slipway promote dev here --yes" in called) == succeeds


def test_nothing_is_promoted_while_nobody_knows_which_commit_the_source_runs(tmp_path: Path):
    assert deploy(tmp_path, "dev", "[ $1 != history ]") == (False, ["slipway history -s dev --json"])


def history(commit: str) -> str:
    """Return the script of a slipway whose stacks run this commit."""
    rows = json.dumps({"history": [{"inForce": True, "commit": commit[:8]}, {"inForce": False, "commit": "0a1b2c3d"}]})
    return f"[ $1 != history ] || echo '{rows}'"


def repository(folder: Path) -> dict[str, str]:
    """Make a clone whose HEAD is the commit of a run, between an earlier and a later one. Return all three."""
    commits: dict[str, str] = {}
    git(folder, "init", "-q")
    for name in ("earlier", "this", "later"):
        git(folder, "commit", "-q", "--allow-empty", "-m", name)
        commits[name] = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "-q", commits["this"])
    return commits


def git(folder: Path, *arguments: str) -> str:
    me = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *me, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.feature("A11", part="the workflow deploys nothing that the scan refuses")
def test_nothing_is_deployed_after_a_scan_that_found_something(tmp_path: Path):
    assert deploy(tmp_path, "", "[ $1 != scan ]") == (False, ["slipway scan -s here --newest"])


def test_a_release_that_was_taken_back_is_not_signed(tmp_path: Path):
    succeeded, called = deploy(tmp_path, "", "[ $1 != up ]")
    assert (succeeded, called[-1]) == (False, "slipway up -s here --yes")


@pytest.mark.parametrize(
    ("listed", "failing", "run"),
    [
        ("dev staging prod", "", ["dev", "staging", "prod"]),
        ("dev prod", "", ["dev", "prod"]),
        ("prod", "", ["prod"]),
        ("dev staging prod", "dev", ["dev"]),
        ("dev staging prod", "staging", ["dev", "staging"]),
        ("", "", []),
    ],
)
def test_a_tier_waits_for_the_one_before_and_none_follows_a_failure(listed: str, failing: str, run: list[str]):
    context = {f"needs.stacks.outputs.{tier}": "[{}]" if tier in listed.split() else "[]" for tier in TIERS}
    done: list[str] = []
    for tier in TIERS:
        if holds(jobs("deploy")[tier]["if"], context, failed=failing in done):
            done.append(tier)
    assert done == run


def test_each_tier_needs_the_one_before():
    needs = {name: jobs("deploy")[name]["needs"] for name in TIERS}
    assert needs == {"dev": "stacks", "staging": ["stacks", "dev"], "prod": ["stacks", "staging"]}


@pytest.mark.parametrize("action", ["of this repository", "of other projects"])
def test_the_kubeconfig_is_in_the_folder_that_github_empties_and_replaces_none(tmp_path: Path, action: str):
    """A machine that somebody runs for GitHub may have one of its own, and keeps what a job leaves at home."""
    other = github.files(tmp_path, "requirements.txt")[tmp_path / github.ACTION]
    text = other if action == "of other projects" else (REPOSITORY / github.ACTION).read_text()
    [step] = [step for step in yaml.safe_load(text)["runs"]["steps"] if "KUBECONFIG_CONTENT" in step.get("run", "")]
    runner = Runner(tmp_path, None, {})
    runner.temp.mkdir()
    own = tmp_path / "home" / ".kube" / "config"
    own.parent.mkdir(parents=True)
    own.write_text("of the machine")
    assert runner.script(step, {"inputs.kubeconfig": "of prod"}), runner.output
    assert runner.script({"name": "later", "run": 'cat "$KUBECONFIG"; stat -c " %a %n" "$KUBECONFIG"'}, {})
    assert runner.output["later"] == f"of prod 600 {runner.temp}/kubeconfig\n"
    assert own.read_text() == "of the machine"


def changing() -> list[Any]:
    """Return the jobs that change an environment."""
    return [
        pytest.param(job, id=f"{name} {key}")
        for name in ("deploy", "pr-env")
        for key, job in jobs(name).items()
        if "environment" in job
    ]


@pytest.mark.parametrize("job", changing())
def test_no_job_is_cancelled_while_it_changes_an_environment(job: Any):
    assert job["concurrency"]["cancel-in-progress"] is False


@pytest.mark.parametrize("tier", TIERS)
def test_each_environment_waits_for_its_own_approval_and_one_fails_alone(tier: str):
    job = jobs("deploy")[tier]
    assert job["environment"] == "${{ matrix.stack }}"
    assert job["strategy"]["max-parallel"] == 1
    assert job["strategy"].get("fail-fast", True)

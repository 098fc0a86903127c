"""What workflows write on GitHub is edited in place: one comment of a pull request, and one issue about drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway.ops.changes.preview import MARK
from tests.workflows.expressions import evaluate
from tests.workflows.runner import Runner, calls, jobs, recorder

CONTEXT: dict[str, Any] = {
    "github.token": "of the run",
    "github.repository": "shops/slipway",
    "github.server_url": "https://github.com",
    "github.run_id": 99,
    "github.event.pull_request.number": 7,
    "github.event.pull_request.labels.*.name": ["bug", "allow-exposes", "please allow-replaces"],
    "matrix.stack": "prod",
    "needs.compare.result": "success",
    "secrets.PULUMI_ACCESS_TOKEN": "",
    "secrets.PULUMI_BACKEND_URL": "",
    "secrets.PULUMI_CONFIG_PASSPHRASE": "",
}


def step(workflow: str, job: str, name: str) -> dict[str, Any]:
    """Return a step by its name."""
    [found] = [step for step in jobs(workflow)[job]["steps"] if step.get("name") == name]
    return found


def machine(folder: Path, program: str, script: str = "") -> Runner:
    runner = Runner(folder, None, CONTEXT, recorder(folder / "programs", program, script))
    runner.temp.mkdir()
    return runner


@pytest.mark.parametrize(
    ("ours", "method"), [("", "issues/7/comments --method POST"), ("41", "comments/41 --method PATCH")]
)
@pytest.mark.feature("K1", part="the comment is edited in place")
def test_a_pull_request_has_one_comment_however_often_it_is_changed(tmp_path: Path, ours: str, method: str):
    runner = machine(tmp_path, "gh", f"case $* in *--jq*) echo {ours} ;; esac")
    (runner.temp / "verdict.md").write_text(f"{MARK}\n")
    assert runner.script(step("preview", "verdict", "comment"), CONTEXT), runner.output
    [asked, sent] = [" ".join(call.split()) for call in "\n".join(calls(tmp_path / "programs")).split("gh ")[1:]]
    assert f'startswith("{MARK}")' in asked
    assert f"{method} -F body=@{runner.temp}/verdict.md" in sent


def test_no_second_comment_is_written_while_github_does_not_list_the_first(tmp_path: Path):
    runner = machine(tmp_path, "gh", "case $* in *--jq*) exit 1 ;; esac")
    (runner.temp / "verdict.md").write_text(f"{MARK}\n")
    assert not runner.script(step("preview", "verdict", "comment"), CONTEXT)
    assert "POST" not in " ".join(calls(tmp_path / "programs"))


def test_without_a_verdict_there_is_no_comment(tmp_path: Path):
    runner = machine(tmp_path, "gh")
    (runner.temp / "verdict.md").touch()
    assert runner.script(step("preview", "verdict", "comment"), CONTEXT)
    assert calls(tmp_path / "programs") == []


@pytest.mark.parametrize("name", ["verdict", "deployed"])
def test_labels_allow_the_class_they_name_and_no_other_text_does(tmp_path: Path, name: str):
    runner = machine(tmp_path, "slipway")
    assert runner.script(step("preview", name, "verdict" if name == "verdict" else "preview"), CONTEXT), runner.output
    [call] = calls(tmp_path / "programs")
    assert [word for word in call.split() if word.startswith("--allow")] == ["--allow=exposes"]


@pytest.mark.parametrize(
    ("code", "section", "succeeds"),
    [(0, None, True), (2, "### prod", True), (1, "### prod\n\nCould not be compared; the run shows why.\n", False)],
    ids=["none", "drift", "error"],
)
def test_drift_is_no_failure_of_its_job_and_an_environment_that_cannot_be_read_is(
    tmp_path: Path, code: int, section: str | None, succeeds: bool
):
    runner = machine(tmp_path, "slipway", f"[ {code} = 1 ] || echo '### prod'; exit {code}")
    assert runner.script(step("drift", "compare", "drift"), CONTEXT) == succeeds
    assert calls(tmp_path / "programs") == ["slipway drift -s prod --markdown"]
    file = runner.temp / "drift" / "prod.md"
    assert (file.read_text().rstrip() if file.exists() else None) == (section.rstrip() if section else None)


@pytest.mark.parametrize(
    ("number", "stacks", "done"),
    [
        ("", [], []),
        ("", ["dev", "prod"], ["gh issue create --title Drift from what was deployed --body-file body"]),
        ("12", ["prod"], ["gh issue edit 12 --body-file body"]),
        ("12", [], ["gh issue close 12 --comment No drift any more: https://github.com/shops/slipway/actions/runs/99"]),
    ],
    ids=["nothing", "the first time", "again", "no longer"],
)
def test_drift_of_all_environments_is_one_issue_that_is_opened_edited_and_closed(
    tmp_path: Path, number: str, stacks: list[str], done: list[str]
):
    runner = machine(tmp_path, "gh", f"[ $2 != list ] || echo {number}")
    (runner.temp / "drift").mkdir()
    for stack in stacks:
        (runner.temp / "drift" / f"{stack}.md").write_text(f"### {stack}\n\nThe table of {stack}.\n")
    assert runner.script(step("drift", "report", "issue"), CONTEXT), runner.output
    asked, *called = calls(tmp_path / "programs")
    assert asked.startswith("gh issue list --state open")
    assert called == done
    body = runner.temp / "drift" / "body"
    text = body.read_text() if body.exists() else ""
    assert [section.split("\n")[0] for section in text.split("### ")[1:]] == stacks
    assert ("https://github.com/shops/slipway/actions/runs/99" in text) == bool(stacks)


@pytest.mark.parametrize("stacks", [[], ["dev"]], ids=["no report", "one report"])
def test_the_issue_stays_open_while_a_job_ended_before_it_could_compare(tmp_path: Path, stacks: list[str]):
    """As where a package cannot be downloaded: such a job leaves no section."""
    runner = machine(tmp_path, "gh", "[ $2 != list ] || echo 12")
    (runner.temp / "drift").mkdir()
    for stack in stacks:
        (runner.temp / "drift" / f"{stack}.md").write_text(f"### {stack}\n")
    context = CONTEXT | {"needs.compare.result": "failure"}
    assert runner.script(step("drift", "report", "issue"), context), runner.output
    assert calls(tmp_path / "programs")[1:] == ["gh issue edit 12 --body-file body"]
    assert "A job of this run failed, so this may not be all." in (runner.temp / "drift" / "body").read_text()


def test_the_issue_is_also_written_when_a_stack_could_not_be_compared():
    condition = jobs("drift")["report"]["if"].removeprefix("${{ ").removesuffix(" }}")
    results = ("success", "failure", "skipped")
    assert [evaluate(condition, {"needs.compare.result": result}, failed=True) for result in results] == [
        True,
        True,
        False,
    ]

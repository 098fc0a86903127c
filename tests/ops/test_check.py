"""`./slipway stacks` and `./slipway check`: a new stack file alone is enough, and a change of objects is seen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.testing

from slipway.__main__ import app
from slipway.ops.changes import stack_models
from slipway.ops.errors import UserError
from slipway.ops.program import check, config, job_matrix, recorder
from slipway.settings import source_files
from tests.paths import PROJECT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tests' project, with the stack file of dev once more as that of qa."""
    shutil.copytree(PROJECT / "stacks", tmp_path / "stacks")
    text = (tmp_path / "stacks" / "Pulumi.dev.yaml").read_text().replace("slipway-dev", "slipway-qa")
    (tmp_path / "stacks" / "Pulumi.qa.yaml").write_text(text.replace("config:", "config:\n  slipway:tier: dev"))
    monkeypatch.setattr(source_files, "STACKS", tmp_path / "stacks")
    monkeypatch.setattr(check, "GOLDEN", tmp_path / "stacks" / "golden")
    for module in (recorder, check, stack_models):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def run(*arguments: str) -> Any:
    return typer.testing.CliRunner().invoke(app, arguments)


def test_a_new_stack_file_is_listed_between_the_stacks_of_its_tier_and_the_next(project: Path):
    assert run("stacks").stdout.split() == ["local", "dev", "qa", "staging", "prod"]
    assert json.loads(run("stacks", "--json", "--without", "local").stdout) == ["dev", "qa", "staging", "prod"]
    assert run("stacks", "--without", "local", "--without", "dev").stdout.split() == ["staging", "prod"]


def test_the_stacks_of_each_tier_are_a_matrix_of_jobs_with_the_stack_that_each_promotes_from(project: Path):
    done = run("stacks", "--matrix", "--without", "local")
    assert done.exit_code == 0, done.output
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines())
    jobs = {tier: [(job["stack"], job["from"]) for job in json.loads(text)] for tier, text in lines.items()}
    assert jobs == {
        "all": [("dev", ""), ("qa", ""), ("staging", "dev"), ("prod", "staging")],
        "dev": [("dev", ""), ("qa", "")],
        "staging": [("staging", "dev")],
        "prod": [("prod", "staging")],
    }
    assert {job["tier"] for job in json.loads(lines["dev"])} == {"dev"}


def test_a_stack_that_runs_images_of_two_stacks_has_no_job_that_promotes_them(monkeypatch: pytest.MonkeyPatch):
    images = {name: SimpleNamespace(from_=name) for name in ("qa", "dev")}
    monkeypatch.setattr(config, "settings", lambda _: SimpleNamespace(images=images))
    with pytest.raises(UserError, match="local runs images of dev and qa, and a job promotes from one stack"):
        job_matrix.text()


def test_a_tier_that_does_not_exist_is_refused(project: Path):
    with pytest.raises(UserError, match=r"there is no tier qa\. Tiers: local, dev, staging, prod"):
        recorder.stacks(without=["qa"])


def test_a_new_stack_passes_and_its_objects_wait_to_be_recorded(sdk: None, project: Path):
    done = run("check", "-s", "qa")
    assert done.exit_code == 0
    assert "qa: hint: stacks/golden/qa.yaml does not exist yet: `./slipway check --write -s qa`" in done.stderr
    assert run("check", "--write", "-s", "qa").exit_code == 0
    assert "namespace: slipway-qa" in (project / "stacks" / "golden" / "qa.yaml").read_text()
    assert run("check", "-s", "qa").stderr.startswith("qa: ")
    assert "hint" not in run("check", "-s", "qa").stderr


def test_a_change_of_an_object_is_shown_and_fails_until_it_is_recorded(sdk: None, project: Path):
    assert run("check", "--write", "-s", "qa").exit_code == 0
    file = project / "stacks" / "Pulumi.qa.yaml"
    file.write_text(file.read_text().replace("{min: 1, max: 2}", "{min: 1, max: 3}", 1))
    done = run("check", "-s", "qa")
    assert done.exit_code == 1
    assert "--- recorded/stacks/golden/qa.yaml\n+++ now/stacks/golden/qa.yaml\n" in done.stdout
    assert "-  maxReplicas: 2\n+  maxReplicas: 3\n" in done.stdout
    assert "qa: error: the objects differ from those in stacks/golden/qa.yaml." in done.stderr
    assert run("check", "--write", "-s", "qa").exit_code == 0
    assert run("check", "-s", "qa").exit_code == 0


def test_an_edit_of_the_sources_changes_no_recorded_object(sdk: None, project: Path, monkeypatch: pytest.MonkeyPatch):
    assert run("check", "--write", "-s", "qa").exit_code == 0
    recorded = (project / "stacks" / "golden" / "qa.yaml").read_text()
    assert check.TAG in recorded
    assert "src-" not in recorded.replace(check.TAG, "")


def test_a_mistake_in_one_stack_fails_and_the_others_are_checked_all_the_same(sdk: None, project: Path):
    file = project / "stacks" / "Pulumi.qa.yaml"
    file.write_text(file.read_text().replace("min: 1", "min: many", 1))
    done = run("check", "-s", "qa", "-s", "dev")
    assert done.exit_code == 1
    assert "qa: error: stacks/Pulumi.qa.yaml has 1 mistake" in done.stderr
    assert "\ndev: 47 objects, no problem" in done.stderr


def test_a_stack_that_promotes_the_image_of_no_stack_fails(sdk: None, project: Path):
    (project / "stacks" / "Pulumi.dev.yaml").unlink()
    done = run("check", "-s", "staging")
    assert done.exit_code == 1
    assert "it promotes the image of stack dev, and there is no stacks/Pulumi.dev.yaml" in done.stderr


def test_the_objects_of_a_stack_that_is_gone_are_a_hint_and_go_with_the_next_recording(sdk: None, project: Path):
    assert run("check", "--write").exit_code == 0
    (project / "stacks" / "Pulumi.qa.yaml").unlink()
    done = run("check", "-s", "dev")
    assert (done.exit_code, "hint: stacks/golden/qa.yaml has no stack" in done.stderr) == (0, True)
    assert run("check", "--write").exit_code == 0
    assert sorted(file.stem for file in (project / "stacks" / "golden").iterdir()) == [
        "dev",
        "local",
        "prod",
        "staging",
    ]


def test_quiet_prints_nothing_where_nothing_is_wrong_and_errors_all_the_same(project: Path):
    assert run("check", "-s", "dev", "--quiet").output == ""
    file = project / "stacks" / "Pulumi.qa.yaml"
    file.write_text(file.read_text().replace("slipway:tier: dev", "slipway:tier: none"))
    refused = run("check", "-s", "qa", "--quiet")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("qa: error: ")


def test_json_has_objects_errors_hints_and_the_difference_of_each_stack(project: Path):
    done = run("check", "-s", "dev", "-s", "qa", "--json")
    dev, qa = json.loads(done.stdout)
    assert (dev["stack"], dev["errors"], dev["difference"]) == ("dev", [], "")
    assert qa["objects"] == dev["objects"] > 10
    assert "does not exist yet" in qa["hints"][-1]
    assert done.stderr == ""

"""The workflows that `slipway init` writes: those of Slipway's own repository, and never over those of somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.ops.project import github, new
from slipway.ops.project.answers import Wishes
from slipway.ops.project.init import create
from tests.package import projects
from tests.paths import REPOSITORY

OF_A_PROJECT = ("deploy", "drift", "pr-env", "preview")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project that was written for a Go service."""
    folder = projects.go_service(tmp_path / "shop")
    create(folder, Wishes())
    return folder


def workflows(folder: Path) -> dict[str, str]:
    return {file.stem: file.read_text() for file in sorted((folder / github.WORKFLOWS).glob("*.yml"))}


@pytest.mark.feature("K1", part="a project of its own has the same workflows")
def test_they_are_those_of_this_repository(shop: Path):
    own = workflows(REPOSITORY)
    assert workflows(shop) == {name: own[name] for name in OF_A_PROJECT}, "run `./slipway new workflows --replace`"


def test_their_runner_is_set_up_as_that_of_this_repository_but_from_the_package(shop: Path):
    ours, theirs = (steps_of_action(folder) for folder in (REPOSITORY, shop))
    assert theirs[1]["run"] == "pip install -r requirements.txt"
    assert [step.get("uses") for step in theirs] == [step.get("uses") for step in ours]
    assert theirs[2]["with"] == {"go-version-file": "go.mod", "cache-dependency-path": "go.sum"}
    assert theirs[3:] == ours[3:]


def test_a_project_without_go_needs_none(tmp_path: Path):
    folder = projects.write(tmp_path / "shop", {"Dockerfile": "FROM a\nEXPOSE 80\n", "requirements.txt": "flask\n"})
    create(folder, Wishes())
    python, install, *others = steps_of_action(folder)
    assert python["with"]["cache-dependency-path"] == "infra/requirements.txt"
    assert install["run"] == "pip install -r infra/requirements.txt"
    assert [str(step["uses"]).partition("@")[0] for step in others if "uses" in step] == ["pulumi/actions"]


def test_a_workflow_of_the_app_stays_and_is_told(tmp_path: Path):
    mine = {".github/workflows/deploy.yml": "on: push\n", "Dockerfile": "FROM a\nEXPOSE 80\n"}
    folder = projects.write(tmp_path / "shop", mine)
    told = [str(guess) for guess in create(folder, Wishes()) if "deploy.yml" in guess.what]
    assert workflows(folder)["deploy"] == "on: push\n"
    assert sorted(workflows(folder)) == list(OF_A_PROJECT)
    assert "left as it is (it is there already)" in told[0]


def test_in_a_folder_of_a_larger_repository_there_are_none_and_it_is_told(tmp_path: Path):
    (tmp_path / ".git").mkdir()
    told = "\n".join(map(str, create(projects.go_service(tmp_path / "shop"), Wishes())))
    assert not (tmp_path / "shop" / ".github").exists()
    assert f"workflows: not written (GitHub reads those in {tmp_path} only)" in told


def test_workflows_of_a_later_version_replace_edited_ones_only_if_asked_to(shop: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(new, "ROOT", shop)
    (shop / github.WORKFLOWS / "drift.yml").write_text("edited\n")
    (shop / github.WORKFLOWS / "pr-env.yml").unlink()
    assert new.add_workflows(replace=False)[0] == "wrote .github/workflows/pr-env.yml"
    assert workflows(shop)["drift"] == "edited\n"
    assert new.add_workflows(replace=True) == ["wrote .github/workflows/drift.yml"]
    assert new.add_workflows(replace=True) == []
    assert workflows(shop)["drift"] == workflows(REPOSITORY)["drift"]


def steps_of_action(folder: Path) -> list[dict[str, Any]]:
    return yaml.safe_load((folder / github.ACTION).read_text())["runs"]["steps"]

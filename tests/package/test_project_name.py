"""The name in Pulumi.yaml separates two projects: they can have a stack of the same name on one cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway import project
from slipway.settings import source_files
from tests.conftest import Declare
from tests.package import projects

DECLARE = """\
import json, sys
from slipway.ops.program.recorder import declare
print(json.dumps({s: [[r.urn, r.name, r.inputs] for r in declare(s).resources] for s in ("dev", "prod")}))
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the same stacks declare in a project named shop: URN, logical name and inputs of each resource."""
    folder = projects.renamed(tmp_path_factory.mktemp("projects") / "shop", "shop")
    done = projects.run(folder, "-c", DECLARE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def shop_folder(tmp_path: Path) -> Path:
    """A project named shop."""
    return projects.renamed(tmp_path / "shop", "shop")


def test_every_urn_and_every_instance_label_has_the_name_of_the_project(shop: dict[str, Any], program: Declare):
    assert {urn.split("::")[1] for urn, _, _ in shop["dev"]} == {"shop"}
    assert {r.urn.split("::")[1] for r in program("dev").resources} == {"slipway"}
    labels = [inputs["metadata"]["labels"] for _, _, inputs in shop["dev"] if "metadata" in inputs]
    assert {found["app.kubernetes.io/instance"] for found in labels} == {"shop-dev"}
    assert {found["app.kubernetes.io/part-of"] for found in labels} == {"shop"}


def test_nothing_else_depends_on_the_name_of_the_project(shop: dict[str, Any], program: Declare):
    theirs = json.dumps({urn.split("::", 2)[2]: inputs for urn, _, inputs in shop["dev"]})
    ours = json.dumps({r.urn.split("::", 2)[2]: r.inputs for r in program("dev").resources})
    instance, part_of = "app.kubernetes.io/instance", "app.kubernetes.io/part-of"
    for label in (f'"{instance}": "{{}}-dev"', f'"{part_of}": "{{}}"'):
        theirs = theirs.replace(label.format("shop"), label.format("slipway"))
    # The name of a Job is a hash of its pod's template, and the labels are in it.
    theirs, ours = (re.sub(r"(api-migration)-[0-9a-f]{8}", r"\1-*", text) for text in (theirs, ours))
    assert json.loads(theirs) == json.loads(ours)


def test_an_image_is_promoted_from_a_stack_of_the_same_project(shop: dict[str, Any]):
    assert "organization/shop/staging" in {name for _, name, _ in shop["prod"]}


@pytest.mark.parametrize(
    ("name", "typed"), [("slipway", "signing-key"), ("shop", "slipway:signing-key")], ids=["this project", "another"]
)
def test_a_secret_is_set_under_the_namespace_of_slipway(name: str, typed: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(project, "PROJECT", name)
    assert project.config_key("signing-key") == typed


def test_a_key_without_a_namespace_is_one_of_the_project_itself(tmp_path: Path):
    folder = projects.renamed(tmp_path / "shop", "shop")
    file = folder / "stacks" / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace("  slipway:namespace:", "  namespace:"))
    done = projects.slipway(folder, "render", "-s", "dev")
    assert 'namespace: unknown key; did you mean "slipway:namespace"?' in done.stderr
    assert source_files.read_files("dev")[0].errors == []


def test_a_name_that_makes_no_label_is_refused_before_anything_changes(tmp_path: Path):
    folder = projects.renamed(tmp_path / "shop", "s" * 61)
    done = projects.slipway(folder, "render", "-s", "dev")
    assert done.returncode == 1
    assert f"{'s' * 61}-dev should be the value of a label" in done.stderr
    assert "Shorten `name` in Pulumi.yaml" in done.stderr


def test_outside_of_a_project_the_message_says_how_to_make_one(tmp_path: Path):
    elsewhere = projects.run(
        tmp_path, "-c", "from slipway import project; project.ROOT = project.Path.cwd()\n" + STACKS
    )
    assert elsewhere.stderr.strip().endswith("Fix: cd to your project, or make one with `slipway init`")


STACKS = "from slipway.ops.program import recorder; recorder.stacks()"


def test_a_relative_root_is_that_of_the_project_in_each_of_its_folders(shop_folder: Path):
    """The engine runs the program in infra/, with the variables of the shell."""
    code = "from slipway import project; print(project.ROOT, project.PROJECT)"
    folder = shop_folder / "infra"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(project.IMPORTED_FROM), "SLIPWAY_PROJECT": "."}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == f"{shop_folder} shop\n"

"""`slipway new` adds a service or a stack as text: comments stay, and a file that is refused is put back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slipway.ops.project import new
from slipway.ops.project.init import ProjectError, Wishes, create
from tests.package import projects

FILE = """\
config:
  slipway:services: # all of them
    api:
      needs: [] # none
    # the last one

  slipway:namespace: shop
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with one service."""
    folder = projects.go_service(tmp_path / "shop")
    create(folder, Wishes())
    return folder


@pytest.mark.feature("L2")
def test_a_new_service_is_in_every_stack_and_comments_stay(shop: Path):
    projects.go_service(shop / "services" / "prices")
    defaults = shop / "stacks" / "defaults.yaml"
    defaults.write_text(defaults.read_text().replace("config:\n", "config: # mine\n"))
    done = projects.slipway(shop, "new", "service", "prices")
    assert done.returncode == 0, done.stderr
    assert "prices: readiness: GET /healthz (main.go:6)" in done.stderr
    assert "config: # mine\n" in defaults.read_text()
    local = yaml.safe_load((shop / "stacks" / "Pulumi.local.yaml").read_text())["config"]["slipway:images"]
    assert local["prices"] == {"repository": "localhost:5000/prices", "builder": "daemonless", "package": "."}
    prod = projects.slipway(shop, "render", "-s", "prod")
    assert prod.stdout.count("\nkind: Deployment\n") == 2
    checked = projects.slipway(shop, "check")
    assert checked.returncode == 0, checked.stderr


def test_a_new_stack_has_its_own_names_and_the_tier_of_the_one_it_is_copied_from(shop: Path):
    done = projects.slipway(shop, "new", "stack", "qa", "--like", "prod")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((shop / "stacks" / "Pulumi.qa.yaml").read_text())["config"]
    assert config["slipway:namespace"] == "shop-qa"
    assert config["slipway:cluster"] == {"context": "qa"}
    assert config["slipway:tier"] == "prod"
    assert projects.slipway(shop, "check", "-s", "qa").returncode == 0


def test_a_service_that_is_there_and_a_stack_that_is_not_are_refused(shop: Path):
    assert "has a service shop already" in projects.slipway(shop, "new", "service", "shop").stderr
    assert "there is no stack test to copy" in projects.slipway(shop, "new", "stack", "qa", "--like", "test").stderr
    assert "there is no folder web/ or services/web/" in projects.slipway(shop, "new", "service", "web").stderr


def test_files_are_put_back_if_the_program_refuses_them(shop: Path):
    before = (shop / "stacks" / "defaults.yaml").read_text()
    projects.go_service(shop / "services" / "mysql")  # the name of a store
    done = projects.slipway(shop, "new", "service", "mysql")
    assert "is the name of a store" in done.stderr
    assert (shop / "stacks" / "defaults.yaml").read_text() == before


def test_an_entry_is_added_after_the_last_one_of_its_section():
    added = new.added(FILE, "slipway:services", "    web: {}\n")
    assert added.index("# the last one") < added.index("web: {}") < added.index("slipway:namespace")
    assert yaml.safe_load(added)["config"]["slipway:services"] == {"api": {"needs": []}, "web": {}}


def test_a_section_that_is_missing_is_made():
    assert yaml.safe_load(new.added(FILE, "slipway:images", "    web: {}\n"))["config"]["slipway:images"] == {"web": {}}


def test_a_section_on_one_line_is_not_touched_and_the_entry_is_shown():
    with pytest.raises(ProjectError, match=r"not a mapping over several lines; add this to it:\n    web: \{\}"):
        new.added("config:\n  slipway:services: {api: {}}\n", "slipway:services", "    web: {}\n")


def test_encrypted_values_are_not_copied_to_another_stack(monkeypatch: pytest.MonkeyPatch):
    text = (
        "encryptionsalt: v1:abc\nconfig:\n  slipway:signing-key: {secure: v1:x}\n  slipway:db-password:\n"
        "    secure: v1:y\n  slipway:tier: dev\n  slipway:namespace: shop-dev\n"
    )
    copied = new._copied(text, "dev", "qa")  # pyright: ignore[reportPrivateUsage]
    assert copied == "config:\n  slipway:tier: dev\n  slipway:namespace: shop-qa\n"

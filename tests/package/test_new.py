"""`slipway new` adds a service or a stack as text: comments stay, and a file that is refused is put back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slipway.ops.project import new
from slipway.ops.project.answers import Wishes
from slipway.ops.project.errors import ProjectError
from slipway.ops.project.init import create
from slipway.ops.project.stack_copy import copied
from tests.package import projects

FILE = """\
config:
  slipway:services: # all of them
    api:
      needs: [] # none
    # the last one

  slipway:namespace: shop
"""


def services(folder: Path, stack: str) -> dict[str, object]:
    return yaml.safe_load((folder / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]["slipway:services"]


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
    assert "to call it: `needs: [prices]` in the caller" in done.stderr
    assert "services/prices" in (shop / ".dockerignore").read_text().splitlines()  # shop is built from the root
    assert "config: # mine\n" in defaults.read_text()
    local = yaml.safe_load((shop / "stacks" / "Pulumi.local.yaml").read_text())["config"]["slipway:images"]
    assert local["prices"] == {"repository": "localhost:5000/prices", "builder": "daemonless", "package": "."}
    prod = projects.slipway(shop, "render", "-s", "prod")
    assert prod.stdout.count("\nkind: Deployment\n") == 2
    sizes = {stack: services(shop, stack).get("prices") for stack in ("local", "dev", "prod")}
    small = {"autoscaling": {"min": 1, "max": 2}}
    assert sizes == {"local": small, "dev": small, "prod": None}
    checked = projects.slipway(shop, "check")
    assert checked.returncode == 0, checked.stderr


def test_a_new_stack_has_its_own_names_and_the_tier_of_the_one_it_is_copied_from(shop: Path):
    done = projects.slipway(shop, "new", "stack", "qa", "--like", "prod")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((shop / "stacks" / "Pulumi.qa.yaml").read_text())["config"]
    assert config["slipway:namespace"] == "shop-qa"
    assert config["slipway:cluster"]["context"] == "qa"
    assert "`pulumi config set --secret slipway:NAME -s qa`" in done.stderr
    assert config["slipway:tier"] == "prod"
    assert projects.slipway(shop, "check", "-s", "qa").returncode == 0


def test_a_second_program_of_an_image_is_a_worker_without_an_address(shop: Path):
    done = projects.slipway(shop, "new", "service", "mailer", "--image", "shop", "--worker")
    assert done.returncode == 0, done.stderr
    assert "services.mailer.command in stacks/defaults.yaml" in done.stderr
    assert "address" not in done.stderr
    rendered = projects.slipway(shop, "render", "-s", "dev").stdout
    of_pods = [o for o in yaml.safe_load_all(rendered) if o["kind"] == "Deployment"]
    assert len({o["spec"]["template"]["spec"]["containers"][0]["image"] for o in of_pods}) == 1
    assert len(of_pods) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["prices", "--health", "ready"], "--health ready: should be a path"),
        (["prices", "--worker"], "--worker goes with --image"),
        (["mailer", "--image", "shp"], "Or name one of slipway:images: shop"),
    ],
    ids=["health", "worker", "image"],
)
def test_wrong_options_of_a_new_service_are_refused(shop: Path, options: list[str], message: str):
    projects.go_service(shop / "prices")
    before = (shop / "stacks" / "defaults.yaml").read_text()
    assert message in projects.slipway(shop, "new", "service", *options).stderr
    assert (shop / "stacks" / "defaults.yaml").read_text() == before


def test_what_is_refused_in_one_stack_is_told_without_the_stacks_that_have_no_problem(shop: Path):
    file = shop / "stacks" / "Pulumi.prod.yaml"
    file.write_text(file.read_text().replace("min: 2", "min: 1"))
    projects.go_service(shop / "prices")
    first, *others = projects.slipway(shop, "new", "service", "prices").stderr.splitlines()
    assert first == "error: what these options give is refused; nothing was kept:"
    assert others
    assert [line for line in others if "prod needs at least 2 replicas" not in line] == []


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
    text, _ = copied(text, "dev", "qa")
    assert text == "config:\n  slipway:tier: dev\n  slipway:namespace: shop-qa\n"


PROD = """\
config:
  slipway:tier: prod
  slipway:namespace: shop
  slipway:mysql: {source: managed, host: db.example.com}
  slipway:services:
    shop:
      ingress: {host: shop.example.com, hosts: [example.com, www.prod.example.com]}
      env: {SELF: "https://shop.example.com/"}
"""


def test_no_address_is_that_of_the_stack_it_is_copied_from():
    text, guesses = copied(PROD, "prod", "prod-eu")
    shop = yaml.safe_load(text)["config"]["slipway:services"]["shop"]
    assert shop["ingress"] == {
        "host": "shop.prod-eu.example.com",
        "hosts": ["prod-eu.example.com", "www.prod-eu.example.com"],
    }
    assert shop["env"] == {"SELF": "https://shop.prod-eu.example.com/"}
    told = "\n".join(map(str, guesses))
    assert "host: shop.prod-eu.example.com (shop.example.com is that of prod); to change it: stacks/" in told


def test_what_two_stacks_would_share_is_told():
    told = "\n".join(map(str, copied(PROD, "prod", "prod-eu")[1]))
    assert "slipway:mysql.host: db.example.com (the same as in prod)" in told
    assert "slipway:namespace: shop (the same as in prod)" in told

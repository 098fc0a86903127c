"""`./slipway env delete` and `list`: nothing is left of an environment, and no other stack is touched."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from slipway import __main__ as slipway
from slipway.ops.environments import create, delete, sleep
from slipway.ops.environments.errors import EnvError
from slipway.ops.releases import destroy
from tests.environments.conftest import World


def hours_ago(hours: float) -> str:
    return f"{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def env(*arguments: str) -> Result:
    return CliRunner().invoke(slipway.app, ["env", *arguments])


@pytest.fixture
def made(world: World) -> World:
    """A world in which this clone has made pr-123 of dev."""
    assert create.command("pr-123", "dev", "") == 0
    world.commands.clear()
    world.engine.calls.clear()
    return world


def left(root: Path) -> list[str]:
    """Return the files that name the environment."""
    return [str(path) for path in root.rglob("*pr-123*")]


@pytest.mark.feature("J5", part="teardown")
def test_nothing_of_an_environment_is_left(made: World, capsys: pytest.CaptureFixture[str]):
    folder = made.root / ".slipway" / "environments" / "pr-123"
    folder.mkdir(parents=True)
    delete.command("pr-123")
    assert made.commands == ["destroy pr-123"]
    assert "stack rm pr-123 --yes --remove-backups" in made.engine.calls
    assert made.engine.known["dev"]["current"]
    assert (made.engine.known.keys(), made.engine.tags, left(made.root)) == ({"dev"}, {}, [])
    report = capsys.readouterr().err
    assert "pr-123: namespace slipway-pr-123 is gone" in report
    assert "pr-123: the stack is gone, .slipway/environments/pr-123 too" in report


def test_deleting_it_again_does_nothing(made: World, capsys: pytest.CaptureFixture[str]):
    delete.command("pr-123")
    made.commands.clear()
    capsys.readouterr()
    delete.command("pr-123")
    assert made.commands == []
    assert capsys.readouterr().err == "pr-123: there is no such environment, and nothing of it is left\n"


@pytest.mark.feature("J5", part="teardown")
def test_another_clone_deletes_it_after_the_file_of_the_base(made: World):
    """The settings of the last update may need a program that the clone of a closed pull request does not have."""
    made.engine.last_update["pr-123"] = "config:\n  slipway:keyOfThePullRequest: 1\n"
    (made.root / "stacks" / "Pulumi.pr-123.yaml").unlink()
    delete.command("pr-123")
    assert (made.commands, left(made.root)) == (["destroy pr-123"], [])


def test_an_environment_whose_first_update_never_began_is_deleted_without_the_engines_destroy(world: World):
    world.engine.made("pr-123", "dev@2026-11-30T17:00:00Z")
    world.engine.known["pr-123"]["resourceCount"] = 0
    delete.command("pr-123")
    assert (world.commands, world.engine.tags) == ([], {})


@pytest.mark.feature("J5", part="what is refused")
@pytest.mark.parametrize("stack", ["dev", "local"])
def test_a_stack_that_env_create_has_not_made_is_refused(world: World, stack: str):
    with pytest.raises(EnvError, match=r"was not made by `./slipway env create`, so it is left alone"):
        delete.command(stack)
    assert world.commands == []
    assert (world.root / "stacks" / f"Pulumi.{stack}.yaml").exists()


@pytest.mark.feature("J5", part="what is refused")
@pytest.mark.parametrize("name", ["", ".", "..", "../..", "../defaults", "environments/../..", "prod", "-a", "a/b"])
def test_a_name_that_no_environment_has_reaches_no_file(world: World, name: str):
    (world.root / ".slipway" / "environments" / "pr-7").mkdir(parents=True)
    (world.root / "stacks" / "Pulumi.prod.yaml").unlink()
    before = sorted(world.root.rglob("*"))
    with pytest.raises(EnvError):
        delete.command(name)
    assert sorted(world.root.rglob("*")) == before
    assert world.engine.calls == []


def test_what_the_engine_cannot_delete_keeps_the_stack_so_that_it_can_be_tried_again(
    made: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(destroy, "command", lambda *_, **__: 255)
    with pytest.raises(EnvError, match=r"not everything was deleted; see above. .* ./slipway env delete pr-123"):
        delete.command("pr-123")
    assert made.engine.tags


def test_a_namespace_that_stays_keeps_the_stack_and_is_named(made: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(destroy, "command", lambda *_, **__: 0)
    monkeypatch.setattr(delete, "NAMESPACE_SECONDS", 0)
    with pytest.raises(EnvError, match="namespace slipway-pr-123 is still there after 0 s"):
        delete.command("pr-123")
    assert made.engine.tags


@pytest.mark.feature("J5", part="teardown")
def test_environments_without_a_change_for_a_time_are_deleted_and_no_others(world: World):
    world.engine.made("pr-1", f"dev@{hours_ago(100)}", hours_ago(73))
    world.engine.made("pr-2", f"dev@{hours_ago(100)}", hours_ago(71))
    world.engine.made("pr-3", f"dev@{hours_ago(74)}")
    world.engine.made("pr-4", f"dev@{hours_ago(100)}", hours_ago(90))
    world.engine.known["pr-4"]["updateInProgress"] = True
    assert env("delete", "--idle", "72h").exit_code == 0
    assert world.commands == ["destroy pr-1", "destroy pr-3"]
    assert world.engine.known.keys() == {"dev", "pr-2", "pr-4"}


def test_one_that_cannot_be_deleted_does_not_keep_the_others(world: World, capsys: pytest.CaptureFixture[str]):
    world.engine.made("pr-1", f"gone@{hours_ago(100)}")
    world.engine.made("pr-2", f"dev@{hours_ago(99)}")
    assert delete.idle(3600) == 1
    assert world.commands == ["destroy pr-2"]
    assert "error: there is no stacks/Pulumi.gone.yaml" in capsys.readouterr().err


def test_an_environment_whose_base_has_got_a_managed_store_since_is_deleted(made: World):
    base = made.root / "stacks" / "Pulumi.dev.yaml"
    base.write_text(
        (made.root / "stacks" / "Pulumi.staging.yaml").read_text().replace("slipway-staging", "slipway-dev")
    )
    [row] = json.loads(env("list", "--json").stdout)
    assert "problem" not in row
    delete.command("pr-123")
    assert (made.commands, left(made.root)) == (["destroy pr-123"], [])


def test_a_base_with_an_error_in_its_file_keeps_its_environments_and_no_others(
    world: World, capsys: pytest.CaptureFixture[str]
):
    (world.root / "stacks" / "Pulumi.qa.yaml").write_text("config: {slipway:tier: dev, slipway:servces: {}}\n")
    world.engine.made("pr-1", f"qa@{hours_ago(100)}")
    world.engine.made("pr-2", f"dev@{hours_ago(99)}")
    assert delete.idle(3600) == 1
    assert world.commands == ["destroy pr-2"]
    assert "error: stacks/Pulumi.qa.yaml" in capsys.readouterr().err


BROKEN_TAG = "error: stack pr-1 has a tag slipway:environment with the value 'dev', which `./slipway env create` has"


def test_a_tag_that_somebody_has_set_by_hand_is_reported_and_hides_no_other_environment(made: World):
    made.engine.made("pr-1", "dev")
    listed = env("list", "--json")
    assert listed.exit_code == 1
    assert [row["name"] for row in json.loads(listed.stdout)] == ["pr-123"]
    assert listed.stderr.startswith(BROKEN_TAG)


def test_a_tag_that_somebody_has_set_by_hand_keeps_its_stack_and_no_other(world: World):
    world.engine.made("pr-1", "dev")
    world.engine.made("pr-2", f"dev@{hours_ago(99)}")
    deleted = env("delete", "--idle", "72h")
    assert deleted.exit_code == 1
    assert deleted.stderr.startswith(BROKEN_TAG)
    assert world.engine.known.keys() == {"dev", "pr-1"}


@pytest.mark.parametrize("given", [[], ["pr-1", "--idle", "72h"], ["--idle", "soon"]])
def test_delete_takes_a_name_or_a_time(world: World, given: list[str]):
    assert env("delete", *given).exit_code == 2
    assert world.engine.calls == []


@pytest.mark.feature("J5", part="the list")
def test_the_list_says_how_old_each_is_whether_it_sleeps_and_where_it_answers(made: World):
    made.engine.made("pr-124", f"gone@{hours_ago(50)}", hours_ago(3))
    sleep.sleep(create.opened("pr-123"))
    lines = env("list").stdout.splitlines()
    assert lines[0].split() == ["environment", "like", "age", "changed", "state", "url"]
    assert lines[1].split()[:5] == ["pr-124", "gone", "2d", "3h", "ago"]
    assert "unknown: there is no stacks/Pulumi.gone.yaml" in lines[1]
    assert lines[2].startswith("pr-123")
    assert "asleep since" in lines[2]
    assert lines[2].endswith("https://pr-123-api.dev.example.com")


def test_the_list_for_programs(made: World):
    [row] = json.loads(env("list", "--json").stdout)
    assert (row["name"], row["base"], row["asleep"]) == ("pr-123", "dev", None)
    assert row["url"] == "https://pr-123-api.dev.example.com"
    assert row["created"] == row["changed"]


def test_without_an_environment_the_list_says_so(world: World):
    assert env("list").stdout == "there is no environment\n"
    assert env("list", "--json").stdout == "[]\n"

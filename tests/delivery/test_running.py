"""`./slipway history --all`: each stack with what it runs, and those that cannot be read as unknown."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from slipway import __main__ as slipway
from slipway.ops.delivery import running
from tests.delivery.conftest import NEW, OLD, World, state_of


@pytest.fixture
def answer(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> World:
    monkeypatch.setattr(running, "stacks", lambda: ["local", "dev", "staging", "prod"])
    world.change("local", {})
    world.runs("local", "aaaa2222", NEW)
    world.states["local"] = state_of("local", None)
    world.clusters["prod"].is_down = True
    return world


@pytest.mark.feature("J2", part="what runs where, since when, from which commit, by whom")
def test_every_stack_is_shown_with_its_release_or_with_why_it_is_not_known(
    answer: World, capsys: pytest.CaptureFixture[str]
):
    running.command(as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert [(row["stack"], row["revision"], row["images"]["api"]) for row in shown["stacks"]] == [
        ("dev", "dddd2222", NEW),
        ("staging", "eeee1111", OLD),
    ]
    [dev, staging] = shown["stacks"]
    assert (dev["since"], dev["by"], dev["commit"]) == ("2026-11-30T08:59:00+00:00", "Jane Doe", "72015a6e")
    assert staging["imageCommit"] == "1a1a1a1a"
    reasons = {row["stack"]: row["reason"] for row in shown["unknown"]}
    assert reasons["local"] == "no release is recorded"
    assert "does not answer" in reasons["prod"]
    assert reasons.keys() == {"local", "prod"}


def test_the_table_names_both_commits_where_they_differ(answer: World, capsys: pytest.CaptureFixture[str]):
    running.command(as_json=False)
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "72015a6e (images 1a1a1a1a)" in lines["staging"]
    assert "2026-11-30 08:59:00" in lines["dev"]
    assert "unknown" in lines["prod"]


@pytest.mark.parametrize("typed", [[], ["--all", "-s", "dev"], ["--all", "--figures"]])
def test_a_stack_or_all_of_them_have_to_be_named(typed: list[str]):
    done = CliRunner().invoke(slipway.app, ["history", *typed])
    assert done.exit_code == 2
    assert "name a stack" in done.output

"""`./slipway promote`: what moves, what is refused and with which reason, and what the update gets.

The engine and the clusters are tables (conftest.py), and the update itself is only noted.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from slipway import __main__ as slipway
from slipway.image.promotion import Promotion
from slipway.ops.delivery import promote
from slipway.ops.delivery.plan import PromotionError
from slipway.ops.errors import UserError
from slipway.ops.monitoring import gate, prometheus
from slipway.ops.monitoring.gate import BudgetBurntError
from slipway.ops.monitoring.prometheus import PrometheusError
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import EngineError, State, UnknownToEngineError
from slipway.ops.releases import up
from slipway.ops.releases.trials import first_request
from slipway.settings.tiers import TIERS
from tests.delivery.conftest import NEW, OLD, RAN, World, record, state_of
from tests.ops.monitoring.fake_prometheus import MONITORED

Updates = list[tuple[str, dict[str, Any]]]
ALWAYS = {"lastDay": "2999-12-31", "reason": "the year is over"}


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> Updates:
    """The updates that were started: the stack, and what `up` was called with."""
    started: Updates = []

    def update(stack: str, **options: Any) -> int:
        started.append((stack, options))
        return 0

    monkeypatch.setattr(up, "command", update)
    return started


def states(output: str) -> dict[str, str]:
    return {row["item"]: row["state"] for row in json.loads(output)["evidence"]}


def whys(output: str) -> dict[str, str]:
    return {row["item"]: row["why"] for row in json.loads(output)["evidence"]}


@pytest.mark.feature("J2", part="one set of digests moves, the one the recorded release of the source runs")
def test_a_promotion_updates_the_target_with_the_images_that_were_examined(world: World, updates: Updates):
    assert promote.command("dev", "staging", preview=False, yes=True) == 0
    [(stack, options)] = updates
    assert stack == "staging"
    assert options["promotion"] == Promotion("dev", {"api": NEW}, "72015a6e")
    assert (options["rolls_back"], options["yes"], options["override"], options["overrides"]) == (True, True, "", {})


def test_a_promoted_image_keeps_the_commit_it_was_built_from(world: World, updates: Updates):
    world.runs("staging", "eeee2222", NEW, {**RAN, "slipway/commit": "later000", "slipway/image-commit": "72015a6e"})
    overrides = {"rehearsal": "the release before is gone"}
    assert promote.command("staging", "prod", preview=False, yes=True, overrides=overrides) == 0
    assert updates[0][1]["promotion"].commit == "72015a6e"


def test_a_preview_prints_what_moves_and_each_piece_of_evidence_and_changes_nothing(
    world: World, updates: Updates, capsys: pytest.CaptureFixture[str]
):
    assert promote.command("dev", "staging", preview=True, yes=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "dev -> staging: release dddd2222",
        "  api: src-1 sha256:111111111111 -> src-2 sha256:222222222222",
    ]
    shown = {line.split()[0]: line.strip().split(maxsplit=2) for line in lines[3:]}
    assert shown["digest"][1:] == ["passed", "release dddd2222 of dev runs them, since 2026-11-30T08:59:00+00:00"]
    assert shown["first-request"][1:] == ["passed", "answered in dev at 2026-11-30T09:00:00+00:00"]
    assert shown["freeze"][1:] == ["passed", "no freeze window holds now"]
    assert updates == []


def test_images_that_run_there_already_are_not_promoted_again(
    world: World, updates: Updates, capsys: pytest.CaptureFixture[str]
):
    world.runs("staging", "eeee2222", NEW)
    assert promote.command("dev", "staging", preview=False, yes=True) == 0
    assert "staging: nothing to promote: it runs the images of dev already" in capsys.readouterr().err
    assert updates == []


def test_a_stack_that_was_never_updated_gets_its_first_release(world: World, updates: Updates):
    del world.states["staging"]
    assert promote.command("dev", "staging", preview=False, yes=True) == 0
    assert updates[0][1]["promotion"].images == {"api": NEW}


def test_a_target_whose_state_cannot_be_read_does_not_count_as_new(
    world: World, updates: Updates, monkeypatch: pytest.MonkeyPatch
):
    def export(stack: str) -> State:
        if stack == "staging":
            raise EngineError("`pulumi stack export`: could not read the bucket")
        return world.states[stack]

    monkeypatch.setattr(engine_state, "export", export)
    with pytest.raises(EngineError, match="could not read the bucket"):
        promote.command("dev", "staging", preview=False, yes=True)
    assert updates == []


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("error: no stack named 'prod' found", UnknownToEngineError),
        ("warning: an SDK\nerror: could not list buckets: no stack named so", EngineError),
    ],
)
def test_only_the_words_of_the_engine_say_that_it_has_no_such_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, error: type[EngineError]
):
    engine = tmp_path / "pulumi"
    engine.write_text(f"#!/bin/sh\nprintf '%s\\n' \"{message}\" >&2\nexit 255\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(EngineError) as refused:
        engine_state.export("prod")
    assert type(refused.value) is error


# The matrix: what is missing, the item that refuses, and words of its reason. Each begins with all evidence at hand.


def deployed_again(world: World, patch: pytest.MonkeyPatch) -> None:
    no_answer(world, patch)
    world.runs("dev", "dddd2222", NEW, {**RAN, "slipway/at": "2026-11-30T12:00:00+00:00"})


def burnt(*_: Any, **__: Any) -> str:
    raise BudgetBurntError("staging: the error budget of api is burnt; nothing was changed.\n  api: -300 %")


def other_outputs(world: World, _: pytest.MonkeyPatch) -> None:
    world.states["dev"] = state_of("dev", record("dddd2222", NEW), exported=OLD)


def no_record(world: World, _: pytest.MonkeyPatch) -> None:
    world.clusters["dev"].objects = {**world.clusters["dev"].objects, "configmaps": []}


def other_record(world: World, _: pytest.MonkeyPatch) -> None:
    world.clusters["dev"].objects = {**world.clusters["dev"].objects, "configmaps": [record("dddd2222", OLD)]}


def other_pods(world: World, _: pytest.MonkeyPatch) -> None:
    deployment = world.clusters["dev"].objects["deployments"][0]
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = OLD


def source_is_down(world: World, _: pytest.MonkeyPatch) -> None:
    world.clusters["dev"].is_down = True


def no_answer(world: World, patch: pytest.MonkeyPatch) -> None:
    world.runs("dev", "dddd2222", NEW)
    patch.setattr(first_request, "send", lambda _: ["api: https://api.dev.example.com/v1/shops answers 503"])


def burnt_budget(_: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gate, "check", burnt)


def unknown_budget(world: World, patch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any) -> Any:
        raise PrometheusError("Prometheus at http://p:9090 does not answer: refused")

    world.change("staging", MONITORED)
    patch.setattr(prometheus, "connect", connect)


def frozen(world: World, _: pytest.MonkeyPatch) -> None:
    world.change("staging", {"freeze": [ALWAYS]})


MATRIX: dict[str, tuple[Callable[[World, pytest.MonkeyPatch], None], str, str]] = {
    "another digest in the outputs": (other_outputs, "digest", "the outputs of dev name src-1 sha256:111111111111"),
    "no record in the cluster": (no_record, "digest", "the cluster of dev has no record of release dddd2222"),
    "another digest in the record": (other_record, "digest", "names other images than the engine's state"),
    "other pods": (other_pods, "digest", "Deployment/api runs src-1 sha256:111111111111, not src-2"),
    "the source does not answer": (source_is_down, "digest", "cannot be read: the API server"),
    "no first request": (no_answer, "first-request", "not answered in dev: api: https://api.dev.example.com"),
    "an answer before it was deployed again": (deployed_again, "first-request", "not answered in dev: api: https://"),
    "a burnt budget": (burnt_budget, "budget", "the error budget of api is burnt"),
    "a budget that cannot be read": (unknown_budget, "budget", "cannot be read: Prometheus at http://p:9090 does not"),
    "a freeze window": (frozen, "freeze", "frozen: the year is over, until "),
}


@pytest.mark.feature("J2", part="each missing piece of evidence refuses with its reason")
@pytest.mark.parametrize("missing", MATRIX)
def test_each_missing_piece_of_evidence_refuses_with_its_reason(
    world: World, updates: Updates, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
):
    remove, item, words = MATRIX[missing]
    remove(world, monkeypatch)
    assert promote.command("dev", "staging", preview=False, yes=True, as_json=True) == 2
    shown = capsys.readouterr()
    assert states(shown.out)[item] == "refused"
    assert words in whys(shown.out)[item]
    assert f"staging: not promoted, nothing was changed. Evidence that is missing: {item}" in shown.err
    assert updates == []


@pytest.mark.feature("J2", part="all evidence there passes")
def test_with_all_evidence_every_item_that_is_demanded_passes(world: World, capsys: pytest.CaptureFixture[str]):
    assert promote.command("dev", "staging", preview=True, yes=True, as_json=True) == 0
    assert set(states(capsys.readouterr().out).values()) <= {"passed", "not demanded"}


def test_the_engine_does_not_print_into_the_json(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def update(*_: Any, **__: Any) -> int:
        return subprocess.run(["echo", "Updating (staging)"], check=True).returncode

    monkeypatch.setattr(up, "command", update)
    assert promote.command("dev", "staging", preview=False, yes=True, as_json=True) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out)["passes"] is True
    assert "Updating (staging)" in shown.err


def test_a_target_that_somebody_updates_meanwhile_is_left_alone(
    world: World, updates: Updates, monkeypatch: pytest.MonkeyPatch
):
    def answered(_: Any) -> list[str]:
        former = world.clusters["staging"]
        world.runs("staging", "eeee9999", OLD)
        world.clusters["staging"] = former
        return []

    world.runs("dev", "dddd2222", NEW)
    monkeypatch.setattr(first_request, "send", answered)
    with pytest.raises(PromotionError, match="staging was updated by somebody else while its evidence was examined"):
        promote.command("dev", "staging", preview=False, yes=True)
    assert updates == []


def test_what_the_tier_does_not_demand_is_shown_as_such(
    world: World, updates: Updates, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    no_answer(world, monkeypatch)
    world.settings["staging"] = world.settings["staging"].model_copy(update={"tier": "dev"})
    assert promote.command("dev", "staging", preview=False, yes=True, as_json=True) == 0
    found = states(capsys.readouterr().out)
    assert {item for item, state in found.items() if state == "passed"} == {"digest", "budget", "freeze"}
    assert found["first-request"] == found["migration"] == found["rehearsal"] == "not demanded"
    assert len(updates) == 1


def test_every_item_that_a_tier_demands_is_on_the_checklist():
    names = {item.name for item in promote.CHECKLIST}
    assert {name for tier in TIERS.values() for name in tier.promotion} <= names


# Overrides


@pytest.mark.feature("P3", part="an override is passed on to the release and to the history")
def test_an_override_lets_one_item_pass_and_its_reason_goes_on_to_the_release(
    world: World, updates: Updates, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    frozen(world, monkeypatch)
    burnt_budget(world, monkeypatch)
    given = ["promote", "dev", "staging", "--yes", "--override", "freeze=ticket 17", "--override", "budget=the fix"]
    assert CliRunner().invoke(slipway.app, given).exit_code == 0
    [(_, options)] = updates
    assert (options["override"], options["overrides"]) == ("the fix", {"freeze": "ticket 17"})


def test_an_override_that_was_not_needed_is_not_recorded(world: World, updates: Updates):
    promote.command("dev", "staging", preview=False, yes=True, overrides={"freeze": "ticket 17"})
    assert updates[0][1]["overrides"] == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("digest=trust me", "--override digest: cannot be overridden. What can be: first-request, "),
        ("nothing=ticket 17", "--override nothing: cannot be overridden"),
        ("freeze", "--override freeze: say why"),
        ("freeze= ", "--override freeze: say why"),
    ],
)
def test_the_digest_and_what_is_no_item_cannot_be_overridden(world: World, updates: Updates, given: str, message: str):
    with pytest.raises(UserError) as refused:
        promote.command("dev", "staging", preview=False, yes=True, overrides=promote.parse_overrides([given]))
    assert str(refused.value).startswith(message)
    assert updates == []


# What cannot be promoted at all


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("dev", "prod", r"slipway:image: prod does not take this image from dev \(found: from: staging\)"),
        ("staging", "dev", r"slipway:image: dev does not take this image from staging \(found: source: build\)"),
    ],
)
def test_images_move_only_where_the_stack_file_takes_them_from(world: World, source: str, target: str, message: str):
    with pytest.raises(PromotionError, match=message):
        promote.command(source, target, preview=False, yes=True)


def test_a_stack_without_a_recorded_release_has_nothing_to_promote(world: World):
    world.states["dev"] = state_of("dev", None)
    with pytest.raises(PromotionError, match="stack dev has no recorded release; deploy it first"):
        promote.command("dev", "staging", preview=False, yes=True)


@pytest.mark.feature("J2", part="prod plans hold no Image resource")
@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_stack_that_images_are_promoted_to_declares_no_build(program: Any, stack: str):
    types = [resource.type for resource in program(stack).resources]
    assert "pulumi:pulumi:StackReference" in types
    assert [found for found in types if found.startswith("docker:")] == []

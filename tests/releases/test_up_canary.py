"""`./slipway up` with a canary: when the update follows, when the canary is withdrawn, and what is reported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from slipway.ops.cluster.connection import ClusterError
from slipway.ops.releases import canary_plan, canary_watch, up
from slipway.ops.releases.canary_plan import CanaryPlan
from slipway.ops.releases.canary_watch import CanaryVerdict
from tests import api_server
from tests.releases.conftest import RELEASE

SHARE = {"percent": 34, "seconds": 60}
GOOD = CanaryVerdict(True, "api: the canary is good: 812 requests in 60 s")
BAD = CanaryVerdict(False, "api: 8 of 25 answers were errors (5xx), 32 %; the limit is 1 % (errorPercent)")
BESIDE = "up -s dev --yes --config-file CONFIG --message canary of api --event-log LOG"
PLAIN = "up -s dev --yes --event-log LOG"
Tried = Callable[..., list[str]]


@pytest.fixture
def tried(engine: Path, monkeypatch: pytest.MonkeyPatch) -> Tried:
    """`tried(GOOD)`: the engine's commands in an update with that canary; from the call `fails` on it fails.

    The configuration of its first call is kept in `config`.
    """
    keep = 'while [ "$1" != --config-file ] && [ $# -gt 0 ]; do shift; done; [ $# = 0 ] || cp "$2" config\n'
    fail = '[ ! -f fails ] || [ $(wc -l < commands) -lt $(cat fails) ] || { cp events "$LOG"; exit 255; }\n'
    log = "for LOG; do :; done\n"
    (engine / "pulumi").write_text(f'#!/bin/sh\ncd "{engine}"\necho "$*" >> commands\n{log}{keep}{fail}')
    changes = {
        "services.api.autoscaling": {"min": 2, "max": 4},
        "services.api.rollout": "canary",
        "services.api.canary": SHARE,
    }
    settings = api_server.settings("dev", changes)

    def update(
        verdict: CanaryVerdict | BaseException, *, fails: int = 0, yes: bool = True, rolls_back: bool = True
    ) -> list[str]:
        def watch(plan: CanaryPlan, found: Any) -> list[CanaryVerdict]:
            if isinstance(verdict, BaseException):
                raise verdict
            return [verdict]

        plan = CanaryPlan("dev", RELEASE, settings, ["api"], [])
        monkeypatch.setattr(canary_plan, "plan", lambda stack, release: plan if release is RELEASE else None)
        monkeypatch.setattr(canary_watch, "watch", watch)
        monkeypatch.setattr(
            up.connection, "connect", lambda stack, settings: api_server.cluster(api_server.ApiServer())
        )
        if fails:
            (engine / "fails").write_text(str(fails))
        (engine / "code").write_text(str(up.command("dev", yes=yes, rolls_back=rolls_back)))
        lines = (engine / "commands").read_text() if (engine / "commands").exists() else ""
        words = re.sub(r"(--config-file) \S+", r"\1 CONFIG", re.sub(r"(--event-log) \S+", r"\1 LOG", lines))
        return words.splitlines()

    return update


def code(folder: Path) -> int:
    return int((folder / "code").read_text())


def test_a_good_canary_is_promoted_by_the_same_update_as_ever(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(GOOD) == [BESIDE, PLAIN]
    assert code(engine) == 0
    assert not (engine / "rollback").exists()
    report = capsys.readouterr().err
    assert "dev: canary of api, with at most 34 % of the requests, beside release 0a1b2c3d (image src-0)" in report
    assert "dev: api: the canary is good: 812 requests in 60 s" in report


def test_beside_the_release_in_force_the_program_gets_what_is_tried(tried: Tried, engine: Path):
    tried(GOOD)
    config = json.loads((engine / "config").read_text())["config"]
    assert config["slipway:release"]["revision"] == "0a1b2c3d"
    assert config["slipway:image"]["source"] == "prebuilt"
    candidate = config["slipway:candidate"]
    assert (candidate["image"]["source"], candidate["services"]["api"]["canary"]) == ("build", SHARE)


def test_a_bad_canary_is_withdrawn_with_its_measure_and_the_update_is_a_failure(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(BAD) == [BESIDE]
    assert code(engine) == 1
    assert (engine / "rollback").read_text() == "dev 0a1b2c3d dev canary of api withdrawn"
    report = capsys.readouterr().err
    assert f"dev: the canary is withdrawn:\n{BAD.message}\n" in report
    assert "dev: release 0a1b2c3d (image src-0) is in force again. The update failed." in report


def test_with_no_return_a_bad_canary_is_left_with_the_command_to_remove_it(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(BAD, rolls_back=False) == [BESIDE]
    assert (code(engine), (engine / "rollback").exists()) == (1, False)
    assert "left as it is. To roll back: ./slipway rollback 0a1b2c3d -s dev" in capsys.readouterr().err


def test_a_canary_that_does_not_even_start_is_rolled_back_like_any_failed_rollout(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(GOOD, fails=1) == [BESIDE]
    assert code(engine) == 1
    assert (engine / "rollback").read_text().startswith("dev 0a1b2c3d ")
    assert "The rollout failed:\n  Job/api-migration" in capsys.readouterr().err


def test_an_update_that_fails_after_a_good_canary_is_rolled_back_too(tried: Tried, engine: Path):
    assert tried(GOOD, fails=2) == [BESIDE, PLAIN]
    assert code(engine) == 1
    assert (engine / "rollback").read_text() == "dev 0a1b2c3d dev"


def test_a_watch_stopped_by_hand_reports_the_state_and_the_next_command(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(KeyboardInterrupt()) == [BESIDE]
    assert (code(engine), (engine / "rollback").exists()) == (1, False)
    report = capsys.readouterr().err
    assert (
        "stopped: the canary of api, with at most 34 % of the requests, keeps running, and nothing else was changed"
        in report
    )
    assert "./slipway rollback 0a1b2c3d -s dev" in report


def test_a_cluster_that_cannot_be_watched_promotes_nothing(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(ClusterError("no context dev")) == [BESIDE]
    assert (code(engine), (engine / "rollback").exists()) == (1, True)
    assert "the canary is withdrawn:\nit cannot be watched: no context dev" in capsys.readouterr().err


def test_without_yes_it_is_asked_once_for_all_of_it_and_a_no_changes_nothing(
    tried: Tried, engine: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    monkeypatch.setattr(up.typer, "confirm", lambda text, **_: asked.append(text))
    assert tried(GOOD, yes=False) == [BESIDE, PLAIN]
    assert asked == ["Start a canary of api and, if it is good, update stack dev?"]
    (engine / "commands").unlink()

    def no(text: str, **_: Any) -> None:
        raise typer.Abort

    monkeypatch.setattr(up.typer, "confirm", no)
    with pytest.raises(typer.Abort):
        tried(GOOD, yes=False)
    assert not (engine / "commands").exists()

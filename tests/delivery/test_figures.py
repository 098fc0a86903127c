"""The four DORA figures, from updates as the engine remembers them (tests/releases/test_history.py)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.ops.delivery import figures
from slipway.ops.delivery.figures import Deployment, deployments
from slipway.ops.program.engine_history import updates_in
from slipway.releases import Release
from tests.releases.test_history import BACK, FAILED, FIRST, NOTHING, OTHER, PREVIEW, ROLLBACK, canary, update

COMMITTED = datetime(2026, 11, 21, 7, 50, 12, tzinfo=UTC)


def counted(*newest_first: dict[str, Any]) -> dict[str, Any]:
    found = deployments(updates_in(newest_first), [])
    return figures.figures(found, 7, lambda commit: COMMITTED if commit == "de936c72" else None)


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{clock}+00:00")


def test_a_deployment_that_succeeded_counts_and_what_changed_nothing_does_not():
    found = deployments(updates_in([NOTHING, PREVIEW, FIRST]), [])
    assert found == [Deployment(at("08:50:03"), at("08:50:12"), "de936c72-dirty")]


def test_a_failed_rollout_is_restored_by_the_rollback_that_follows():
    [first, failed] = deployments(updates_in([BACK, FAILED, FIRST]), [])
    assert not first.failed
    assert (failed.failed, failed.restored) == (True, at("08:53:18"))


def test_a_failed_rollout_without_a_rollback_is_restored_by_the_next_deployment():
    [failed, _] = deployments(updates_in([OTHER, FAILED]), [])
    assert (failed.failed, failed.restored) == (True, at("09:05:22"))


def test_a_deployment_that_somebody_rolled_back_has_failed():
    [_, rolled_back] = deployments(updates_in([ROLLBACK, OTHER, FIRST]), [])
    assert (rolled_back.failed, rolled_back.restored) == (True, at("09:05:49"))


def test_a_withdrawn_canary_is_a_deployment_that_failed_and_a_good_one_is_part_of_its_update():
    [first, withdrawn] = deployments(updates_in([BACK, canary("08:51:00", "08:51:20"), FIRST]), [])
    assert (first.failed, withdrawn.failed, withdrawn.restored) == (False, True, at("08:53:18"))
    assert len(deployments(updates_in([OTHER, canary("09:04:00", "09:04:20"), FIRST]), [])) == 2


def test_a_rehearsal_is_neither_a_deployment_nor_a_failure():
    there = update("09:10:00", "09:10:09", "succeeded", "rollback to release 1: rehearsal", {"update": 1}, "229815e7")
    back = update(
        "09:11:00", "09:11:09", "succeeded", "rollback to release 2: end of the rehearsal", {"update": 1}, "aee1ac53"
    )
    assert [entry.failed for entry in deployments(updates_in([back, there, OTHER, FIRST]), [])] == [False, False]


@pytest.mark.feature("J2", part="the four DORA figures from the recorded releases")
def test_the_four_figures_are_those_of_their_definitions():
    clean = {**FIRST, "environment": {**FIRST["environment"], "git.dirty": "false"}}
    assert counted(ROLLBACK, OTHER, BACK, FAILED, clean) == {
        "deployments": 3,
        "deploymentsPerWeek": 1.0,
        "leadTimeHours": 1.0,  # from 07:50:12 to 08:50:12
        "failedDeployments": 2,
        "changeFailureRate": 0.667,
        "restoreMinutes": 1.5,  # 08:50:55 to 08:53:18, and 09:05:13 to 09:05:49: their median
        "withoutCommit": 0,
    }


def test_without_a_deployment_there_is_nothing_to_count():
    found = counted()
    assert (found["deployments"], found["changeFailureRate"], found["leadTimeHours"]) == (0, None, None)


def test_promoted_images_count_from_the_commit_they_were_built_from():
    known = Release("aee1ac53", {}, "", commit="72015a6e", image_commit="1a1a1a1a", at="2026-11-21T09:05:20+00:00")
    [found] = deployments(updates_in([OTHER]), [known])
    assert found.commit == "1a1a1a1a"


def test_a_commit_that_nobody_has_is_counted_apart():
    found = counted(OTHER)
    assert (found["leadTimeHours"], found["withoutCommit"]) == (None, 1)
    assert figures.commit_time("0a0a0a0a") is None
    assert figures.commit_time("72015a6e-dirty") is None


def test_without_git_the_commits_are_not_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert figures.commit_time("72015a6e") is None


def test_only_the_deployments_of_the_last_days_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    recent, old = (datetime.now(UTC) - timedelta(days=days) for days in (1, 40))
    entries = [
        {**FIRST, "startTime": f"{begin:%Y-%m-%dT%H:%M:%S}.000Z", "endTime": f"{begin:%Y-%m-%dT%H:%M:%S}.000Z"}
        for begin in (recent, old)
    ]
    monkeypatch.setattr(figures, "recorded", lambda _: [])
    monkeypatch.setattr(figures.engine_history, "updates", lambda _: updates_in(entries))
    figures.command("dev", 7, as_json=False)
    shown = capsys.readouterr().out
    assert "dev, the last 7 days\n  deployment frequency   1 a week\n" in shown
    assert "  change failure rate    0 % (0 of 1)\n  time to restore        none\n" in shown
    assert "  lead time for changes  none; 1 without a known commit\n" in shown

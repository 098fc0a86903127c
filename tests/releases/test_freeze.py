"""Freeze windows with a clock of the test: in and out, until when, who is refused, and what an override leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from slipway import releases
from slipway.image.promotion import VARIABLE, Promotion
from slipway.ops.program import config
from slipway.ops.program.engine_history import updates_in
from slipway.ops.releases import first_request, freeze, up
from slipway.ops.releases.freeze import FrozenError
from slipway.ops.releases.history import join
from slipway.releases import Release
from slipway.settings.sections.stack import FreezeWindow
from tests import api_server
from tests.releases.test_history import FIRST, release, update

REASON = "ticket 17"
NIGHTS = {"reason": "night", "time": "22:00-06:00", "timeZone": "Asia/Tokyo"}
WEEKEND = {"reason": "weekend", "days": ["sat", "sun"], "timeZone": "Asia/Tokyo"}
FRIDAY_NIGHT = {"reason": "friday night", "days": ["fri"], "time": "18:00-06:00", "timeZone": "Asia/Tokyo"}
YEAR_END = {"reason": "year end", "firstDay": "2026-12-24", "lastDay": "2027-01-02", "timeZone": "Asia/Tokyo"}
NOW = datetime(2026, 12, 5, 3, 0, tzinfo=UTC)
"""Saturday, noon in Tokyo."""


def windows(*given: dict[str, Any]) -> list[FreezeWindow]:
    return [FreezeWindow.model_validate(window) for window in given]


def tokyo(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00+09:00")


@pytest.mark.feature("P3", part="freeze windows with a fake clock, in and out")
@pytest.mark.parametrize(
    ("window", "moment", "holds"),
    [
        (NIGHTS, "2026-12-03T21:59", False),
        (NIGHTS, "2026-12-03T22:00", True),
        (NIGHTS, "2026-12-04T05:59", True),
        (NIGHTS, "2026-12-04T06:00", False),
        (WEEKEND, "2026-12-04T23:59", False),
        (WEEKEND, "2026-12-05T00:00", True),
        (WEEKEND, "2026-12-06T23:59", True),
        (WEEKEND, "2026-12-07T00:00", False),
        (FRIDAY_NIGHT, "2026-12-04T17:59", False),
        (FRIDAY_NIGHT, "2026-12-05T05:59", True),
        (FRIDAY_NIGHT, "2026-12-04T05:59", False),
        (FRIDAY_NIGHT, "2026-12-05T18:00", False),
        (YEAR_END, "2026-12-23T23:59", False),
        (YEAR_END, "2026-12-24T00:00", True),
        (YEAR_END, "2027-01-02T23:59", True),
        (YEAR_END, "2027-01-03T00:00", False),
    ],
)
def test_a_window_holds_between_its_times_and_not_a_minute_longer(window: dict[str, Any], moment: str, holds: bool):
    [found] = windows(window)
    assert freeze.holds(found, tokyo(moment).astimezone(UTC)) is holds


@pytest.mark.parametrize(
    ("given", "moment", "end"),
    [
        ([WEEKEND], "2026-12-05T12:00", "2026-12-07T00:00"),
        ([FRIDAY_NIGHT, WEEKEND], "2026-12-04T19:00", "2026-12-07T00:00"),
        ([WEEKEND, NIGHTS], "2026-12-06T12:00", "2026-12-07T06:00"),
        ([YEAR_END], "2026-12-31T12:00", "2027-01-03T00:00"),
    ],
    ids=["one", "one into the other", "they overlap", "dates"],
)
def test_the_end_is_that_of_all_windows_that_follow_without_a_gap(given: list[dict[str, Any]], moment: str, end: str):
    assert freeze.thawed(windows(*given), tokyo(moment)) == tokyo(end)


def test_the_hour_that_a_change_of_the_clocks_leaves_out_ends_a_window_all_the_same():
    [window] = windows({"reason": "night", "time": "01:00-02:30", "timeZone": "Europe/Berlin"})
    inside = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)  # 01:30; at 02:00 it is 03:00
    end = freeze.thawed([window], inside)
    assert end
    assert not freeze.holds(window, end)


def test_windows_that_leave_no_gap_for_a_year_have_no_end_worth_a_date():
    always = windows({"reason": "day", "time": "00:00-24:00"})
    assert freeze.describe(always, NOW) == "day, until further notice"


@pytest.fixture
def frozen(engine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the engine of a stack that is frozen at the weekend, on a Saturday. It notes two variables."""
    script = (engine / "pulumi").read_text()
    noted = f'printf "%s\\n" "${releases.OVERRIDES_VARIABLE}" "${VARIABLE}" > variables\n'
    (engine / "pulumi").write_text(script.replace("echo ", f"{noted}echo ", 1))
    monkeypatch.setattr(config, "settings", lambda _: api_server.settings("dev", {"freeze": [WEEKEND]}))
    monkeypatch.setattr(up, "_without_missing", lambda _, state: state)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOW

    monkeypatch.setattr(freeze, "datetime", Clock)
    return engine


@pytest.mark.feature("P3", part="`up` refuses within a window before anything is started")
def test_an_update_within_a_window_is_refused_before_the_engine_is_started(frozen: Path):
    with pytest.raises(FrozenError) as refused:
        up.command("dev", yes=True, rolls_back=True)
    assert str(refused.value) == (
        "dev: frozen: weekend, until Mon 2026-12-07 00:00 Asia/Tokyo; nothing was changed.\n"
        "A rollback always passes: ./slipway rollback -s dev\n"
        'If it cannot wait: ./slipway up -s dev --override-freeze "REASON", which ./slipway history shows\n'
        "The windows are slipway:freeze in stacks/Pulumi.dev.yaml"
    )
    assert not (frozen / "commands").exists()


@pytest.mark.feature("P3", part="`rollback` passes within a window")
def test_the_rollback_of_an_update_that_failed_is_not_asked_about_the_window(frozen: Path):
    assert up.command("dev", yes=True, rolls_back=True, overrides={"freeze": REASON}) == 1
    assert (frozen / "rollback").read_text() == "dev 0a1b2c3d dev"


def test_a_reason_goes_into_the_message_and_to_the_program_with_the_promotion(frozen: Path):
    promotion = Promotion("dev", {"api": "registry.example.com/api@sha256:" + "1" * 64}, "72015a6e")
    up.command("dev", yes=True, rolls_back=False, overrides={"freeze": REASON, "backup": ""}, promotion=promotion)
    assert "--message promotion from dev · freeze overridden: ticket 17" in (frozen / "commands").read_text()
    overrides, promoted = (frozen / "variables").read_text().splitlines()
    assert json.loads(overrides) == {"freeze": REASON}
    assert json.loads(promoted) == {"source": "dev", "images": dict(promotion.images), "commit": "72015a6e"}


def test_outside_of_its_windows_a_stack_is_updated_and_no_reason_is_recorded(
    frozen: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(config, "settings", lambda _: api_server.settings("dev", {"freeze": [YEAR_END]}))
    up.command("dev", yes=True, rolls_back=False, overrides={"freeze": REASON})
    assert "--override-freeze was not needed: no freeze window holds now" in capsys.readouterr().err
    assert "overridden" not in (frozen / "commands").read_text()
    assert (frozen / "variables").read_text() == "\n\n"


# The record, and the history


def test_the_reasons_and_the_commit_of_the_images_are_annotations_of_the_release(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(releases.OVERRIDES_VARIABLE, json.dumps({"freeze": REASON}))
    monkeypatch.setenv(VARIABLE, Promotion("dev", {}, "72015a6e").variables[VARIABLE])
    annotations: Any = releases._circumstances(api_server.settings())  # pyright: ignore[reportPrivateUsage]
    read = Release.of("release-0a1b2c3d", {"settings.yaml": "{}"}, annotations)
    assert (read.overrides, read.image_commit, read.override) == ({"freeze": REASON}, "72015a6e", "")


@pytest.mark.feature("P3", part="the override stands in `history`, with who and why")
def test_the_history_shows_the_reasons_of_a_release_and_of_an_update_that_failed():
    message = f"promotion from dev · error budget overridden: the fix · freeze overridden: {REASON}"
    failed = update("09:07:13", "09:07:22", "failed", message, {"replace": 1})
    kept = release("229815e7", "08:50:05")
    last, first = join([kept], updates_in([failed, FIRST]), "229815e7")
    assert last.overrides == {"error budget": "the fix", "freeze": REASON}
    assert (last.override, last.message, last.by) == ("the fix", message, "Jane Doe")
    assert (first.overrides, first.override) == ({}, "")


def test_the_history_shows_the_reason_of_a_release_that_the_engine_has_forgotten():
    known = Release("aee1ac53", {}, "", by="Jane Doe", at="2026-11-21T09:05:20+00:00", overrides={"freeze": REASON})
    [row] = join([known], [], "aee1ac53")
    assert (row.by, row.message) == ("Jane Doe", "freeze overridden: ticket 17")
    assert row.data()["overrides"] == {"freeze": REASON}


def test_freeze_windows_are_those_of_today_and_no_part_of_a_release():
    recorded = releases.content(api_server.settings("dev", {"freeze": [WEEKEND], "promotion": {"backupHours": 1}}))
    assert {"freeze", "promotion"} & recorded.keys() == set()


def test_after_an_update_the_first_requests_are_recorded(engine: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr(first_request, "record", asked.append)
    (engine / "pulumi").write_text((engine / "pulumi").read_text().replace("exit 255", "exit 0"))
    assert up.command("dev", yes=True, rolls_back=True) == 0
    assert asked == ["dev"]

"""`./slipway history`: the engine's updates and the cluster's records, joined by time; and what is missing without one.

UPDATES is what `pulumi stack history --json` (3.259.0) answered after a first deployment, a failed rollout with its
return, another variable, and a rollback; cut to what is read of it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.ops.program import engine_state
from slipway.ops.program.engine_history import moment, updates_in
from slipway.ops.program.engine_state import EngineError
from slipway.ops.releases import history
from slipway.ops.releases.history import HistoryRow, join
from slipway.ops.releases.rollback import UnknownReleaseError
from slipway.releases import Release

IMAGE = "registry.example.com/slipway/api:src-c2a048f96f5e0f03@sha256:" + "47b0888b" * 8
GIT = {"git.author": "Jane Doe", "git.head": "de936c72bcf36a2e89d2e3df9f9c3bffce6e2dad", "git.dirty": "true"}


def update(  # noqa: PLR0917 - they read as a table
    begin: str, end: str, result: str, message: str, changes: dict[str, int], back_to: str = ""
) -> dict[str, Any]:
    named = {"revision": back_to, "commit": "de936c72"}
    value = {"value": json.dumps(named), "objectValue": named, "secret": False}
    return {
        "version": 0,
        "kind": "update",
        "startTime": f"2026-11-21T{begin}.000Z",
        "message": message,
        "environment": {"exec.kind": "cli", **GIT},
        "config": {"slipway:namespace": {"value": "slipway-dev", "secret": False}}
        | ({"slipway:release": value} if back_to else {}),
        "result": result,
        "endTime": f"2026-11-21T{end}.000Z",
        "resourceChanges": changes,
    }


FIRST = update("08:50:03", "08:50:12", "succeeded", "Serve users", {"create": 23})
FAILED = update("08:50:55", "08:53:04", "failed", "Serve users", {"replace": 1, "same": 16, "update": 1})
BACK = update(
    "08:53:07", "08:53:18", "succeeded", "back to release 229815e7", {"delete": 1, "same": 21, "update": 1}, "229815e7"
)
OTHER = update("09:05:13", "09:05:22", "succeeded", "Log less", {"replace": 3, "same": 19, "update": 1})
ROLLBACK = update(
    "09:05:40", "09:05:49", "succeeded", "back to release 229815e7", {"replace": 3, "same": 18, "update": 1}, "229815e7"
)
PREVIEW = {**FIRST, "kind": "preview"}
NOTHING = update("09:07:00", "09:07:05", "succeeded", "Log less", {"same": 23})


def canary(begin: str, end: str) -> dict[str, Any]:
    """Beside release 229815e7."""
    made = update(begin, end, "succeeded", "canary of api", {"create": 6, "same": 22}, "229815e7")
    return {**made, "config": {**made["config"], "slipway:candidate": {"value": "{}", "secret": False}}}


def release(revision: str, at: str, settings: str = "info") -> Release:
    content = {"env": {"LOG_LEVEL": settings}}
    return Release(revision, content, IMAGE, by="Jane Doe", commit="de936c72-dirty", at=f"2026-11-21T{at}+00:00")


def lines(known: list[Release], answered: list[dict[str, Any]], in_force: str) -> list[tuple[str, str, bool]]:
    return [(row.revision, row.result, row.in_force) for row in join(known, updates_in(answered), in_force)]


@pytest.mark.feature("D9", part="who, when, image, commit and result")
def test_a_release_is_told_with_the_update_that_made_it():
    [row] = join([release("229815e7", "08:50:05")], updates_in([FIRST]), "229815e7")
    assert (row.revision, row.result, row.in_force, row.by) == ("229815e7", "succeeded", True, "Jane Doe")
    assert (row.commit, row.image, row.message) == ("de936c72-dirty", IMAGE, "Serve users")
    assert row.data()["at"] == "2026-11-21T08:50:03Z"


def test_a_failed_update_and_the_way_back_are_told_with_the_newest_first():
    known = [release("229815e7", "08:50:05")]
    assert lines(known, [BACK, FAILED, FIRST], "229815e7") == [
        ("229815e7", "succeeded", True),
        ("", "failed", False),
        ("229815e7", "succeeded", False),
    ]
    back, failed, _ = join(known, updates_in([BACK, FAILED, FIRST]), "229815e7")
    assert (back.image, failed.image) == (IMAGE, "")


def test_a_release_gone_back_to_is_in_force_and_its_first_time_is_told_without_a_revision():
    """The record bears the time of the rollback; which release an older update made is not guessed."""
    known = [release("229815e7", "09:05:45"), release("aee1ac53", "09:05:20", "warn")]
    assert lines(known, [ROLLBACK, OTHER, FIRST], "229815e7") == [
        ("229815e7", "succeeded", True),
        ("aee1ac53", "succeeded", False),
        ("", "succeeded", False),
    ]


def test_a_canary_that_was_taken_back_is_withdrawn_and_the_release_beside_it_stays_in_force():
    known = [release("229815e7", "08:50:05")]
    tried = canary("08:51:00", "08:51:20")
    assert lines(known, [BACK, tried, FIRST], "229815e7") == [
        ("229815e7", "succeeded", True),
        ("", "withdrawn", False),
        ("229815e7", "succeeded", False),
    ]


def test_a_canary_that_was_promoted_went_well_and_one_that_still_runs_did_so_far():
    known = [release("229815e7", "08:50:05"), release("aee1ac53", "09:05:20", "warn")]
    tried = canary("09:04:00", "09:04:20")
    assert lines(known, [OTHER, tried, FIRST], "aee1ac53") == [
        ("aee1ac53", "succeeded", True),
        ("", "succeeded", False),
        ("229815e7", "succeeded", False),
    ]
    assert lines(known[:1], [tried, FIRST], "229815e7") == [("", "succeeded", False), ("229815e7", "succeeded", True)]


def test_two_releases_that_differ_in_a_variable_differ_in_their_config():
    known = [release("229815e7", "08:50:05"), release("aee1ac53", "09:05:20", "warn")]
    later, first = join(known, updates_in([OTHER, FIRST]), "")
    assert later.config != first.config
    assert later.image == first.image


def test_previews_and_updates_that_changed_nothing_are_left_out():
    assert lines([release("229815e7", "08:50:05")], [NOTHING, PREVIEW, FIRST], "229815e7") == [
        ("229815e7", "succeeded", True)
    ]


def test_a_release_the_engine_has_forgotten_is_told_all_the_same():
    assert lines([release("229815e7", "08:50:05")], [], "229815e7") == [("229815e7", "succeeded", True)]


def test_an_update_that_is_under_way_is_told_as_such():
    under_way = {**OTHER, "result": "in-progress", "resourceChanges": None}
    del under_way["endTime"]
    assert lines([], [under_way], "") == [("", "in-progress", False)]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """`without("cluster")`, `without("engine")`: a stack with one release, of which one side cannot be asked."""
    known = release("229815e7", "08:50:05")

    def gone(stack: str) -> Any:
        raise UnknownReleaseError("the cluster of stack dev cannot be read: refused")

    def silent(*_: str) -> Any:
        raise EngineError("`pulumi` is not on the PATH")

    def take(side: str) -> None:
        monkeypatch.setattr(history, "recorded", gone if side == "cluster" else lambda stack: [known])
        monkeypatch.setattr(engine_state, "pulumi", silent if side == "engine" else lambda *_: json.dumps([FIRST]))
        monkeypatch.setattr(engine_state, "export", silent if side == "engine" else lambda stack: {"deployment": {}})
        monkeypatch.setattr(engine_state, "in_force", lambda state: known)

    return take


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], list[str], str]:
    history.command("dev", as_json=True)
    said = capsys.readouterr()
    found = json.loads(said.out)
    return found["history"], found["missing"], said.err


def test_without_the_cluster_the_engine_s_part_is_told_and_what_is_missing(
    without: Any, capsys: pytest.CaptureFixture[str]
):
    without("cluster")
    rows, missing, err = printed(capsys)
    assert [(row["revision"], row["inForce"]) for row in rows] == [("229815e7", True)]
    assert missing == ["the records of releases: the cluster of stack dev cannot be read: refused"]
    assert err.startswith("missing: the records of releases")


def test_without_the_engine_the_records_are_told_and_what_is_missing(without: Any, capsys: pytest.CaptureFixture[str]):
    without("engine")
    rows, missing, _ = printed(capsys)
    assert [(row["revision"], row["inForce"]) for row in rows] == [("229815e7", False)]
    assert [why.partition(":")[0] for why in missing] == ["failed updates", "which release is in force"]


def test_the_table_shows_who_when_and_which_image_in_one_line(without: Any, capsys: pytest.CaptureFixture[str]):
    without("nothing")
    history.command("dev", as_json=False)
    [line] = [line.split() for line in capsys.readouterr().out.splitlines() if "229815e7" in line]
    expected = [
        "*",
        "229815e7",
        "2026-11-21",
        "08:50:03",
        "Jane",
        "Doe",
        "de936c72-dirty",
        "src-c2a048f96f5e0f03",
        "47b0888b47b0",
    ]
    assert line[: len(expected)] == expected


def test_a_row_names_the_same_keys_whatever_is_known():
    first, other = (row.data() for row in join([release("229815e7", "08:50:05")], updates_in([FIRST, FAILED]), ""))
    assert first.keys() == other.keys() == HistoryRow(at=moment("2026-11-21T00:00:00Z")).data().keys()

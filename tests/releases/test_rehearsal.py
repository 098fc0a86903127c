"""`./slipway rollback --rehearse`: there and back, what is tried in between, and what is noted.

The rollbacks themselves are only noted.
"""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from slipway.ops import signals
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import RefusedError
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import EngineError
from slipway.ops.releases import rollback
from slipway.ops.releases.trials import first_request, rehearsal
from slipway.ops.releases.trials.rehearsal import RehearsalError
from slipway.releases import Release
from tests import api_server

OLD, NEW = (f"registry.example.com/slipway/api:src-{n}@sha256:" + str(n) * 64 for n in (1, 2))
FORMER, PRESENT = Release("aaaa1111", {}, OLD), Release("bbbb2222", {}, NEW)


@dataclass
class Stage:
    """What happens during a rehearsal."""

    steps: list[str] = field(default_factory=list[str])
    notes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    codes: dict[str, int] = field(default_factory=dict[str, int])
    """Exit code of the rollback to a revision."""
    problems: list[str] = field(default_factory=list[str])
    """What is wrong with the first requests."""
    in_force: Release = PRESENT


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()

    def roll_back(stack: str, release: Release, state: Any, reason: str) -> int:
        stage.steps.append(f"{stack} to {release.revision}: {reason}")
        code = stage.codes.get(release.revision, 0)
        stage.in_force = stage.in_force if code else release
        return code

    def send(_: Any) -> list[str]:
        stage.steps.append("requests")
        return stage.problems

    def server(request: httpx2.Request) -> httpx2.Response:
        stage.notes.append(
            {request.url.path.rpartition("/")[2]: json.loads(request.content)["metadata"]["annotations"]}
        )
        return httpx2.Response(200, json={})

    monkeypatch.setattr(rollback, "roll_back", roll_back)
    monkeypatch.setattr(engine_state, "export", lambda _: {})
    monkeypatch.setattr(engine_state, "in_force", lambda _: stage.in_force)
    monkeypatch.setattr(first_request, "send", send)
    monkeypatch.setattr(first_request, "now", lambda: "2026-11-30T10:00:00+00:00")
    monkeypatch.setattr(connection, "connect", lambda *_: api_server.cluster(server))
    contract_tests(monkeypatch, [])
    return stage


def contract_tests(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    settings = api_server.settings("dev", {"promotion": {"contractTests": command}})
    monkeypatch.setattr(config, "settings", lambda _: settings)


TAKEN_BACK = {"release-bbbb2222": {"slipway/rollback-rehearsal": None}}
"""A note of an earlier rehearsal, which the next one takes back before it begins."""
THERE_AND_BACK = ["dev to aaaa1111: rehearsal", "requests", "dev to bbbb2222: end of the rehearsal", "requests"]


@pytest.mark.feature("J2", part="a rollback is rehearsed on the same digest, and recorded")
def test_a_rehearsal_goes_there_and_back_and_is_noted_on_the_release_in_force(stage: Stage):
    assert rehearsal.rehearse("dev", PRESENT, FORMER, {}) == 0
    assert stage.steps == THERE_AND_BACK
    [before, noted] = stage.notes
    assert before == TAKEN_BACK
    text = noted["release-bbbb2222"]["slipway/rollback-rehearsal"]
    read = Release.of("release-bbbb2222", {"settings.yaml": "{}"}, {"slipway/rollback-rehearsal": text}).rehearsal
    assert read == {"at": "2026-11-30T10:00:00+00:00", "to": "aaaa1111", "images": {"api": OLD}, "contractTests": []}


@pytest.mark.feature("P7", part="the former version passes its contract tests on the new schema")
def test_contract_tests_that_pass_are_part_of_the_note(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    contract_tests(monkeypatch, ["sh", "-c", 'test "$SLIPWAY_STACK" = dev'])
    assert rehearsal.rehearse("dev", PRESENT, FORMER, {}) == 0
    noted = json.loads(stage.notes[1]["release-bbbb2222"]["slipway/rollback-rehearsal"])
    assert noted["contractTests"] == ["sh", "-c", 'test "$SLIPWAY_STACK" = dev']
    assert noted["images"] == {"api": OLD}


@pytest.mark.feature("P7", part="without its contract tests passed there is no evidence")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sh", "-c", "exit 3"], "the contract tests failed on the new schema: sh -c exit 3 ends with 3"),
        (["no-such-program"], "slipway:promotion.contractTests: no-such-program: No such file or directory"),
    ],
)
def test_contract_tests_that_fail_leave_no_evidence(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, command: list[str], message: str
):
    contract_tests(monkeypatch, command)
    with pytest.raises(RehearsalError) as refused:
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert message in str(refused.value)
    assert stage.steps == THERE_AND_BACK
    assert stage.notes == [TAKEN_BACK]


def test_a_former_release_that_does_not_answer_is_left_again_and_is_no_evidence(stage: Stage):
    stage.problems = ["api: https://api.dev.example.com/v1/shops answers 500"]
    with pytest.raises(RehearsalError, match=r"(?s)the rehearsal is no evidence:.*answers 500"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps == THERE_AND_BACK
    assert stage.notes == [TAKEN_BACK]


def test_after_a_rollback_that_fails_the_release_in_force_is_brought_back(stage: Stage):
    stage.codes = {"aaaa1111": 255}
    with pytest.raises(RehearsalError, match="the rollback to release aaaa1111 failed"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps == [THERE_AND_BACK[0], THERE_AND_BACK[2]]
    assert stage.notes == [TAKEN_BACK]


def test_a_return_that_fails_names_the_command_for_it(stage: Stage):
    stage.codes = {"bbbb2222": 255}
    with pytest.raises(RehearsalError, match=r"run it again: \./slipway rollback bbbb2222 -s dev"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.notes == [TAKEN_BACK]


def test_a_return_that_the_engine_refuses_names_the_command_for_it_as_well(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    def roll_back(_: str, release: Release, *__: Any) -> int:
        if release is PRESENT:
            raise EngineError("`pulumi stack export`: the bucket does not answer")
        return 0

    monkeypatch.setattr(rollback, "roll_back", roll_back)
    with pytest.raises(
        RehearsalError, match=r"failed \(.*does not answer\); run it again: \./slipway rollback bbbb2222"
    ):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})


def test_ctrl_c_brings_the_release_in_force_back(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    def stop(_: Any) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(first_request, "send", stop)
    with pytest.raises(KeyboardInterrupt):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps[-1] == "dev to bbbb2222: end of the rehearsal"


def test_sigterm_while_the_former_release_is_tried_brings_the_release_in_force_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    """A job of CI that is cancelled."""

    def unhandled(*_: Any) -> None:
        raise AssertionError("SIGTERM ends the process at once")

    contract_tests(monkeypatch, ["sh", "-c", "kill -TERM $PPID; sleep 5"])
    with signals.handled((signal.SIGTERM,), unhandled), pytest.raises(KeyboardInterrupt):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps[-1] == "dev to bbbb2222: end of the rehearsal"
    assert stage.notes == [TAKEN_BACK]


def test_contract_tests_that_do_not_end_are_no_evidence(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    contract_tests(monkeypatch, ["sleep", "60"])
    monkeypatch.setattr(rehearsal, "TEST_SECONDS", 0.1)
    with pytest.raises(RehearsalError, match=r"the contract tests did not end .* within 0\.1 s: sleep 60"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps == THERE_AND_BACK


def test_contract_tests_that_do_not_end_are_stopped_with_all_that_they_started(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    contract_tests(monkeypatch, ["sh", "-c", f"(sleep 1; touch {tmp_path}/late) & wait"])
    monkeypatch.setattr(rehearsal, "TEST_SECONDS", 0.2)
    with pytest.raises(RehearsalError, match="did not end"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    time.sleep(1.2)
    assert not (tmp_path / "late").exists()


def test_a_release_that_came_while_the_plan_was_looked_at_is_left_alone(stage: Stage):
    stage.in_force = Release("cccc3333", {}, NEW)
    with pytest.raises(RehearsalError, match="release cccc3333 is in force by now, not bbbb2222: begin again"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert (stage.steps, stage.notes) == ([], [])


def test_a_release_that_somebody_deploys_during_a_rehearsal_stays(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    def deploy(_: Any) -> list[str]:
        stage.in_force = Release("cccc3333", {}, NEW)
        return []

    monkeypatch.setattr(first_request, "send", deploy)
    with pytest.raises(RehearsalError, match="somebody has deployed release cccc3333 meanwhile, which stays"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps == THERE_AND_BACK[:1]
    assert stage.notes == [TAKEN_BACK]


def test_a_former_release_whose_record_gets_another_name_is_left_again(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    def roll_back(_: str, release: Release, *__: Any) -> int:
        stage.steps.append(release.revision)
        stage.in_force = PRESENT if release is PRESENT else Release("aaaa9999", {}, OLD)
        return 0

    monkeypatch.setattr(rollback, "roll_back", roll_back)
    assert rehearsal.rehearse("dev", PRESENT, FORMER, {}) == 0
    assert stage.in_force is PRESENT


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "Ctrl-C"])
def test_a_return_that_breaks_off_names_the_command_for_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
):
    def roll_back(_: str, release: Release, *__: Any) -> int:
        if release is PRESENT:
            raise error
        return 0

    monkeypatch.setattr(rollback, "roll_back", roll_back)
    with pytest.raises(type(error)):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert "broke off; run it again: ./slipway rollback bbbb2222 -s dev" in capsys.readouterr().err


def test_who_may_not_note_the_result_learns_it_before_anything_changes(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    forbidden = api_server.cluster(lambda _: httpx2.Response(403, json={"message": "configmaps is forbidden"}))
    monkeypatch.setattr(connection, "connect", lambda *_: forbidden)
    with pytest.raises(RefusedError, match="configmaps is forbidden"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps == []


@pytest.mark.parametrize("present", [None, FORMER])
def test_there_has_to_be_another_release(stage: Stage, present: Release | None):
    with pytest.raises(RehearsalError, match="needs a release to go back to"):
        rehearsal.rehearse("dev", present, FORMER, {})
    assert stage.steps == []

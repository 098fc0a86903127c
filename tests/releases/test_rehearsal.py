"""`./slipway rollback --rehearse`: there and back, what is tried in between, and what is noted.

The rollbacks themselves are only noted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from slipway.ops.cluster import connection
from slipway.ops.program import config
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


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()

    def roll_back(stack: str, release: Release, state: Any, reason: str) -> int:
        stage.steps.append(f"{stack} to {release.revision}: {reason}")
        return stage.codes.get(release.revision, 0)

    def send(_: Any) -> list[str]:
        stage.steps.append("requests")
        return stage.problems

    def server(request: httpx2.Request) -> httpx2.Response:
        stage.notes.append(
            {request.url.path.rpartition("/")[2]: json.loads(request.content)["metadata"]["annotations"]}
        )
        return httpx2.Response(200, json={})

    monkeypatch.setattr(rollback, "roll_back", roll_back)
    monkeypatch.setattr(first_request, "send", send)
    monkeypatch.setattr(first_request, "now", lambda: "2026-11-30T10:00:00+00:00")
    monkeypatch.setattr(connection, "connect", lambda *_: api_server.cluster(server))
    contract_tests(monkeypatch, [])
    return stage


def contract_tests(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    settings = api_server.settings("dev", {"promotion": {"contractTests": command}})
    monkeypatch.setattr(config, "settings", lambda _: settings)


THERE_AND_BACK = ["dev to aaaa1111: rehearsal", "requests", "dev to bbbb2222: end of the rehearsal", "requests"]


@pytest.mark.feature("J2", part="a rollback is rehearsed on the same digest, and recorded")
def test_a_rehearsal_goes_there_and_back_and_is_noted_on_the_release_in_force(stage: Stage):
    assert rehearsal.rehearse("dev", PRESENT, FORMER, {}) == 0
    assert stage.steps == THERE_AND_BACK
    [noted] = stage.notes
    text = noted["release-bbbb2222"]["slipway/rollback-rehearsal"]
    read = Release.of("release-bbbb2222", {"settings.yaml": "{}"}, {"slipway/rollback-rehearsal": text}).rehearsal
    assert read == {"at": "2026-11-30T10:00:00+00:00", "to": "aaaa1111", "images": {"api": OLD}, "contractTests": []}


@pytest.mark.feature("P7", part="the former version passes its contract tests on the new schema")
def test_contract_tests_that_pass_are_part_of_the_note(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    contract_tests(monkeypatch, ["sh", "-c", 'test "$SLIPWAY_STACK" = dev'])
    assert rehearsal.rehearse("dev", PRESENT, FORMER, {}) == 0
    noted = json.loads(stage.notes[0]["release-bbbb2222"]["slipway/rollback-rehearsal"])
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
    assert stage.notes == []


def test_a_former_release_that_does_not_answer_is_left_again_and_is_no_evidence(stage: Stage):
    stage.problems = ["api: https://api.dev.example.com/v1/shops answers 500"]
    with pytest.raises(RehearsalError, match=r"(?s)the rehearsal is no evidence:.*answers 500"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps == THERE_AND_BACK
    assert stage.notes == []


def test_after_a_rollback_that_fails_the_release_in_force_is_brought_back(stage: Stage):
    stage.codes = {"aaaa1111": 255}
    with pytest.raises(RehearsalError, match="the rollback to release aaaa1111 failed"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.steps == [THERE_AND_BACK[0], THERE_AND_BACK[2]]
    assert stage.notes == []


def test_a_return_that_fails_names_the_command_for_it(stage: Stage):
    stage.codes = {"bbbb2222": 255}
    with pytest.raises(RehearsalError, match=r"run it again: \./slipway rollback bbbb2222 -s dev"):
        rehearsal.rehearse("dev", PRESENT, FORMER, {})
    assert stage.notes == []


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


@pytest.mark.parametrize("present", [None, FORMER])
def test_there_has_to_be_another_release(stage: Stage, present: Release | None):
    with pytest.raises(RehearsalError, match="needs a release to go back to"):
        rehearsal.rehearse("dev", present, FORMER, {})
    assert stage.steps == []

"""`./slipway up`: when it goes back, to what, and what it says.

The engine is a script that writes what pulumi 3.259.0 wrote to its event log, cut to what is read of it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from releases import Release

from ops import engine_state, rollback, up
from ops.engine_state import NoState
from ops.recorder import ROOT

JOB = "urn:pulumi:dev::slipway::slipway:index:WebService$kubernetes:batch/v1:Job::api-migration"
RELEASE = Release("0a1b2c3d", {}, "registry.example.com/slipway/api:src-0@sha256:" + "5" * 64)


def begins(type_: str, *, planning: bool = False) -> dict[str, Any]:
    return {"resourcePreEvent": {"metadata": {"op": "same", "type": type_}} | ({"planning": True} if planning else {})}


def ends(op: str, type_: str) -> dict[str, Any]:
    return {"resOutputsEvent": {"metadata": {"op": op, "type": type_}}}


def fails(op: str, type_: str) -> dict[str, Any]:
    return {"resOpFailedEvent": {"metadata": {"op": op, "type": type_, "urn": JOB}, "status": 0, "steps": 0}}


def error(message: str, urn: str | None = JOB) -> dict[str, Any]:
    return {
        "diagnosticEvent": {"prefix": "error: ", "message": message, "severity": "error"}
        | ({"urn": urn} if urn else {})
    }


STACK = "pulumi:pulumi:Stack"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
IMAGE = "docker:index/image:Image"
FAILED = [
    begins(STACK),
    ends("same", "kubernetes:core/v1:Namespace"),
    error("1 error occurred:\n\t* Job slipway-dev/api-migration-b9170e88 failed: BackoffLimitExceeded\n\n"),
    fails("create-replacement", "kubernetes:batch/v1:Job"),
    error("update failed\n", None),
]


@pytest.mark.parametrize(
    ("events", "goes_back"),
    [
        (FAILED, True),
        ([begins(STACK), ends("update", DEPLOYMENT), error("2 house rules are broken", None)], True),
        ([begins(STACK), ends("same", DEPLOYMENT), fails("update", IMAGE)], False),
        ([begins(STACK), ends("update", IMAGE), ends("same", DEPLOYMENT), error("no", None)], False),
        ([begins(STACK, planning=True), error("stacks/Pulumi.dev.yaml has 1 mistake", None)], False),
        ([begins(STACK, planning=True), fails("update", DEPLOYMENT)], False),
        ([], False),
    ],
    ids=["migration", "half way", "build", "built only", "settings", "refused on trial", "no login"],
)
def test_only_what_reached_the_cluster_is_taken_back(events: list[dict[str, Any]], goes_back: bool):
    assert up.Outcome(255, interrupted=False, events=events).is_to_be_undone is goes_back


def test_neither_success_nor_a_stop_by_hand_is_taken_back():
    assert not up.Outcome(0, interrupted=False, events=FAILED).is_to_be_undone
    assert not up.Outcome(255, interrupted=True, events=FAILED).is_to_be_undone


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `pulumi` that notes its words in `told`, logs what `events` holds, and fails. `went`: where it goes back."""
    log = 'while [ "$1" != --event-log ]; do shift; done\n'
    (tmp_path / "pulumi").write_text(
        f'#!/bin/sh\ncd "{tmp_path}"\necho "$PULUMI_DEBUG_COMMANDS $*" >> told\n{log}cp events "$2"\nexit 255\n'
    )
    (tmp_path / "pulumi").chmod(0o755)
    events(tmp_path, FAILED)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(engine_state, "export", lambda stack: {"before": stack})
    monkeypatch.setattr(engine_state, "in_force", lambda state: RELEASE)

    def go_back(stack: str, release: Release, before: Any) -> int:
        (tmp_path / "went").write_text(f"{stack} {release.revision} {before}")
        return 1 if (tmp_path / "stuck").exists() else 0

    monkeypatch.setattr(rollback, "go_back", go_back)
    return tmp_path


def events(folder: Path, found: list[dict[str, Any]]) -> None:
    (folder / "events").write_text("".join(f"{json.dumps(event)}\n" for event in found))


@pytest.mark.feature("D3", part="when, and to what")
def test_a_failed_rollout_tells_its_cause_goes_back_to_the_release_before_and_is_a_failure(
    engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert up.command("dev", yes=True, returns=True) == 1
    assert (engine / "went").read_text() == "dev 0a1b2c3d {'before': 'dev'}"
    told = capsys.readouterr().err
    assert "Job/api-migration: 1 error occurred: * Job slipway-dev/api-migration-b9170e88 failed" in told
    assert "dev: release 0a1b2c3d (image src-0) is in force again. The update failed." in told
    assert (engine / "told").read_text().startswith("true up -s dev --yes --event-log ")


def test_a_mistake_in_the_settings_leaves_everything_as_it_is(engine: Path):
    events(engine, [begins(STACK, planning=True), error("stacks/Pulumi.dev.yaml has 1 mistake", None)])
    assert up.command("dev", yes=True, returns=True) == 1
    assert not (engine / "went").exists()


def test_whoever_wants_to_look_at_the_failure_is_told_the_way_back(engine: Path, capsys: pytest.CaptureFixture[str]):
    assert up.command("dev", yes=True, returns=False) == 1
    assert not (engine / "went").exists()
    assert "./slipway rollback 0a1b2c3d -s dev" in capsys.readouterr().err


def test_a_first_deployment_that_fails_has_nothing_to_go_back_to(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def unknown(stack: str) -> Any:
        raise NoState("no stack named 'dev' found")

    monkeypatch.setattr(engine_state, "export", unknown)
    assert up.command("dev", yes=True, returns=True) == 1
    assert "none to go back to" in capsys.readouterr().err


def test_a_way_back_that_fails_too_says_what_was_not_taken_back(engine: Path, capsys: pytest.CaptureFixture[str]):
    (engine / "stuck").touch()
    assert up.command("dev", yes=True, returns=True) == 1
    assert "the way back to 0a1b2c3d failed too. Secrets were not taken back" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_by_hand_lets_the_engine_end_in_good_order_and_takes_nothing_back(engine: Path, number: signal.Signals):
    """Ctrl-C goes to the engine and to us; SIGTERM to us alone, and the engine is told."""
    (engine / "pulumi").write_text(
        f"#!{sys.executable}\nimport pathlib, signal, sys, time\nhere = pathlib.Path({str(engine)!r})\n"
        "def stop(*_):\n    (here / 'ended').touch()\n    sys.exit(255)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        f"pathlib.Path(sys.argv[-1]).write_text({(engine / 'events').read_text()!r})\n"
        "(here / 'runs').touch()\ntime.sleep(60)\n"
    )
    code = (
        "from ops import up; import sys; o = up.run(['pulumi', 'up']); print(o.interrupted, o.is_to_be_undone, o.code)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'infra'}"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (engine / "runs").exists():
        assert run.poll() is None
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    assert run.communicate(timeout=30)[0].split() == ["True", "False", "255"]
    assert (engine / "ended").exists()

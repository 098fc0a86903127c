"""`./slipway up`: when it goes back, to what, and what it says.

The engine is a script that writes what pulumi 3.259.0 wrote to its event log, cut to what is read of it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
from releases import Release

from ops import canary, cluster, doctor, engine_state, rollback, up
from ops.canary import Trial, Verdict
from ops.cluster import NoCluster
from ops.doctor import Lock
from ops.engine_state import NoState
from ops.recorder import ROOT
from tests import api_server
from tests.watchdog import child

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
    monkeypatch.setattr(engine_state, "export", lambda stack: {"deployment": {}, "before": stack})
    monkeypatch.setattr(engine_state, "in_force", lambda state: RELEASE)
    monkeypatch.setattr(doctor, "held", lambda _: [])

    def go_back(stack: str, release: Release, before: Any, why: str) -> int:
        (tmp_path / "went").write_text(f"{stack} {release.revision} {before['before']}{why and f' {why}'}")
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
    assert (engine / "went").read_text() == "dev 0a1b2c3d dev"
    told = capsys.readouterr().err
    assert "Job/api-migration: 1 error occurred: * Job slipway-dev/api-migration-b9170e88 failed" in told
    assert "dev: release 0a1b2c3d (image src-0) is in force again. The update failed." in told
    assert (engine / "told").read_text().startswith("true up -s dev --yes --event-log ")


def test_a_locked_stack_is_told_with_who_holds_it_and_nothing_is_started(engine: Path, monkeypatch: pytest.MonkeyPatch):
    lock = Lock("ada", "another", 7, "2026-11-21T08:00:00Z")
    monkeypatch.setattr(doctor, "held", lambda _: [lock])
    with pytest.raises(
        NoState, match=r"stack dev is locked by an update that is running: ada@another, process 7, since"
    ):
        up.command("dev", yes=True, returns=True)
    assert not (engine / "told").exists()


def test_behind_a_damaged_lock_nothing_is_started(engine: Path, monkeypatch: pytest.MonkeyPatch):
    def damaged(_: str) -> list[Lock]:
        raise doctor.DamagedLockError("the lock a.json cannot be read: it is empty")

    monkeypatch.setattr(doctor, "held", damaged)
    with pytest.raises(doctor.DamagedLockError, match=r"a\.json cannot be read"):
        up.command("dev", yes=True, returns=True)
    assert not (engine / "told").exists()


def test_of_two_jobs_that_a_killed_update_left_one_is_taken_away_before_the_next_update_starts(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    events(engine, [begins(STACK, planning=True)])

    def job(name: str, **other: Any) -> dict[str, Any]:
        return {"urn": JOB, "type": "kubernetes:batch/v1:Job", "id": f"slipway-dev/{name}", **other}

    left = [job("latter", created="2"), job("former", created="1", delete=True)]
    monkeypatch.setattr(engine_state, "export", lambda _: {"deployment": {"resources": left}, "before": "dev"})
    done: list[str] = []
    monkeypatch.setattr(
        engine_state, "restore", lambda _, state: done.append(state["deployment"]["resources"][0]["id"])
    )

    def server(request: httpx2.Request) -> httpx2.Response:
        done.append(f"{request.method} {request.url.path.rpartition('/')[2]}")
        assert not (engine / "told").exists(), "the update has started before"
        return httpx2.Response(200, json={"items": [{"metadata": {"name": "former"}}]})

    monkeypatch.setattr(cluster, "connect", lambda *_: api_server.cluster(server))
    up.command("dev", yes=True, returns=False)
    assert done == ["slipway-dev/former", "GET latter", "DELETE latter", "GET version"]
    assert "dev: Job/latter, of an update without an end, while the one before is there" in capsys.readouterr().err


@pytest.mark.feature("O1", part="what was deleted by hand is made again")
def test_what_somebody_deleted_from_the_cluster_is_taken_out_of_the_state_before_the_update(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    known = [
        {"urn": f"urn:{name}", "type": "kubernetes:core/v1:Service", "id": f"slipway-dev/{name}"}
        for name in ("api", "web")
    ]
    monkeypatch.setattr(engine_state, "export", lambda _: {"deployment": {"resources": known}, "before": "dev"})
    refreshed: list[tuple[str, ...]] = []
    monkeypatch.setattr(engine_state, "pulumi", lambda *words: refreshed.append(words))
    server = api_server.ApiServer({"services": [{"metadata": {"name": "api"}}]})
    monkeypatch.setattr(cluster, "connect", lambda *_: api_server.cluster(server))
    up.command("dev", yes=True, returns=False)
    assert refreshed == [("refresh", "--yes", "--skip-preview", "-s", "dev", "--target=urn:web")]
    assert "dev: not in the cluster any more, and made again: Service/web" in capsys.readouterr().err
    assert (engine / "told").exists()


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
    options = {"env": {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'infra'}"}, "stdout": subprocess.PIPE, "text": True}
    with child([sys.executable, "-c", code], cwd=ROOT, start_new_session=True, **options) as run:
        while not (engine / "runs").exists():
            assert run.poll() is None
            time.sleep(0.05)
        if number == signal.SIGINT:
            os.killpg(run.pid, number)
        else:
            run.send_signal(number)
        assert run.communicate(timeout=30)[0].split() == ["True", "False", "255"]
    assert (engine / "ended").exists()


# --- a canary first ---------------------------------------------------------------------------------------------------

SHARE = {"percent": 34, "seconds": 60}
GOOD = Verdict(True, "api: the canary is good: 812 requests in 60 s")
BAD = Verdict(False, "api: 8 of 25 answers were errors (5xx), 32 %; at most 1 % may be (errorPercent)")
BESIDE = "up -s dev --yes --config-file CONFIG --message canary of api --event-log LOG"
PLAIN = "up -s dev --yes --event-log LOG"
Tried = Callable[..., list[str]]


@pytest.fixture
def tried(engine: Path, monkeypatch: pytest.MonkeyPatch) -> Tried:
    """`tried(GOOD)`: what the engine is told by an update with that canary; from the call `fails` on it fails.

    The configuration of its first call is kept in `config`.
    """
    keep = 'while [ "$1" != --config-file ] && [ $# -gt 0 ]; do shift; done; [ $# = 0 ] || cp "$2" config\n'
    fail = '[ ! -f fails ] || [ $(wc -l < told) -lt $(cat fails) ] || { cp events "$LOG"; exit 255; }\n'
    log = "for LOG; do :; done\n"
    (engine / "pulumi").write_text(f'#!/bin/sh\ncd "{engine}"\necho "$*" >> told\n{log}{keep}{fail}')
    changes = {
        "services.api.autoscaling": {"min": 2, "max": 4},
        "services.api.rollout": "canary",
        "services.api.canary": SHARE,
    }
    settings = api_server.settings("dev", changes)

    def told(verdict: Verdict | BaseException, *, fails: int = 0, yes: bool = True, returns: bool = True) -> list[str]:
        def watch(trial: Trial, found: Any) -> list[Verdict]:
            if isinstance(verdict, BaseException):
                raise verdict
            return [verdict]

        trial = Trial("dev", RELEASE, settings, ["api"], [])
        monkeypatch.setattr(canary, "planned", lambda stack, release: trial if release is RELEASE else None)
        monkeypatch.setattr(canary, "watch", watch)
        monkeypatch.setattr(up.cluster, "connect", lambda stack, settings: api_server.cluster(api_server.ApiServer()))
        if fails:
            (engine / "fails").write_text(str(fails))
        (engine / "code").write_text(str(up.command("dev", yes=yes, returns=returns)))
        lines = (engine / "told").read_text() if (engine / "told").exists() else ""
        words = re.sub(r"(--config-file) \S+", r"\1 CONFIG", re.sub(r"(--event-log) \S+", r"\1 LOG", lines))
        return words.splitlines()

    return told


def code(folder: Path) -> int:
    return int((folder / "code").read_text())


def test_a_good_canary_is_promoted_by_the_same_update_as_ever(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(GOOD) == [BESIDE, PLAIN]
    assert code(engine) == 0
    assert not (engine / "went").exists()
    told = capsys.readouterr().err
    assert "dev: canary of api, with at most 34 % of the requests, beside release 0a1b2c3d (image src-0)" in told
    assert "dev: api: the canary is good: 812 requests in 60 s" in told


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
    assert (engine / "went").read_text() == "dev 0a1b2c3d dev canary of api withdrawn"
    told = capsys.readouterr().err
    assert f"dev: the canary is withdrawn:\n{BAD.told}\n" in told
    assert "dev: release 0a1b2c3d (image src-0) is in force again. The update failed." in told


def test_whoever_wants_to_look_at_a_bad_canary_is_told_how_to_take_it_away(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(BAD, returns=False) == [BESIDE]
    assert (code(engine), (engine / "went").exists()) == (1, False)
    assert "left as it is. To go back: ./slipway rollback 0a1b2c3d -s dev" in capsys.readouterr().err


def test_a_canary_that_does_not_even_start_is_taken_back_like_any_failed_rollout(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(GOOD, fails=1) == [BESIDE]
    assert code(engine) == 1
    assert (engine / "went").read_text().startswith("dev 0a1b2c3d ")
    assert "The rollout failed:\n  Job/api-migration" in capsys.readouterr().err


def test_an_update_that_fails_after_a_good_canary_is_taken_back_too(tried: Tried, engine: Path):
    assert tried(GOOD, fails=2) == [BESIDE, PLAIN]
    assert code(engine) == 1
    assert (engine / "went").read_text() == "dev 0a1b2c3d dev"


def test_whoever_stops_the_watch_is_told_how_things_stand_and_what_to_type(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(KeyboardInterrupt()) == [BESIDE]
    assert (code(engine), (engine / "went").exists()) == (1, False)
    told = capsys.readouterr().err
    assert (
        "stopped: the canary of api, with at most 34 % of the requests, goes on, and nothing else was changed" in told
    )
    assert "./slipway rollback 0a1b2c3d -s dev" in told


def test_a_cluster_that_cannot_be_watched_promotes_nothing(
    tried: Tried, engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert tried(NoCluster("no context dev")) == [BESIDE]
    assert (code(engine), (engine / "went").exists()) == (1, True)
    assert "the canary is withdrawn:\nit cannot be watched: no context dev" in capsys.readouterr().err


def test_without_yes_it_is_asked_once_for_all_of_it_and_a_no_changes_nothing(
    tried: Tried, engine: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    monkeypatch.setattr(up.typer, "confirm", lambda text, **_: asked.append(text))
    assert tried(GOOD, yes=False) == [BESIDE, PLAIN]
    assert asked == ["Try this as a canary of api, and if it is good update stack dev?"]
    (engine / "told").unlink()

    def no(text: str, **_: Any) -> None:
        raise typer.Abort

    monkeypatch.setattr(up.typer, "confirm", no)
    with pytest.raises(typer.Abort):
        tried(GOOD, yes=False)
    assert not (engine / "told").exists()

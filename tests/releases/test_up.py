"""`./slipway up`: when it rolls back, to what, and what it reports.

The engine is a script (conftest.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from slipway.ops.cluster import connection, dev_build
from slipway.ops.cluster.dev_build import DevBuild
from slipway.ops.diagnosis import locks
from slipway.ops.diagnosis.locks import Lock
from slipway.ops.program import engine_run, engine_state
from slipway.ops.program.engine_run import Outcome
from slipway.ops.program.engine_state import EngineError
from slipway.ops.releases import up
from tests import api_server
from tests.development.fake_cluster import FakeCluster
from tests.paths import REPOSITORY
from tests.plugins.watchdog import child
from tests.releases.conftest import DEPLOYMENT, FAILED, IMAGE, JOB, STACK, begins, ends, error, fails, write_events


@pytest.mark.parametrize(
    ("events", "needs_rollback"),
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
def test_only_what_reached_the_cluster_is_rolled_back(events: list[dict[str, Any]], needs_rollback: bool):
    assert Outcome(255, interrupted=False, events=events).needs_rollback is needs_rollback


def test_neither_success_nor_a_stop_by_hand_is_rolled_back():
    assert not Outcome(0, interrupted=False, events=FAILED).needs_rollback
    assert not Outcome(255, interrupted=True, events=FAILED).needs_rollback


@pytest.mark.feature("D3", part="when, and to what")
def test_a_failed_rollout_reports_its_cause_rolls_back_to_the_release_before_and_is_a_failure(
    engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert up.command("dev", yes=True, rolls_back=True) == 1
    assert (engine / "rollback").read_text() == "dev 0a1b2c3d dev"
    report = capsys.readouterr().err
    assert "Job/api-migration: 1 error occurred: * Job slipway-dev/api-migration-b9170e88 failed" in report
    assert "dev: release 0a1b2c3d (image src-0) is in force again. The update failed." in report
    assert (engine / "commands").read_text().startswith("true up -s dev --yes --event-log ")


def test_a_locked_stack_is_reported_with_the_owner_of_the_lock_and_nothing_is_started(
    engine: Path, monkeypatch: pytest.MonkeyPatch
):
    lock = Lock("ada", "another", 7, "2026-11-21T08:00:00Z")
    monkeypatch.setattr(locks, "state_locks", lambda _: [lock])
    with pytest.raises(
        EngineError, match=r"stack dev is locked by an update that is running: ada@another, process 7, since"
    ):
        up.command("dev", yes=True, rolls_back=True)
    assert not (engine / "commands").exists()


def test_behind_a_damaged_lock_nothing_is_started(engine: Path, monkeypatch: pytest.MonkeyPatch):
    def damaged(_: str) -> list[Lock]:
        raise locks.DamagedLockError("the lock a.json cannot be read: it is empty")

    monkeypatch.setattr(locks, "state_locks", damaged)
    with pytest.raises(locks.DamagedLockError, match=r"a\.json cannot be read"):
        up.command("dev", yes=True, rolls_back=True)
    assert not (engine / "commands").exists()


def test_of_two_jobs_that_a_killed_update_left_one_is_taken_away_before_the_next_update_starts(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_events(engine, [begins(STACK, planning=True)])

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
        assert not (engine / "commands").exists(), "the update has started before"
        return httpx2.Response(200, json={"items": [{"metadata": {"name": "former"}}]})

    monkeypatch.setattr(connection, "connect", lambda *_: api_server.cluster(server))
    up.command("dev", yes=True, rolls_back=False)
    assert done == [
        "slipway-dev/former",
        "GET latter",
        "DELETE latter",
        "GET deployments",
        "GET deployments",
        "GET version",
        "GET deployments",
    ]
    assert "dev: Job/latter is left from an update that did not finish" in capsys.readouterr().err


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
    monkeypatch.setattr(connection, "connect", lambda *_: api_server.cluster(server))
    up.command("dev", yes=True, rolls_back=False)
    assert refreshed == [("refresh", "--yes", "--skip-preview", "-s", "dev", "--target=urn:web")]
    assert "dev: not in the cluster any more, and made again: Service/web" in capsys.readouterr().err
    assert (engine / "commands").exists()


def test_a_build_of_dev_is_replaced_by_the_release_before_the_update_begins(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    server = FakeCluster()
    mark = DevBuild("ada", "laptop", 7, "2026-11-21T08:00:00Z", server.release, "src-0")
    dev_build.run(api_server.cluster(server), "api", "registry.example.com/slipway/api:dev-1", "dev-1", mark)
    monkeypatch.setattr(connection, "connect", lambda *_: api_server.cluster(server))
    up.command("dev", yes=True, rolls_back=False)
    assert server.image == server.release
    assert "slipway-dev" not in server.managers
    told = "dev: Deployment/api ran a build of ./slipway dev (ada@laptop, process 7, since 2026-11-21T08:00:00Z); "
    assert f"{told}the image of the release is put back\n" in capsys.readouterr().err


def test_a_mistake_in_the_settings_leaves_everything_as_it_is(engine: Path):
    write_events(engine, [begins(STACK, planning=True), error("stacks/Pulumi.dev.yaml has 1 mistake", None)])
    assert up.command("dev", yes=True, rolls_back=True) == 1
    assert not (engine / "rollback").exists()


def test_with_no_return_a_failure_is_left_as_it_is_with_the_command_to_roll_back(
    engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert up.command("dev", yes=True, rolls_back=False) == 1
    assert not (engine / "rollback").exists()
    assert "./slipway rollback 0a1b2c3d -s dev" in capsys.readouterr().err


def test_a_first_deployment_that_fails_has_nothing_to_roll_back_to(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def unknown(stack: str) -> Any:
        raise EngineError("no stack named 'dev' found")

    monkeypatch.setattr(engine_state, "export", unknown)
    assert up.command("dev", yes=True, rolls_back=True) == 1
    assert "there is no former release to roll back to" in capsys.readouterr().err


def test_a_rollback_that_fails_as_well_says_what_was_not_rolled_back(engine: Path, capsys: pytest.CaptureFixture[str]):
    (engine / "stuck").touch()
    assert up.command("dev", yes=True, rolls_back=True) == 1
    assert "the rollback to release 0a1b2c3d failed as well. Secrets were not rolled back" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_by_hand_lets_the_engine_end_in_good_order_and_rolls_nothing_back(engine: Path, number: signal.Signals):
    """Ctrl-C goes to the engine and to us; SIGTERM to us alone, and we stop the engine."""
    (engine / "pulumi").write_text(
        f"#!{sys.executable}\nimport pathlib, signal, sys, time\nhere = pathlib.Path({str(engine)!r})\n"
        "def stop(*_):\n    (here / 'ended').touch()\n    sys.exit(255)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        f"pathlib.Path(sys.argv[-1]).write_text({(engine / 'events').read_text()!r})\n"
        "(here / 'runs').touch()\ntime.sleep(60)\n"
    )
    code = "from slipway.ops.program.engine_run import run; it = run(['pulumi', 'up']); "
    code += "print(it.interrupted, it.needs_rollback, it.code)"
    options = {"stdout": subprocess.PIPE, "text": True}
    with child([sys.executable, "-c", code], cwd=REPOSITORY, start_new_session=True, **options) as run:
        while not (engine / "runs").exists():
            assert run.poll() is None
            time.sleep(0.05)
        if number == signal.SIGINT:
            os.killpg(run.pid, number)
        else:
            run.send_signal(number)
        assert run.communicate(timeout=30)[0].split() == ["True", "False", "255"]
    assert (engine / "ended").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_by_hand_while_the_engine_starts_is_not_lost(monkeypatch: pytest.MonkeyPatch, number: signal.Signals):
    """The engine, in this process's group, gets Ctrl-C from the terminal; here the test sends it."""
    start = subprocess.Popen

    def interrupted_start(command: list[str], **options: Any) -> Any:
        os.kill(os.getpid(), number)
        engine = start(command, **options)
        if number == signal.SIGINT:
            engine.send_signal(signal.SIGINT)
        return engine

    monkeypatch.setattr(subprocess, "Popen", interrupted_start)
    outcome = engine_run.run(["sh", "-c", "exec sleep 60", "pulumi"])
    assert (outcome.interrupted, outcome.needs_rollback, outcome.code) == (True, False, -signal.SIGINT)

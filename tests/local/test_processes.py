"""A daemon is identified by pid and start time, and no other process is ever stopped."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from local.processes import Process, Processes, current_process, process_stat, wait_for_end
from tests.plugins.watchdog import child

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def processes(tmp_path: Path):
    processes = Processes(tmp_path / "records", tmp_path / "logs")
    yield processes
    processes.stop(*processes.names(), seconds=1)


def record(tmp_path: Path, name: str) -> Process:
    return Process(**json.loads((tmp_path / "records" / f"{name}.json").read_text()))


def test_a_running_daemon_is_not_started_again(processes: Processes) -> None:
    assert processes.start("nap", ["sleep", "60"], env=ENV)
    assert not processes.start("nap", ["sleep", "60"], env=ENV)


def test_a_daemon_with_an_older_configuration_is_restarted(processes: Processes, tmp_path: Path) -> None:
    config, certificate = tmp_path / "config", tmp_path / "certificate"
    config.write_text("a: 1")
    certificate.write_text("old")

    def start() -> bool:
        command = ["sh", "-c", "sleep 60", f"--config={config}"]
        return processes.start("nap", command, reads=[certificate], env=ENV)

    assert [start(), start()] == [True, False]
    first = processes.get("nap")
    config.write_text("a: 2")
    assert [start(), start()] == [True, False]
    certificate.write_text("new")
    assert [start(), start()] == [True, False]
    assert first and not first.alive


def test_a_killed_daemon_is_started_again(processes: Processes) -> None:
    processes.start("nap", ["sleep", "60"], env=ENV)
    process = processes.get("nap")
    assert process
    os.kill(process.pid, signal.SIGKILL)
    assert wait_for_end(process, 5)
    assert processes.start("nap", ["sleep", "60"], env=ENV)


def test_a_zombie_counts_as_ended() -> None:
    with child(["true"]) as finished:
        process = current_process(finished.pid)
        deadline = time.monotonic() + 5
        while process_stat(finished.pid)[0] != "Z" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process_stat(finished.pid)[0] == "Z"
        assert not process.alive


def test_a_later_process_with_the_same_pid_is_left_alone(processes: Processes, tmp_path: Path) -> None:
    with child(["sleep", "60"]) as stranger:
        earlier = replace(current_process(stranger.pid), start_ticks=current_process(stranger.pid).start_ticks - 1)
        (tmp_path / "records").mkdir()
        (tmp_path / "records" / "nap.json").write_text(json.dumps(asdict(earlier)))
        assert processes.get("nap") is None
        processes.stop("nap")
        assert stranger.poll() is None


def test_a_process_from_before_a_reboot_is_not_ours() -> None:
    assert current_process(os.getpid()).alive
    assert not replace(current_process(os.getpid()), boot_id="another").alive


def test_a_process_that_ignores_sigterm_is_killed(processes: Processes, tmp_path: Path) -> None:
    processes.start("deaf", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], env=ENV)
    while "ready" not in processes.log("deaf").read_text():
        time.sleep(0.01)
    process = record(tmp_path, "deaf")
    assert processes.stop("deaf", seconds=0.2) == ["deaf"]
    assert not process.alive
    assert processes.names() == []


def test_a_program_sees_the_name_it_is_started_under(processes: Processes) -> None:
    processes.start("etcd", ["etcd", "-c", 'echo "I am $0"; sleep 60'], program=Path("/bin/sh"), env=ENV)
    deadline = time.monotonic() + 5
    while "I am" not in processes.log("etcd").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processes.log("etcd").read_text() == "I am etcd\n"


def test_a_truncated_record_is_no_process(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "nap.json").write_text('{"pid": 1')
    assert processes.get("nap") is None


def test_names_with_brackets_do_not_confuse_the_start_time(tmp_path: Path) -> None:
    odd = tmp_path / "a) b (c"
    odd.symlink_to("/bin/sleep")
    with child([odd, "60"]) as sleeping:
        assert process_stat(sleeping.pid)[1] > 0

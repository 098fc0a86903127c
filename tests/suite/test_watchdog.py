"""A test that hangs ends together with its processes, and so does the whole run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.plugins.watchdog import child

STUCK = """
import subprocess, threading, time
import pytest

@pytest.mark.timeout(1)
def test_that_waits_for_a_process_which_nobody_stops():
    with subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
"""
THREAD = """
import threading, time

def test_that_leaves_a_thread():
    threading.Thread(target=time.sleep, args=(600,)).start()
    assert True
"""


def run_file(text: str, tmp_path: Path, **variables: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run a test file, and return the seconds it took and its result."""
    (tmp_path / "test_stuck.py").write_text(text)
    started = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.plugins.watchdog",
        "-p",
        "no:anyio",
        "--rootdir",
        str(tmp_path),
    ]
    env = {**os.environ, **variables}
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    return time.monotonic() - started, done


def test_a_run_that_is_stuck_after_its_timeout_ends_with_the_name_of_the_test(tmp_path: Path):
    seconds, done = run_file(STUCK, tmp_path)
    assert done.returncode != 0
    assert "in test_that_waits_for_a_process_which_nobody_stops" in done.stderr
    assert seconds < 30


def test_a_thread_that_nobody_stops_does_not_keep_the_run_from_ending(tmp_path: Path):
    (tmp_path / "conftest.py").write_text("from tests.plugins import watchdog\nwatchdog.END_SECONDS = 1\n")
    seconds, done = run_file(THREAD, tmp_path)
    assert "1 passed" in done.stdout
    assert done.returncode != 0
    assert seconds < 30


def test_a_process_ends_with_the_block_that_started_it_whatever_ends_the_block():
    with pytest.raises(TimeoutError), child(["sleep", "600"]) as process:
        raise TimeoutError
    assert process.returncode == -9

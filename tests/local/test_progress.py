"""Steps run in parallel, report what they do, and end together."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from local.errors import SetupError, SetupFailedError
from local.progress import Runner, Screen, Step, Task, last_line
from tests.plugins.watchdog import child

CLONE = Path(__file__).resolve().parents[2]


def run(logs: Path, *steps: Step) -> str:
    out = io.StringIO()
    Runner(logs, Screen(out)).run(steps)
    return out.getvalue()


def test_independent_steps_run_at_the_same_time(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=5)

    def meet(task: Task) -> str:
        meeting.wait()
        return "met"

    assert run(tmp_path, Step("one", meet), Step("two", meet)).count("met") == 2


def test_a_step_waits_for_its_dependencies(tmp_path: Path) -> None:
    order: list[str] = []

    def record(task: Task) -> None:
        time.sleep(0.05 if task.name == "first" else 0)
        order.append(task.name)

    run(
        tmp_path,
        Step("last", record, after=("first", "second")),
        Step("second", record, after=("first",)),
        Step("first", record),
    )
    assert order == ["first", "second", "last"]


def test_a_failed_command_names_its_reason_its_log_and_the_fix(tmp_path: Path) -> None:
    def fail(task: Task) -> None:
        task.run(["sh", "-c", "echo disk full >&2; exit 3"])

    with pytest.raises(SetupFailedError) as caught:
        run(tmp_path, Step("building it", fail))
    assert str(caught.value).splitlines() == [
        "error: building it: `sh -c echo disk full >&2; exit 3` failed with exit code 3: disk full",
        f"  fix: read {tmp_path / 'building-it.log'}, then run `make up` again: it continues where it stopped",
    ]


def test_a_failure_ends_the_other_steps_and_starts_no_new_one(tmp_path: Path) -> None:
    started: list[str] = []

    def sleep(task: Task) -> None:
        started.append(task.name)
        task.run(["sleep", "60"])

    def fail(task: Task) -> None:
        while not started:
            time.sleep(0.01)
        raise SetupError("broken", "mend it")

    began = time.monotonic()
    with pytest.raises(SetupFailedError, match=r"^error: broken\n  fix: mend it$"):
        run(tmp_path, Step("long", sleep), Step("bad", fail), Step("never", sleep, after=("bad",)))
    assert started == ["long"]
    assert time.monotonic() - began < 10


def test_a_bug_in_a_step_is_not_reported_as_an_error_of_the_user(tmp_path: Path) -> None:
    def bug(task: Task) -> None:
        raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        run(tmp_path, Step("step", bug))


def test_ctrl_c_ends_the_children(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from local.progress import Runner, Screen, Step
        nap = Step("nap", lambda task: task.run(["sh", "-c", "echo $$; exec sleep 60"]))
        Runner(Path({str(tmp_path)!r}), Screen()).run([nap])
    """)
    with child([sys.executable, "-c", script], cwd=CLONE, stderr=subprocess.PIPE, text=True) as process:
        log = tmp_path / "nap.log"
        while not (log.exists() and len(log.read_text().splitlines()) > 1):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=10)[1]
    with pytest.raises(ProcessLookupError):
        os.kill(int(last_line(log)), 0)


def test_a_long_step_reports_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.progress.HEARTBEAT_SECONDS", 0.5)

    def compile_slowly(task: Task) -> None:
        task.run(["sh", "-c", "echo k8s.io/api/core/v1; sleep 1.5"])

    assert "compile … 1 s: k8s.io/api/core/v1" in run(tmp_path, Step("compile", compile_slowly))


def test_lines_shown_on_the_screen_are_also_in_the_log(tmp_path: Path) -> None:
    out = run(tmp_path, Step("show", lambda task: task.run(["echo", "created"], show=bool)))
    assert "  created" in out
    assert "created" in (tmp_path / "show.log").read_text()


def test_a_wait_that_times_out_says_for_what(tmp_path: Path) -> None:
    with pytest.raises(SetupFailedError) as caught:
        run(tmp_path, Step("node", lambda task: task.wait_until(lambda: False, "the node is not ready", 0.1)))
    assert "node: the node is not ready after 0 s" in str(caught.value)


def test_a_log_file_gets_plain_lines(tmp_path: Path) -> None:
    assert "\x1b" not in run(tmp_path, Step("step", lambda task: "done"))

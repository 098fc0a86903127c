"""`./slipway dev --debug`: a breakpoint in a handler stops a request, and at the end the release runs as before."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
import urllib3

from slipway.ops.development import delve
from tests.e2e.cluster.test_dev import await_rollouts, images
from tests.e2e.conftest import ROOT, environment, eventually, kubectl, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

HANDLER = "app/internal/api/version.go"
LINE = "return writeJSON"


@pytest.fixture
def debugged(tmp_path: Path) -> Generator[tuple[subprocess.Popen[bytes], str]]:
    """A session that debugs the service api, and the address of its debugger."""
    up()
    messages = tmp_path / "stderr"
    command = ["./slipway", "dev", "-s", "local", "api", "--debug"]
    with messages.open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=errors)
    try:

        def connects() -> re.Match[str] | None:
            assert process.poll() is None, messages.read_text()
            return re.search(r"dlv connect (127\.0\.0\.1:\d+)", messages.read_text())

        eventually(lambda: connects() is not None, 600, "the address of the debugger")
        found = connects()
        assert found
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=120)
        await_rollouts()


def shape() -> str:
    """Return what a debugger changes beside the image."""
    probes = "{.spec.template.spec.containers[0]['command','args','resources','livenessProbe','readinessProbe']}"
    bounds = kubectl("get", "hpa", "api", "-o", "jsonpath={.spec.minReplicas} {.spec.maxReplicas}")
    return kubectl("get", "deployment", "api", "-o", f"jsonpath={probes}") + bounds


def test_a_breakpoint_in_a_handler_stops_a_request_until_it_is_continued(
    debugged: tuple[subprocess.Popen[bytes], str], api: urllib3.HTTPSConnectionPool, tmp_path: Path
):
    process, address = debugged
    # The pods of the release still end.
    await_rollouts()
    eventually(lambda: kubectl("get", "deployment", "api", "-o", "jsonpath={.status.replicas}") == "1", 120, "one pod")
    number = next(at for at, line in enumerate((ROOT / HANDLER).read_text().splitlines(), 1) if LINE in line)
    script = tmp_path / "breakpoint"
    script.write_text(f"break {ROOT / HANDLER}:{number}\ncontinue\nstack\nclearall\nquit -c\n")
    client = subprocess.Popen(
        [delve.program("linux/amd64"), "connect", address, "--init", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    answers: list[int] = []
    assert client.stdout
    shown = ""
    while "Breakpoint 1 set" not in shown:
        line = client.stdout.readline()
        assert line, shown
        shown += line
    asking = threading.Thread(target=lambda: answers.append(api.request("GET", "/version", timeout=60).status))
    asking.start()
    rest, _ = client.communicate(timeout=120)
    asking.join(timeout=60)
    assert "getVersion" in rest, shown + rest
    assert f"version.go:{number}" in rest
    assert answers == [200]
    assert process.poll() is None


@pytest.mark.feature("L1", part="the release is put back at the end")
def test_ctrl_c_puts_back_all_that_a_debugger_has_changed(
    api: urllib3.HTTPSConnectionPool, request: pytest.FixtureRequest
):
    up()
    before, released = shape(), images()
    process, _ = request.getfixturevalue("debugged")
    assert shape() != before
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 0
    await_rollouts()
    assert (shape(), images()) == (before, released)
    assert run("./slipway", "drift", "-s", "local").stdout == "local: the cluster holds what was applied\n"
    assert api.request("GET", "/version").json()["version"].startswith("src-")

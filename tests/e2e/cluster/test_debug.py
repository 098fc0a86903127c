"""`./slipway dev --debug`: a breakpoint in a handler stops a request, and at the end the release runs as before."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
import urllib3

from slipway.ops.development import delve
from tests.e2e.cluster.test_dev import HANDLER, Developer, await_rollouts, images
from tests.e2e.conftest import ROOT, eventually, kubectl, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LINE = "return writeJSON"


@pytest.fixture
def debugged(tmp_path: Path) -> Generator[Developer]:
    """A session that debugs the service api, and that a debugger can connect to."""
    up()
    developer = Developer(tmp_path, "api", "--debug")
    try:
        developer.await_message("dlv connect 127.0.0.1:", 600)
        yield developer
    finally:
        if developer.process.poll() is None:
            developer.stop()
        await_rollouts()


def shape() -> str:
    """Return what a debugger changes beside the image."""
    probes = "{.spec.template.spec.containers[0]['command','args','resources','livenessProbe','readinessProbe']}"
    bounds = kubectl("get", "hpa", "api", "-o", "jsonpath={.spec.minReplicas} {.spec.maxReplicas}")
    return kubectl("get", "deployment", "api", "-o", f"jsonpath={probes}") + bounds


def test_a_breakpoint_in_a_handler_stops_a_request_until_it_is_continued(
    debugged: Developer, api: urllib3.HTTPSConnectionPool, tmp_path: Path
):
    address = debugged.messages.rpartition("dlv connect ")[2].split()[0]
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
    assert debugged.process.poll() is None


@pytest.mark.feature("L1", part="the release is put back at the end")
def test_ctrl_c_puts_back_all_that_a_debugger_has_changed(
    api: urllib3.HTTPSConnectionPool, request: pytest.FixtureRequest
):
    up()
    before, released = shape(), images()
    developer: Developer = request.getfixturevalue("debugged")
    assert shape() != before
    assert developer.stop() == 0
    await_rollouts()
    assert (shape(), images()) == (before, released)
    assert run("./slipway", "drift", "-s", "local").stdout == "local: the cluster holds what was applied\n"
    assert api.request("GET", "/version").json()["version"].startswith("src-")

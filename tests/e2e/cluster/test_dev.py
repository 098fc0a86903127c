"""`./slipway dev`: a saved file is served while no request is lost, and at the end the release runs again."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest
import urllib3

from tests.e2e.conftest import ROOT, Edit, environment, eventually, kubectl, pulumi, run, up, version
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HANDLER = "app/internal/api/version.go"
# The number of cores that the app reports: 1 in the local stack.
CORES, EDITED_CORES = "runtime.GOMAXPROCS(0)", "runtime.GOMAXPROCS(0) + 100"


class Developer:
    """A `./slipway dev` that runs beside the test, of all services or with these arguments: a service, and options."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._output, self._messages = folder / "stdout", folder / "stderr"
        with self._output.open("wb") as output, self._messages.open("wb") as messages:
            self.process = subprocess.Popen(
                ["./slipway", "dev", "-s", "local", *arguments],
                cwd=ROOT,
                env=environment(),
                stdout=output,
                stderr=messages,
            )
        services = arguments[0] if arguments else "api, web"
        try:
            self.await_message(f"following app/ for {services}; Ctrl-C puts the release back")
        except BaseException:
            # Otherwise it would roll out what later tests edit.
            self.stop()
            raise

    @property
    def messages(self) -> str:
        """Its messages so far."""
        return self._messages.read_text()

    @property
    def logs(self) -> str:
        """The log lines of the services so far."""
        return self._output.read_text()

    def await_message(self, text: str, seconds: float = 120) -> None:
        """Wait until it prints this."""
        eventually(lambda: text in self.messages or self.process.poll() is not None, seconds, text)
        assert text in self.messages, self.messages

    def stop(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=120)


@pytest.fixture
def edit_while_developing(edit: Edit, tmp_path: Path) -> Generator[tuple[Edit, Developer]]:
    """A session on the stack as its sources are. What a test edits is restored after the session has ended."""
    up()
    developer = Developer(tmp_path)
    yield edit, developer
    if developer.process.poll() is None:
        developer.stop()
    await_rollouts()


def await_rollouts() -> None:
    """Wait until all pods of both services are of one version."""
    for service in ("api", "web"):
        kubectl("rollout", "status", f"deployment/{service}", "--timeout=120s")


def images() -> dict[str, str]:
    """Return what each service runs."""
    found = json.loads(kubectl("get", "deployments", "-o", "json"))["items"]
    return {
        deployment["metadata"]["name"]: deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        for deployment in found
        if deployment["metadata"]["name"] in ("api", "web")
    }


def cores(api: urllib3.HTTPSConnectionPool) -> int:
    return api.request("GET", "/version").json()["goMaxProcs"]


@pytest.mark.feature("L1")
def test_a_saved_handler_is_served_without_a_lost_request_and_its_logs_are_streamed(
    edit_while_developing: tuple[Edit, Developer], api: urllib3.HTTPSConnectionPool
):
    edit, developer = edit_while_developing
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        edit(HANDLER, CORES, EDITED_CORES)
        seconds = eventually(lambda: cores(api) == 101, 120, "the answer of the saved handler")
        developer.await_message(" · serving ")
        await_rollouts()
        time.sleep(3)
    print(f"from the saved file to its answer: {seconds:.1f} s\n{developer.messages}")
    assert load.sent > 100
    assert load.lost == []
    assert version(api).startswith("dev-")
    assert {cores(api) for _ in range(20)} == {101}
    assert "api-" in developer.logs
    assert "web-" in developer.logs


@pytest.mark.feature("L1", part="a compile error keeps the version that runs")
def test_a_compile_error_is_printed_and_the_former_answer_stays(
    edit_while_developing: tuple[Edit, Developer], api: urllib3.HTTPSConnectionPool
):
    edit, developer = edit_while_developing
    before = images()
    edit(HANDLER, CORES, "undefinedCores")
    developer.await_message("undefined: undefinedCores")
    assert "internal/api/version.go:" in developer.messages
    developer.await_message("the version that runs stays")
    assert images() == before
    assert cores(api) == 1
    edit(HANDLER, "undefinedCores", EDITED_CORES)
    eventually(lambda: cores(api) == 101, 120, "the answer of the mended handler")


@pytest.mark.feature("L1", part="the release is put back at the end")
def test_ctrl_c_puts_the_image_of_the_release_back_and_leaves_no_drift(
    edit_while_developing: tuple[Edit, Developer], api: urllib3.HTTPSConnectionPool
):
    edit, developer = edit_while_developing
    before = images()
    edit(HANDLER, CORES, EDITED_CORES)
    developer.await_message(" · serving ")
    assert images() != before
    with Load(api, "/v1/shops") as load:
        assert developer.stop() == 0
        await_rollouts()
        time.sleep(3)
    assert load.lost == []
    assert images() == before
    assert "local: api: src-" in developer.messages
    assert run("./slipway", "drift", "-s", "local").stdout == "local: the cluster holds what was applied\n"
    assert "local: the state is in order\n" in run("./slipway", "doctor", "-s", "local").stderr
    assert cores(api) == 1


def test_a_session_that_is_killed_is_named_and_the_next_up_puts_the_release_back(
    edit_while_developing: tuple[Edit, Developer], api: urllib3.HTTPSConnectionPool
):
    edit, developer = edit_while_developing
    before = images()
    edit(HANDLER, CORES, EDITED_CORES)
    developer.await_message(" · serving ")
    developer.process.kill()
    developer.process.wait(timeout=30)
    edit(HANDLER, EDITED_CORES, CORES)
    assert "runs a build of ./slipway dev (" in run("./slipway", "status", "-s", "local", ok=False).stdout
    drift = run("./slipway", "drift", "-s", "local", ok=False)
    assert drift.returncode == 2
    assert "by slipway-dev (Apply, " in drift.stdout
    doctor = run("./slipway", "doctor", "-s", "local", ok=False)
    assert doctor.returncode == 1
    assert "Deployment/api runs a build of ./slipway dev (" in doctor.stderr
    updated = run("./slipway", "up", "-s", "local", "--yes")
    assert "Deployment/api ran a build of ./slipway dev (" in updated.stderr
    assert images() == before
    assert run("./slipway", "drift", "-s", "local").stdout == "local: the cluster holds what was applied\n"
    pulumi("preview", "--expect-no-changes")
    assert cores(api) == 1


def test_an_update_beside_a_session_is_deployed_and_the_next_save_runs_over_it(
    edit_while_developing: tuple[Edit, Developer], api: urllib3.HTTPSConnectionPool
):
    edit, developer = edit_while_developing
    edit(HANDLER, CORES, EDITED_CORES)
    developer.await_message(" · serving ")
    edit("stacks/Pulumi.local.yaml", "LOG_LEVEL: debug", "LOG_LEVEL: info")
    developer.await_message("stacks/Pulumi.local.yaml changed, which this does not apply: ./slipway up -s local")
    run("./slipway", "up", "-s", "local", "--yes")
    released = images()
    assert cores(api) == 101
    edit(HANDLER, EDITED_CORES, f"{CORES} + 200")
    eventually(lambda: cores(api) == 201, 120, "the answer of the second edit")
    assert developer.stop() == 0
    assert images() == released


def test_the_sources_as_they_were_are_deployed_again(api: urllib3.HTTPSConnectionPool):
    up()
    assert cores(api) == 1
    pulumi("preview", "--expect-no-changes")

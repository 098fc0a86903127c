"""Updates that are killed, stopped, disconnected or concurrent: the state is repaired, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import urllib3

from local.down import records
from local.processes import Processes
from tests.e2e.conftest import LOCAL, ROOT, Edit, environment, eventually, kubectl, pulumi, run, up, variables
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LEVEL = "env: {LOG_LEVEL: debug"
KILLS = 10
# About how long an update takes that rolls both services.
LONGEST_SECONDS = 20.0


class Update:
    """A running `pulumi up` that rolls both services, because a variable changed."""

    def __init__(self, edit: Edit, folder: Path) -> None:
        self._edit, self._changed = edit, f"env: {{FIRE: '{time.monotonic()}', LOG_LEVEL: debug"
        edit(LOCAL, LEVEL, self._changed)
        self.output = folder / "up.txt"
        command = ["pulumi", "up", "--yes", "--skip-preview", "-s", "local", "--non-interactive", "--color", "never"]
        with self.output.open("w") as output_file:
            self.engine = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(),
                stdout=output_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self, number: signal.Signals) -> int:
        """Send the signal, and return the exit code. SIGKILL goes to the whole session, so that no process is left."""
        target = os.killpg if number == signal.SIGKILL else os.kill
        target(self.engine.pid, number)
        return self.engine.wait(timeout=120)

    def revert_edit(self) -> None:
        """Restore the stack file, so that the next update reverts this one."""
        self._edit(LOCAL, self._changed, LEVEL)


def repair() -> None:
    """Run `doctor --fix` and one update, and check that the state is in order and no change is left."""
    print(run("./slipway", "doctor", "--fix", "-s", "local").stderr)
    up()
    assert "the state is in order" in run("./slipway", "doctor", "--state", "-s", "local").stderr
    pulumi("preview", "--expect-no-changes")
    eventually(lambda: run("./slipway", "status", "-s", "local", ok=False).returncode == 0, 60, "the stack is healthy")


def storage_uids() -> str:
    """Return the uids of the volume claims and stores, which have to survive."""
    return kubectl("get", "persistentvolumeclaims,statefulsets", "-o", "jsonpath={.items[*].metadata.uid}")


@pytest.mark.parametrize("moment", range(KILLS))
def test_an_update_killed_at_any_moment_is_repaired(
    moment: int, api: urllib3.HTTPSConnectionPool, edit: Edit, tmp_path: Path
):
    before = storage_uids()
    seconds = random.uniform(1, LONGEST_SECONDS)  # noqa: S311 - no secret
    with Load(api, "/v1/shops", rate=20) as load:
        update = Update(edit, tmp_path)
        time.sleep(seconds)
        killed = update.end(signal.SIGKILL)
        print(f"kill {moment + 1}: after {seconds:.1f} s: exit code {killed}")
        repair()
    assert load.lost == []
    assert storage_uids() == before


@pytest.mark.parametrize(
    "unlock", [("./slipway", "doctor", "--fix"), ("pulumi", "cancel", "--yes")], ids=["doctor", "cancel"]
)
def test_a_killed_update_can_be_followed_by_one_that_reverts_it(
    unlock: tuple[str, ...], api: urllib3.HTTPSConnectionPool, edit: Edit, tmp_path: Path
):
    """The update is killed after the new migration ran and before the old one is deleted."""
    before = variables()
    with Load(api, "/v1/shops", rate=20) as load:
        update = Update(edit, tmp_path)
        eventually(lambda: variables() != before, 60, "the pods are replaced")
        update.end(signal.SIGKILL)
        update.revert_edit()
        locked = run("./slipway", "up", "--yes", "-s", "local", ok=False)
        assert "stack local is locked by an update that is gone" in locked.stderr
        run(*unlock, "-s", "local")
        print(run("./slipway", "up", "--yes", "-s", "local").stderr)
        repair()
    assert load.lost == []


def test_an_update_stopped_by_ctrl_c_is_repaired(api: urllib3.HTTPSConnectionPool, edit: Edit, tmp_path: Path):
    with Load(api, "/v1/shops", rate=20) as load:
        update = Update(edit, tmp_path)
        time.sleep(8)
        update.end(signal.SIGINT)
        repair()
    assert load.lost == []


def test_one_of_two_concurrent_updates_is_refused_and_the_other_succeeds(edit: Edit, tmp_path: Path):
    update = Update(edit, tmp_path)
    locks = ROOT / ".slipway/state/.pulumi/locks"
    eventually(lambda: list(locks.rglob("*.json")) != [], 30, "the first has locked the state")
    second = run("./slipway", "up", "--yes", "-s", "local", ok=False)
    assert second.returncode == 1
    assert "locked" in second.stdout + second.stderr
    diagnosis = run("./slipway", "doctor", "--fix", "-s", "local", ok=False)
    assert diagnosis.returncode == 1
    assert "locked by an update that is running" in diagnosis.stderr
    assert update.engine.wait(timeout=120) == 0, update.output.read_text()
    repair()


def test_an_update_that_loses_the_api_server_is_repaired(api: urllib3.HTTPSConnectionPool, edit: Edit, tmp_path: Path):
    server = Processes(records(), ROOT / ".slipway" / "cluster" / "logs").get("kube-apiserver")
    assert server
    with Load(api, "/v1/shops", rate=20) as load:
        update = Update(edit, tmp_path)
        time.sleep(7)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            time.sleep(20)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        update.engine.wait(timeout=200)
        eventually(lambda: "ok" in kubectl("get", "--raw", "/readyz", ok=False), 60, "the API server answers")
        repair()
    assert load.lost == []

"""Each fault in a running stack is named within a minute, and no request is lost.

The table printed at the end is docs/reference/faults.md; it is written when all faults were tried.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.e2e.conftest import (
    NAMESPACE,
    ROOT,
    environment,
    eventually,
    kubectl,
    planned_changes,
    pulumi,
    run,
    up,
)
from tests.e2e.load import Load
from tests.load.conftest import results_table
from tests.load.faults import FAULTS, Fault, pod_of_app

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DOCUMENT = ROOT / "docs" / "reference" / "faults.md"
NAMED_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Row:
    """Result of one fault."""

    fault: Fault
    next: str
    seconds: float
    sent: int
    lost: int
    healthy: bool
    changes: int
    """How many changes a preview plans after the repair."""

    @property
    def after(self) -> str:
        """The state of the stack after the repair."""
        return f"{'healthy' if self.healthy else 'NOT healthy'}, {self.changes} changes planned"

    @property
    def next_command(self) -> str:
        """The suggested next command, escaped for a table cell."""
        return self.next.replace("|", r"\|")


@pytest.fixture(scope="module")
def table() -> Generator[list[Row]]:
    """Collect the results of the tests; they are printed and written at the end."""
    up()
    with results_table(DOCUMENT, document, len(FAULTS)) as rows:
        yield rows


def document(rows: list[Row]) -> str:
    lines = [
        f"| {row.fault.what} | {row.fault.label} | {row.seconds:.0f} | {row.sent} | {row.lost} "
        f"| {row.after} | `{row.next_command}` |"
        for row in rows
    ]
    return (
        "<!-- Written by `make e2e-faults`. -->\n# Faults\n\n"
        "Put into the running local stack one by one, at 20 requests a second from before the fault until after it\n"
        "was put right. Seconds count from the moment the cluster has the fault until `./slipway status` names it.\n"
        "After each one `pulumi up --refresh` brings the stack back.\n\n"
        "| fault | label | seconds | requests | lost | after | next |\n|---|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n"
    )


@pytest.mark.feature("D1")
@pytest.mark.feature("D2")
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.what for fault in FAULTS])
def test_a_fault_is_named_within_a_minute_and_no_request_is_lost(
    fault: Fault, api: urllib3.HTTPSConnectionPool, table: list[Row], tmp_path: Path
):
    eventually(lambda: status()["healthy"], 60, "the stack is healthy before the fault")
    with Load(api, "/v1/shops", rate=20) as load:
        time.sleep(2)
        with inject(fault, tmp_path):
            seconds, output = wait_until_named(fault, tmp_path)
            after = status()
        pulumi("up", "--yes", "--skip-preview", "--refresh")
        eventually(lambda: status()["healthy"], 60, "the stack is healthy after the fault")
        time.sleep(2)
    # Both services run one image, so both may have the fault.
    cause = after["causes"][0]
    healthy, changes = status()["healthy"], planned_changes()
    table.append(Row(fault, cause["next"], seconds, load.sent, len(load.lost), healthy, len(changes)))
    assert {cause["label"] for cause in after["causes"]} == {fault.label}, output
    assert cause["evidence"]
    assert not after["healthy"]
    assert load.sent > 100
    assert load.lost == []
    assert seconds < NAMED_WITHIN_SECONDS
    assert (healthy, changes) == (True, {})


@contextmanager
def inject(fault: Fault, folder: Path) -> Generator[None]:
    """Put the fault into the stack, and remove it at the end of the block."""
    before = {name: (ROOT / name).read_bytes() for name, _, _ in fault.edits}
    manifest = folder / "fault.json"
    objects = fault.objects()
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    try:
        for name, old, new in fault.edits:
            text = (ROOT / name).read_text()
            assert old in text, f"{name} does not hold {old!r}"
            # The first match is the service api, which comes first in the stack file.
            (ROOT / name).write_text(text.replace(old, new, 1))
        for name, content in fault.files.items():
            (ROOT / name).write_text(content)
        if objects:
            kubectl("apply", "-f", str(manifest))
        if fault.refuses_pods:
            eventually(pods_are_refused, 60, "the API server refuses pods")
        fault.act()
        yield
    finally:
        for name, content in before.items():
            (ROOT / name).write_bytes(content)
        for name in fault.files:
            (ROOT / name).unlink(missing_ok=True)
        if objects:
            kubectl("delete", "--ignore-not-found", "-f", str(manifest))
        fault.undo()


def wait_until_named(fault: Fault, folder: Path) -> tuple[float, str]:
    """Wait until `./slipway status` names the fault. Return the seconds it took, and the output of `pulumi up`."""
    known = pod_owners() if fault.deploys else set[str]()
    since = seconds = None
    with (folder / "up.txt").open("w+") as output_file:
        command = ["pulumi", "up", "--yes", "--skip-preview", "-s", "local", "--non-interactive", "--color", "never"]
        engine = subprocess.Popen(
            command if fault.deploys else ["true"],
            cwd=ROOT,
            env=environment(),
            stdout=output_file,
            stderr=subprocess.STDOUT,
        )
        try:
            end = time.monotonic() + 300
            while engine.poll() is None or seconds is None:
                if since is None and pod_owners() - known:
                    since = time.monotonic()
                labels = [cause["label"] for cause in status()["causes"]]
                if seconds is None and fault.label in labels:
                    named = time.monotonic()
                    seconds = named - (since or named)
                output_file.seek(0)
                assert time.monotonic() < end, f"not named {fault.label}, but {labels}\n{output_file.read()}"
                time.sleep(0.5)
        finally:
            if engine.poll() is None:
                engine.terminate()
                engine.wait()
        output_file.seek(0)
        output = output_file.read()
    assert (engine.returncode != 0) == fault.deploys, output
    return seconds, output


def pod_owners() -> set[str]:
    """Return the ReplicaSets and Jobs: a fault of the pods can be seen from the moment a new one exists."""
    return set(kubectl("get", "replicasets,jobs", "-o", "name").split())


def status() -> dict[str, Any]:
    """Return the report of `./slipway status`, whose exit code has to match it."""
    done = run("./slipway", "status", "-s", "local", "--json", ok=False)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert report["healthy"] == (done.returncode == 0)
    return report


def pods_are_refused() -> bool:
    command = ("kubectl", "--context", "slipway-local", "-n", NAMESPACE, "apply", "--dry-run=server", "-f", "-")
    pod = {"apiVersion": "v1", "kind": "Pod", **pod_of_app("fault"), "metadata": {"name": "fault"}}
    created = subprocess.run(
        command, cwd=ROOT, env=environment(), input=json.dumps(pod), capture_output=True, text=True, check=False
    )
    return created.returncode != 0


# --- logs


@pytest.mark.feature("L3", part="logs that follow a pod that comes later")
def test_logs_hold_lines_of_all_pods_and_follow_a_pod_that_comes_later(
    api: urllib3.HTTPSConnectionPool, tmp_path: Path
):
    up()
    shown = run("./slipway", "logs", "-s", "local", "api", "--since", "1h", "--json").stdout
    lines = [json.loads(line) for line in shown.splitlines()]
    assert len({line["pod"] for line in lines}) >= 2
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    with (tmp_path / "logs.txt").open("w+") as output_file:
        command = ["./slipway", "logs", "-s", "local", "api", "-f", "--since", "1s"]
        following = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=output_file, stderr=subprocess.STDOUT)
        try:
            kubectl("rollout", "restart", "deployment/api")
            kubectl("rollout", "status", "deployment/api", "--timeout=120s")
            pod = kubectl("get", "pods", "-l", "app.kubernetes.io/name=api", "-o", "name").split()[-1]
            short = f"api-{pod.rpartition('-')[2]} "

            def shows() -> bool:
                api.request("GET", "/v1/shops")
                output_file.seek(0)
                return f"\n{short}" in f"\n{output_file.read()}"

            eventually(shows, 60, f"a line of {short}")
        finally:
            following.send_signal(signal.SIGINT)
        assert following.wait(timeout=10) == 0
        output_file.seek(0)
        assert "Traceback" not in output_file.read()
    up()

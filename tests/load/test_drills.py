"""Each drill passes on the running local stack, reports what it observed, and leaves the stack as it was.

The table printed at the end is docs/reference/drills.md; it is written when all drills were run.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from slipway.ops.drills.catalogue import DRILLS
from slipway.ops.drills.report import REPORTS
from tests.e2e.conftest import ROOT, environment, eventually, kubectl, pulumi, run, running_pods, up
from tests.load.conftest import results_table

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DOCUMENT = ROOT / "docs" / "reference" / "drills.md"
EFFECTS = {
    "kill-pod": "another pod is ready in its place within 60 s",
    "drain": "all of them are gone within 90 s",
    "redis-down": "a review written without Redis is counted within 15 s",
    "mysql-slow": "requests that MySQL holds up are answered with 503",
    "expired-certificate": "clients that verify it refuse: the certificate has expired within 30 s",
    "full-quota": "a further pod is refused: FailedCreate: exceeded quota within 30 s",
    "leaked-secret": "no pod accepts the stolen token within 30 s",
}
"""The check of each drill that proves that its fault had an effect."""

INTRODUCTION = """<!-- Written by `make e2e-drills`. -->
# Drills

`./slipway drill NAME -s local` on the running local stack, at 20 requests a second that are sent whether or not earlier
ones were answered. Lost is what was not answered with 200; where 503 or a refused certificate is right, it counts, too.
After each of them there is no drift, and a preview that plans no change.

"""

Report = dict[str, Any]


@pytest.fixture(scope="module")
def reports() -> Generator[list[Report]]:
    """Collect the reports of the drills; they are printed and written at the end."""
    up()
    with results_table(DOCUMENT, document, len(DRILLS)) as rows:
        yield rows


def document(reports: list[Report]) -> str:
    rows = [
        f"| {report['drill']} | {report['does']} | {asserted['expected']} | {asserted['seen']} "
        f"| {_lost(report['traffic'])} | {report['traffic']['longestOutageSeconds']} s | {report['seconds']:.0f} s |"
        for report in reports
        for asserted in report["checks"]
        if asserted["expected"] == EFFECTS[report["drill"]]
    ]
    heading = "| drill | does | effect asserted | seen | lost | longest without a 200 | took |\n" + 7 * "|---" + "|\n"
    return INTRODUCTION + heading + "\n".join(rows) + "\n"


def _lost(traffic: dict[str, Any]) -> str:
    by = ", ".join(traffic["lostBy"])
    return f"{traffic['lost']} of {traffic['sent']}{f' ({by})' if by else ''}"


@pytest.mark.feature("O3")
@pytest.mark.parametrize("name", [drill.name for drill in DRILLS])
def test_a_drill_passes_and_leaves_the_stack_as_it_was(name: str, reports: list[Report]):
    eventually(is_healthy, 120, "the stack is healthy before the drill")
    done = run("./slipway", "drill", name, "-s", "local", "--json", ok=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [report] = json.loads(done.stdout)["drills"]
    reports.append(report)
    assert (report["drill"], report["verdict"], report["endedBy"]) == (name, "passed", None)
    assert {check["expected"]: check["passed"] for check in report["checks"]}[EFFECTS[name]]
    assert [check["expected"] for check in report["checks"] if not check["passed"]] == []
    assert report["traffic"]["sent"] > 100
    assert report["runbook"]
    text = (ROOT / report["file"]).read_text()
    assert text.startswith(f"# {name}: passed\n")
    assert EFFECTS[name] in text
    assert_nothing_is_left()


def assert_nothing_is_left() -> None:
    """Check that there is no drift, no field owned by a drill, and no change to deploy."""
    eventually(is_healthy, 120, "the stack is healthy after the drill")
    drift = run("./slipway", "drift", "-s", "local", ok=False)
    assert drift.returncode == 0, drift.stdout + drift.stderr
    kinds = "statefulsets,resourcequotas,secrets,deployments"
    items = json.loads(kubectl("get", kinds, "-o", "json", "--show-managed-fields"))["items"]
    owned = [
        f"{item['kind']}/{item['metadata']['name']}"
        for item in items
        if any(owner.get("manager") == "slipway" for owner in item["metadata"].get("managedFields", []))
    ]
    assert owned == []
    pulumi("preview", "--expect-no-changes")


def is_healthy() -> bool:
    done = run("./slipway", "status", "-s", "local", "--json", ok=False)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    return report["healthy"] and {service["rollout"] for service in report["services"]} == {"complete"}


def test_a_drill_stopped_by_ctrl_c_restores_everything_and_reports_it(tmp_path: Path):
    eventually(is_healthy, 120, "the stack is healthy before the drill")
    before = {file.name for file in REPORTS.glob("redis-down-*.md")}
    with (tmp_path / "output.txt").open("w+") as output_file:
        command = ["./slipway", "drill", "redis-down", "-s", "local"]
        drill = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=output_file, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: "redis-0" not in running_pods(), 90, "Redis is gone")
        finally:
            drill.send_signal(signal.SIGINT)
            code = drill.wait(timeout=180)
        output_file.seek(0)
        text = output_file.read()
    assert code == 1, text
    assert "Traceback" not in text
    [report] = [file for file in REPORTS.glob("redis-down-*.md") if file.name not in before]
    assert "The drill ended early: it was stopped by hand." in report.read_text()
    assert_nothing_is_left()


def test_a_drill_is_refused_while_the_stack_is_not_healthy(api: urllib3.HTTPSConnectionPool):
    kubectl("scale", "statefulset", "redis", "--replicas=0")
    try:
        eventually(lambda: "redis-0" not in running_pods(), 60, "Redis is gone")
        time.sleep(1)
        refused = run("./slipway", "drill", "kill-pod", "-s", "local", ok=False)
    finally:
        kubectl("scale", "statefulset", "redis", "--replicas=1")
        kubectl("rollout", "status", "statefulset/redis", "--timeout=120s")
    assert refused.returncode == 1
    assert "no drill on stack local now: NOT HEALTHY: redis has 0 of 1 pods" in refused.stderr
    assert api.request("GET", "/v1/shops").status == 200

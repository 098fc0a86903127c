"""`./slipway doctor` on the local cluster: all is there, and what is taken away is named with its fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import eventually, kubectl, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
METRICS = "apiservice/v1beta1.metrics.k8s.io"


def checks() -> dict[str, dict[str, Any]]:
    """Return what `./slipway doctor` finds, by the name of the check."""
    done = run("./slipway", "doctor", "-s", "local", "--json", ok=False)
    return {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def test_the_local_stack_has_everything_it_needs():
    found = checks()
    assert {"python", "pulumi", "plugins", "cluster", "clock", "rights", "kinds", "names", "metrics"} <= set(found)
    assert [check for check in found.values() if check["state"] != "ok"] == []
    assert found["cluster"]["found"].startswith("Kubernetes v1.")


def test_metrics_that_the_cluster_does_not_serve_are_named_with_the_fix(tmp_path: Path):
    before = json.loads(kubectl("get", METRICS, "-o", "json"))
    metadata = {"labels": before["metadata"].get("labels", {}), "name": before["metadata"]["name"]}
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({**before, "metadata": metadata}))
    kubectl("delete", METRICS)
    try:
        eventually(lambda: checks()["metrics"]["state"] == "failed", 30, "doctor says that metrics are missing")
        [problem] = checks()["metrics"]["problems"]
        assert problem["fix"] == "install or repair metrics-server"
    finally:
        kubectl("create", "-f", str(kept))
    eventually(lambda: checks()["metrics"]["state"] == "ok", 60, "metrics are served again")

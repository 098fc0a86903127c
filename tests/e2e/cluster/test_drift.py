"""`./slipway drift` reports manual changes with their field manager, but no changes by an autoscaler."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import kubectl, pulumi, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def drift(code: int) -> list[dict[str, Any]]:
    done = run("./slipway", "drift", "-s", "local", "--json", ok=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)["drift"]


@pytest.mark.feature("O1")
def test_drift_reports_a_manual_edit_with_its_manager_and_ignores_the_autoscaler_s_replicas():
    up()
    assert drift(0) == []
    kubectl("patch", "hpa", "web", "--field-manager=somebody", "-p", json.dumps({"spec": {"maxReplicas": 9}}))
    kubectl("scale", "deployment", "api", "--replicas=3")
    kubectl("delete", "poddisruptionbudget", "web")
    changes = {change["object"]: change for change in drift(2)}
    assert changes.keys() == {"HorizontalPodAutoscaler/web", "PodDisruptionBudget/web"}
    edited = changes["HorizontalPodAutoscaler/web"]
    assert (edited["field"], edited["applied"], edited["found"]) == ("spec.maxReplicas", 4, 9)
    assert edited["managers"][0].startswith("somebody (Update, ")
    assert changes["PodDisruptionBudget/web"]["found"] == "gone"


def test_a_reverted_edit_is_no_drift_and_an_update_with_refresh_recreates_a_deleted_object():
    kubectl("patch", "hpa", "web", "--field-manager=somebody", "-p", json.dumps({"spec": {"maxReplicas": 4}}))
    pulumi("up", "--yes", "--skip-preview", "--refresh")
    assert drift(0) == []
    pulumi("preview", "--expect-no-changes")

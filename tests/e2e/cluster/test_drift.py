"""What somebody does by hand to a deployed stack is told with their name, and what an autoscaler does is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import kubectl, pulumi, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def drift(code: int) -> list[dict[str, Any]]:
    told = run("./slipway", "drift", "-s", "local", "--json", ok=False)
    assert told.returncode == code, told.stdout + told.stderr
    return json.loads(told.stdout)["drift"]


@pytest.mark.feature("O1")
def test_an_edit_by_hand_is_told_with_its_manager_and_an_autoscaler_s_replicas_are_not():
    up()
    assert drift(0) == []
    kubectl("patch", "hpa", "web", "--field-manager=somebody", "-p", json.dumps({"spec": {"maxReplicas": 9}}))
    kubectl("scale", "deployment", "api", "--replicas=3")
    kubectl("delete", "poddisruptionbudget", "web")
    found = {one["object"]: one for one in drift(2)}
    assert found.keys() == {"HorizontalPodAutoscaler/web", "PodDisruptionBudget/web"}
    edited = found["HorizontalPodAutoscaler/web"]
    assert (edited["field"], edited["applied"], edited["found"]) == ("spec.maxReplicas", 4, 9)
    assert edited["managers"][0].startswith("somebody (Update, ")
    assert found["PodDisruptionBudget/web"]["found"] == "gone"


def test_what_is_put_back_by_hand_is_no_drift_and_what_is_gone_comes_back_with_a_refresh():
    kubectl("patch", "hpa", "web", "--field-manager=somebody", "-p", json.dumps({"spec": {"maxReplicas": 4}}))
    pulumi("up", "--yes", "--skip-preview", "--refresh")
    assert drift(0) == []
    pulumi("preview", "--expect-no-changes")

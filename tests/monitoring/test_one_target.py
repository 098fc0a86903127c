"""One target of the stack file decides about rules, alerts, dashboard, canary and the gate on releases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.monitoring import burn_rate
from slipway.monitoring.dashboard import grafana_json
from slipway.monitoring.groups import groups_of
from slipway.monitoring.panels import rows
from slipway.ops.monitoring import gate, slo
from tests.monitoring.conftest import SLO
from tests.ops.monitoring.fake_prometheus import FakePrometheus, monitored, spent

BAD = 0.0007
"""Share of the requests that failed: more than 99.95 % allow, and less than 99.9 % do."""


def following(availability: float) -> dict[str, Any]:
    """Return what follows from this availability of api, by who uses it."""
    settings = monitored({"services.api.slo": {**SLO, "availability": availability}})
    rules = [rule for group in groups_of(settings, "operator") for rule in group["rules"]]
    own = [rule for rule in rules if rule["labels"].get("slo") == "availability"]
    panels = [panel for row in rows(settings) if row.service == "api" for panel in row.panels]
    board = json.loads(grafana_json(settings))["panels"]
    prometheus = FakePrometheus(spent(BAD)).client
    states = [slo.budget(prometheus, objective) for objective in gate.gated(settings)]
    return {
        "rules": [rule["expr"] for rule in own if rule.get("record") == burn_rate.ERROR_BUDGET],
        "alerts": [rule["expr"] for rule in own if "alert" in rule],
        "panels": [panel.limits for panel in panels if "availability allows" in panel.limits],
        "dashboard": [panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds") for panel in board],
        "canary": settings.services["api"].canary_in_force.error_percent,
        "gate": [state.objective.name for state in states if state.is_burnt],
    }


@pytest.mark.feature("H5")
def test_another_target_moves_rules_alerts_dashboard_canary_and_gate():
    strict, loose = following(99.95), following(99.9)
    assert {user for user in strict if strict[user] == loose[user]} == set()
    assert (strict["gate"], loose["gate"]) == (["availability"], [])
    assert strict["rules"] == ["vector(1-0.9995)"]
    assert [limits["availability allows"] for limits in loose["panels"]] == [0.001, 0.001]


def test_the_same_target_moves_nothing():
    assert following(99.95) == following(99.95)

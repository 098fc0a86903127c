"""Alerts about the stack's own Prometheus and Alertmanager: what would keep other alerts from their receivers.

That Prometheus itself is gone no alert can say: Kubernetes restarts it, and `./slipway status` reports it.
"""

from __future__ import annotations

from typing import Any

from slipway.monitoring.alerts import Rule, alert
from slipway.monitoring.selectors import selector
from slipway.monitoring.service_alerts import labels_of
from slipway.settings.sections.monitoring import ALERTMANAGER, PROMETHEUS
from slipway.settings.settings import Settings

NAME = "monitoring"
# Longer than a restart of either, which each change of the rules or receivers brings.
HOLD = "5m"


def group(settings: Settings) -> dict[str, Any]:
    """Return the rule group; only the stack's own servers need it."""
    rules = [_rules_fail(settings), *(_delivery(settings) if settings.monitoring.receivers else [])]
    return {"name": NAME, "rules": rules}


def _rules_fail(settings: Settings) -> Rule:
    own = selector(settings, PROMETHEUS)
    return _alert(
        settings,
        PROMETHEUS,
        "RuleEvaluationFails",
        f"sum(increase(prometheus_rule_evaluation_failures_total{{{own}}}[5m])) > 0",
        "Prometheus cannot evaluate some of its rules.",
        "{{ $value | humanize }} evaluations failed in 5 minutes; alerts that need them stay silent.",
    )


def _delivery(settings: Settings) -> list[Rule]:
    """Return the alerts on the way of an alert from Prometheus to the receivers."""
    prometheus, alertmanager = (selector(settings, name) for name in (PROMETHEUS, ALERTMANAGER))
    return [
        _alert(
            settings,
            PROMETHEUS,
            "AlertsNotDelivered",
            f"sum(rate(prometheus_notifications_errors_total{{{prometheus}}}[5m])) > 0",
            "Prometheus cannot hand its alerts to Alertmanager.",
            "{{ $value | humanize }} alerts a second are lost between the two.",
        ),
        _alert(
            settings,
            ALERTMANAGER,
            "AlertmanagerDown",
            f"up{{{alertmanager}}} == 0",
            "Alertmanager does not answer.",
            "Nobody is told of alerts; `./slipway status` shows those that fire.",
        ),
        _alert(
            settings,
            ALERTMANAGER,
            "NotificationsFail",
            f"sum by (integration) (rate(alertmanager_notifications_failed_total{{{alertmanager}}}[5m])) > 0",
            "Alertmanager does not reach a receiver.",
            "{{ $value | humanize }} notifications a second by {{ $labels.integration }} fail.",
        ),
    ]


def _alert(  # noqa: PLR0917 - the order of a rule file
    settings: Settings, service: str, name: str, expr: str, summary: str, description: str
) -> Rule:
    return alert(name, expr, "ticket", labels_of(settings, service), summary, description, hold=HOLD)

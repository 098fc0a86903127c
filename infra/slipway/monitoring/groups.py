"""All rules of a stack, as groups that Prometheus and the operator's PrometheusRule take alike."""

from __future__ import annotations

from typing import Any, Literal

from slipway.monitoring import burn_rate, capacity, scaling, service_alerts
from slipway.monitoring.slo import objectives
from slipway.settings.settings import Settings

Source = Literal["operator", "cluster", "none"]


def groups(settings: Settings) -> list[dict[str, Any]]:
    """Return the rule groups of a stack: recording rules and alerts. Empty if nothing is monitored."""
    return groups_of(settings, settings.monitoring.source)


def groups_of(settings: Settings, source: Source) -> list[dict[str, Any]]:
    """Return the rule groups of a stack that is monitored by this source."""
    if source == "none":
        return []
    return [
        *(group for objective in objectives(settings) for group in burn_rate.groups(objective)),
        *(group for name in settings.services for group in service_alerts.groups(settings, name)),
        *capacity.groups(settings, cluster_metrics=source == "operator"),
        *scaling.groups(settings),
    ]

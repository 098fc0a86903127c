"""The alerts of a stack that are firing, for `./slipway status`."""

from __future__ import annotations

from slipway.ops.cluster.connection import StackCluster
from slipway.ops.monitoring import prometheus
from slipway.ops.monitoring.prometheus import Alert, PrometheusError


def alerts(cluster: StackCluster) -> tuple[list[Alert], list[str]]:
    """Return what is firing, and a note if it is not known. Nothing is asked about a stack without monitoring."""
    monitoring = cluster.settings.monitoring
    # Without an address, the alerts of the operator's Prometheus are read elsewhere.
    if monitoring.source == "none" or (monitoring.source == "operator" and not monitoring.url):
        return [], []
    try:
        known = prometheus.connect(cluster.stack, cluster.settings, cluster).alerts(cluster.namespace)
    except PrometheusError as error:
        return [], [f"firing alerts are not known: {error}"]
    return [alert for alert in known if alert.state == "firing"], []

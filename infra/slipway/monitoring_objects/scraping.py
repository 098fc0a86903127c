"""prometheus.yml: which pods are scraped, by which labels their series are known, and who is told of alerts.

Prometheus finds the pods by DNS: a headless Service per service resolves to the addresses of its pods. So it needs no
access to the API server.
"""

from __future__ import annotations

from typing import Any

import yaml

from slipway.settings.names import metrics_address
from slipway.settings.sections.contract import Metrics
from slipway.settings.sections.monitoring import ALERTMANAGER, PORTS, PROMETHEUS
from slipway.settings.settings import Settings

PROMETHEUS_PORT, ALERTMANAGER_PORT = PORTS[PROMETHEUS], PORTS[ALERTMANAGER]
# A fast burn is seen after two samples. `for` and the windows of the alerts are multiples of it.
INTERVAL = "15s"


def config(settings: Settings, rules_file: str) -> str:
    """Return prometheus.yml."""
    alertmanager = [f"{ALERTMANAGER}:{ALERTMANAGER_PORT}"] if settings.monitoring.receivers else []
    document: dict[str, Any] = {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": [rules_file],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": alertmanager}]}] if alertmanager else []},
        "scrape_configs": [
            *(_service(name, metrics, settings) for name, metrics in settings.monitored_services.items()),
            _server(PROMETHEUS, f"localhost:{PROMETHEUS_PORT}", settings),
            *(_server(ALERTMANAGER, target, settings) for target in alertmanager),
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _service(name: str, metrics: Metrics, settings: Settings) -> dict[str, Any]:
    port = settings.services[name].container_ports[str(metrics.port)]
    discovery = {"names": [metrics_address(name)], "type": "A", "port": port, "refresh_interval": INTERVAL}
    return {
        "job_name": name,
        "metrics_path": metrics.path,
        "dns_sd_configs": [discovery],
        "relabel_configs": relabeling(name, settings.namespace),
    }


def _server(name: str, target: str, settings: Settings) -> dict[str, Any]:
    return {
        "job_name": name,
        "static_configs": [{"targets": [target]}],
        "relabel_configs": relabeling(name, settings.namespace),
    }


def relabeling(service: str, namespace: str) -> list[dict[str, str]]:
    """Return the labels of all series of a service, whatever the app says of itself."""
    labels = {"service": service, "namespace": namespace}
    return [{"target_label": label, "replacement": value} for label, value in labels.items()]

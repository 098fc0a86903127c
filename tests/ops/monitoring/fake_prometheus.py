"""A Prometheus that answers from a table, in the form of the HTTP API of Prometheus 2.42 and 3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from slipway.ops.monitoring import prometheus
from slipway.ops.monitoring.prometheus import Prometheus
from slipway.settings.sections.slo import Window
from slipway.settings.settings import Settings
from tests.monitoring.conftest import SLO, settings_of

URL = "http://prometheus.example.com:9090"
NOW = 1_796_000_000.0
OPERATOR: dict[str, Any] = {"monitoring": {"source": "operator"}, "cluster.monitoringNamespace": "monitoring"}
MONITORED: dict[str, Any] = {**OPERATOR, "monitoring": {"source": "operator", "url": URL}, "services.api.slo": SLO}

Result = list[tuple[dict[str, str], float]]
"""Labels and value of each series."""


@dataclass
class FakePrometheus:
    """Answers an expression with the value beside the first part of it that is in the table; all others with nothing.

    It is a handler of requests as httpx2's MockTransport takes it, also behind the proxy of the API server.
    """

    values: Mapping[str, float | Result] = field(default_factory=dict[str, "float | Result"])
    active: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Alerts, as Prometheus lists them."""
    queries: list[str] = field(default_factory=list[str])
    paths: list[str] = field(default_factory=list[str])

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.paths.append(request.url.path)
        parameters = dict(request.url.params)
        endpoint = request.url.path.rpartition("/api/v1/")[2]
        if endpoint == "alerts":
            return _success({"alerts": self.active})
        self.queries.append(parameters["query"])
        found = next((result for part, result in self.values.items() if part in parameters["query"]), [])
        series = found if isinstance(found, list) else [({}, found)]
        if endpoint == "query":
            return _success({"result": [{"metric": labels, "value": [NOW, f"{value}"]} for labels, value in series]})
        start, end, step = (float(parameters[name]) for name in ("start", "end", "step"))
        times = [start + index * step for index in range(int((end - start) / step) + 1)]
        return _success(
            {"result": [{"metric": labels, "values": [[t, f"{value}"] for t in times]} for labels, value in series]}
        )

    @property
    def client(self) -> Prometheus:
        """A client of it."""
        return prometheus.at_address(URL, httpx2.MockTransport(self))


def _success(data: dict[str, Any]) -> httpx2.Response:
    return httpx2.Response(200, json={"status": "success", "data": data})


def monitored(changes: dict[str, Any] | None = None) -> Settings:
    """Return the settings of a stack with objectives and a Prometheus."""
    return settings_of("dev", {**MONITORED, **(changes or {})})


def spent(share: float, slo: str = "availability", window: Window = "30d") -> dict[str, float | Result]:
    """Return the recorded share of bad requests of an objective, as a table of values."""
    return {f'slo:sli_error:ratio_rate{window}{{namespace="slipway-dev", service="api", slo="{slo}"}}': share}

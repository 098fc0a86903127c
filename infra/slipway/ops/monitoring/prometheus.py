"""A client of the Prometheus that watches a stack: at its address, or through the API server in front of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2

from slipway.cluster.api_client import ANSWER_SECONDS, CONNECT_SECONDS
from slipway.objects import mapping
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster
from slipway.ops.errors import UserError
from slipway.settings.sections.monitoring import PORTS, PROMETHEUS
from slipway.settings.settings import Settings


class PrometheusError(UserError):
    """Prometheus cannot be asked, does not answer, or refuses a query; the message says which one and why."""


@dataclass(frozen=True)
class Series:
    """The values of one series over time; of an instant query there is one."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]
    """Time in seconds since 1970, and value, which may be NaN."""

    @property
    def value(self) -> float:
        """The last value."""
        return self.points[-1][1]


@dataclass(frozen=True)
class Alert:
    """An alert that is pending or firing."""

    name: str
    state: str
    severity: str
    service: str
    summary: str
    since: str
    """When its condition became true, as Prometheus writes it."""


@dataclass(frozen=True)
class Prometheus:
    """One Prometheus."""

    name: str
    """For messages: `Prometheus at http://prometheus.example.com:9090`."""
    get: Callable[[str], str]
    """Returns the body of the answer to a path with query, such as `api/v1/alerts`. Raises `PrometheusError`."""

    def query(self, expr: str, time: float | None = None) -> list[Series]:
        """Return the value of each series now, or at another time. Raises `PrometheusError`."""
        at = {"time": f"{time:.3f}"} if time is not None else {}
        return [
            Series(item["metric"], [_point(item["value"])]) for item in self._result("query", {"query": expr, **at})
        ]

    def value(self, expr: str) -> float | None:
        """Return the value of an expression with one result; None without one, or if it is not a number."""
        values = [series.value for series in self.query(expr) if not math.isnan(series.value)]
        return values[0] if values else None

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """Return the values of each series between two times, in steps of seconds. Raises `PrometheusError`."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return [
            Series(item["metric"], [_point(pair) for pair in item["values"]])
            for item in self._result("query_range", {"query": expr, **times})
        ]

    def alerts(self, namespace: str) -> list[Alert]:
        """Return the alerts of a stack that are pending or firing, those that page first. Raises `PrometheusError`."""
        active = self._data("alerts")["alerts"]
        # An operator's Prometheus has those of other stacks, and of the cluster itself.
        own = [alert for alert in active if mapping(alert, "labels").get("namespace") == namespace]
        return sorted(map(_alert, own), key=lambda alert: (alert.severity, alert.service, alert.name))

    def _result(self, endpoint: str, parameters: Mapping[str, str]) -> list[Any]:
        return self._data(f"{endpoint}?{urlencode(parameters)}")["result"]

    def _data(self, path: str) -> Any:
        body = self.get(f"api/v1/{path}")
        try:
            answer = json.loads(body)
            if answer["status"] == "success":
                return answer["data"]
            reason = answer["error"]
        except (ValueError, KeyError, TypeError):
            reason = f"no answer of the API of Prometheus: {' '.join(body.split())[:100]!r}"
        raise PrometheusError(f"{self.name}: {reason}")


def connect(stack: str, settings: Settings, cluster: StackCluster | None = None) -> Prometheus:
    """Return the Prometheus of a stack, by its settings. Raises `PrometheusError` if they name none."""
    monitoring = settings.monitoring
    where = f"stacks/Pulumi.{stack}.yaml: slipway:monitoring"
    if monitoring.source == "none":
        raise PrometheusError(f"stack {stack} is not monitored. Set source to cluster or operator ({where})")
    if monitoring.url:
        return at_address(monitoring.url)
    if monitoring.source == "cluster":
        return through_api_server(stack, settings, cluster)
    raise PrometheusError(
        f"stack {stack} does not say where its Prometheus answers. Set url ({where}), as seen from this machine"
    )


def at_address(url: str, transport: httpx2.BaseTransport | None = None) -> Prometheus:
    """Return the Prometheus at an address."""
    name = f"Prometheus at {url}"
    timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)

    def get(path: str) -> str:
        try:
            with httpx2.Client(transport=transport, timeout=timeout) as client:
                response = client.get(f"{url.rstrip('/')}/{path}")
        except (httpx2.HTTPError, OSError) as error:
            raise PrometheusError(f"{name} does not answer: {error or type(error).__name__}") from None
        # It explains a query that it refuses, with the code 400 or 422.
        if response.is_error and not response.text.startswith("{"):
            raise PrometheusError(f"{name} answers HTTP {response.status_code} {response.reason_phrase}")
        return response.text

    return Prometheus(name, get)


def through_api_server(stack: str, settings: Settings, cluster: StackCluster | None = None) -> Prometheus:
    """Return the Prometheus that a stack runs itself."""
    name = f"Prometheus of stack {stack} (Service/{PROMETHEUS} in {settings.namespace})"

    def get(path: str) -> str:
        try:
            return (cluster or connection.connect(stack, settings)).service_get(PROMETHEUS, PORTS[PROMETHEUS], path)
        except (ClusterError, RefusedError) as error:
            raise PrometheusError(f"{name} does not answer: {error}") from None

    return Prometheus(name, get)


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def _alert(alert: Mapping[str, Any]) -> Alert:
    labels, annotations = mapping(alert, "labels"), mapping(alert, "annotations")
    return Alert(
        name=labels.get("alertname", ""),
        state=alert.get("state", ""),
        severity=labels.get("severity", ""),
        service=labels.get("service", ""),
        summary=annotations.get("summary", ""),
        since=alert.get("activeAt", ""),
    )

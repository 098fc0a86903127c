"""The requests that the pods of a canary have answered, by the app's own counters.

Each pod serves them where `metrics` of its service says; where Prometheus scrapes the pods, it has them from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import httpx2

from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import StackCluster
from slipway.settings.sections.contract import Metrics
from slipway.settings.sections.service import Service

SERVER_ERROR = "5"

Series: TypeAlias = tuple[str, dict[str, str], float]
"""Name, labels and value."""


@dataclass(frozen=True)
class Sample:
    """The counters of one or more pods at a moment, over all routes; a difference of two is what came in between."""

    requests: float = 0
    errors: float = 0
    buckets: Mapping[float, float] = field(default_factory=dict[float, float])
    """Requests by upper bound of their duration in seconds; cumulative, as in Prometheus."""

    @classmethod
    def of(cls, series: Iterable[Series], metrics: Metrics) -> Sample:
        """Sum up the app's series. Raises MetricsError if the counter of requests lacks the label with the code."""
        requests, errors, buckets = 0.0, 0.0, dict[float, float]()
        for name, labels, value in series:
            if name == metrics.requests:
                if metrics.code_label not in labels:
                    known = ", ".join(sorted(labels)) or "none"
                    raise MetricsError(
                        f"{name} has no label {metrics.code_label}; set metrics.codeLabel to one of {known}"
                    )
                requests += value
                errors += value if labels[metrics.code_label].startswith(SERVER_ERROR) else 0
            elif name == f"{metrics.durations}_bucket":
                bound = float(labels["le"])
                buckets[bound] = buckets.get(bound, 0) + value
        return cls(requests, errors, buckets)

    def __add__(self, other: Sample) -> Sample:
        return self._with(other, 1)

    def __sub__(self, other: Sample) -> Sample:
        return self._with(other, -1)

    def _with(self, other: Sample, sign: int) -> Sample:
        bounds = self.buckets.keys() | other.buckets.keys()
        buckets = {bound: self.buckets.get(bound, 0) + sign * other.buckets.get(bound, 0) for bound in bounds}
        return Sample(self.requests + sign * other.requests, self.errors + sign * other.errors, buckets)

    @property
    def error_percent(self) -> float:
        """Share of the errors; 0 without a request."""
        return 100 * self.errors / self.requests if self.requests else 0

    def quantile(self, share: float) -> float:
        """Return the seconds within which that share of the requests was answered; 0 without a request.

        Interpolates within a bucket, as histogram_quantile of Prometheus does; infinite in the last bucket.
        """
        bounds = sorted(self.buckets)
        rank = share * self.buckets[bounds[-1]] if bounds else 0
        lower, below = 0.0, 0.0
        for bound in bounds:
            if self.buckets[bound] >= rank and self.buckets[bound] > below:
                return lower + (bound - lower) * (rank - below) / (self.buckets[bound] - below)
            lower, below = bound, self.buckets[bound]
        return 0


def parse(page: str) -> Iterator[Series]:
    """Yield the series of a /metrics page.

    These three lines read what two series need; prometheus_client's parser would be one more dependency for that.
    """
    for name, labels, value in re.findall(r"^([\w:]+)(?:\{(.*)\})? (\S+)", page, re.MULTILINE):
        yield name, dict(re.findall(r'\b(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(value)


class MetricsError(Exception):
    """The counters of a pod cannot be read; the message says why."""


@dataclass(frozen=True)
class PodMetrics:
    """The counters as the pods themselves serve them, read through the API server."""

    cluster: StackCluster
    service: Service
    name: str = "the pods themselves"

    def read(self, pod: str) -> Sample:
        """Return the counters of a pod. Raises RefusedError, ClusterError or MetricsError."""
        metrics = measured(self.service)
        port = self.service.container_ports[str(metrics.port)]
        return Sample.of(parse(self.cluster.proxy_get(pod, port, metrics.path.lstrip("/"))), metrics)


@dataclass(frozen=True)
class PrometheusMetrics:
    """The counters as Prometheus has them, in series with the labels `namespace` and `pod`."""

    url: str
    namespace: str
    metrics: Metrics
    transport: httpx2.BaseTransport | None = None

    @property
    def name(self) -> str:
        """`Prometheus at http://prometheus:9090`."""
        return f"Prometheus at {self.url}"

    def read(self, pod: str) -> Sample:
        """Return the counters of a pod as last scraped; zeros before that. Raises MetricsError."""
        names = f"{self.metrics.requests}|{self.metrics.durations}_bucket"
        matching = f'__name__=~"{names}",namespace="{self.namespace}",pod="{pod}"'
        try:
            with httpx2.Client(transport=self.transport, timeout=connection.ANSWER_SECONDS) as client:
                answer = client.get(f"{self.url.rstrip('/')}/api/v1/query", params={"query": f"{{{matching}}}"})
            series = answer.raise_for_status().json()["data"]["result"]
            read = [(item["metric"]["__name__"], item["metric"], float(item["value"][1])) for item in series]
        except (httpx2.HTTPError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise MetricsError(f"{self.name} does not answer: {error or type(error).__name__}") from None
        return Sample.of(read, self.metrics)


MetricsSource: TypeAlias = PodMetrics | PrometheusMetrics


def measured(service: Service) -> Metrics:
    """Return the metrics of a service with a canary, which has some by a rule of its settings."""
    metrics = service.metrics_in_force
    assert metrics  # noqa: S101 - see Service
    return metrics

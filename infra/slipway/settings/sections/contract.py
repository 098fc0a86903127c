"""Sections about the contract of an app: its ports, probes and metrics."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, Self, TypeAlias

from pydantic import Field

from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import AppProtocol, GrpcService, MetricLabel, MetricName, Port, PortName, UrlPath

HTTP, ADMIN = "http", "admin"
# As Grafana names them.
Unit: TypeAlias = Literal["short", "percentunit", "s", "bytes", "reqps"]
# Those of the reference app (app/internal/metrics/metrics.go).
BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]


class ExtraPort(Section):
    """A further port of the app, which the services that need it reach under the same number."""

    port: Port = Field(examples=[9999])
    """Port on which the app listens, and port of the Service."""
    app_protocol: AppProtocol | None = Field(default=None, examples=["grpc"])
    """Protocol, for proxies that look at the Service's `appProtocol`: grpc, kubernetes.io/h2c, kubernetes.io/ws."""


class Ports(Section):
    """The ports on which the app listens."""

    http: Port = Field(default=8080, examples=[8080])
    """Port of the requests. The Service has it as port 80."""
    admin: Port | None = Field(default=9090, examples=[9090])
    """Port of probes and metrics, which clients do not reach; `null`: the app has none. With `contract: none` and for a
    worker there is none unless it is given."""
    app_protocol: AppProtocol | None = Field(default=None, examples=["kubernetes.io/h2c"])
    """Protocol of the requests, if it is not HTTP/1.1: the Service's `appProtocol`."""
    extra: dict[PortName, ExtraPort] = Field(default={}, examples=[{"grpc": {"port": 9999, "appProtocol": "grpc"}}])
    """Further ports, by name. Services that need this one reach them as well."""

    @section_rule
    def _ports_differ(self) -> Self:
        if taken := sorted({HTTP, ADMIN} & self.extra.keys()):
            raise ValueError(f"extra: {', '.join(taken)} is a key beside extra; set it there")
        return self


class Probe(Section):
    """One probe of the kubelet: an HTTP request, a TCP connection or a gRPC health check."""

    path: UrlPath | None = Field(default=None, examples=["/health"])
    """Path that answers 200."""
    tcp: bool = False
    """Whether a connection to the port is enough."""
    grpc: GrpcService | None = Field(default=None, examples=["shop"])
    """Name of a service of the gRPC health protocol; `""` asks for the server as a whole."""
    port: PortName | None = Field(default=None, examples=["http"])
    """Name of the port. Default: admin; http for an app without."""
    period_seconds: int | None = Field(default=None, ge=1, le=300, examples=[5])
    """Time between two checks. Default: 1 for startup, 2 for ready, 10 for live."""
    failure_threshold: int | None = Field(default=None, ge=1, le=600, examples=[3])
    """How many checks in a row may fail. Default: 2 for ready, 3 for live; for startup as many as `startupSeconds`
    allows."""
    timeout_seconds: int = Field(default=2, ge=1, le=60, examples=[2])
    """How long an answer may take."""

    @section_rule
    def _one_way(self) -> Self:
        if [self.path is not None, self.tcp, self.grpc is not None].count(True) != 1:
            raise ValueError("give just one of path, tcp: true, grpc")
        return self

    @property
    def checks(self) -> tuple[object, ...]:
        """Return what is checked, by which two probes are compared."""
        return (self.path, self.tcp, self.grpc, self.port)


class Probes(Section):
    """How Kubernetes finds out whether the app has started, takes requests, and lives."""

    startup: Probe | None = Field(default=None)
    """Whether it has started. Default: the check of `live`."""
    ready: Probe | None = Field(default=None)
    """Whether it takes requests. Required, except for a worker."""
    live: Probe | None = Field(default=None)
    """Whether it has to be restarted. Default: a connection to the port of `ready`."""
    shared: bool = False
    """Let `ready` and `live` check the same, for an app with one health endpoint. A pod that is only busy, or waits for
    a database, is then restarted; `./slipway preview` and each run say so."""

    @section_rule
    def _ready_and_live_differ(self) -> Self:
        if self.shared or not self.ready or self.ready.tcp:
            return self
        if self.live and self.ready.checks == self.live.checks:
            raise ValueError(
                "live checks the same as ready, so a pod that is only busy would be restarted; set live: {tcp: true}, "
                "or shared: true if that is meant"
            )
        if self.startup and self.ready.checks == self.startup.checks:
            raise ValueError(
                "startup checks the same as ready, so a pod that waits for a database would be restarted; leave "
                "startup out, or set shared: true if that is meant"
            )
        return self


class Metrics(Section):
    """The metrics of the app in the format of Prometheus, by which a canary is judged."""

    path: UrlPath = Field(default="/metrics", examples=["/metrics"])
    """Path."""
    port: PortName | None = Field(default=None, examples=["http"])
    """Name of the port. Default: admin; http for an app without."""
    requests: MetricName = Field(default="http_requests_total", examples=["http_requests_total"])
    """Counter of the requests."""
    code_label: MetricLabel = Field(default="code", examples=["status"])
    """Label of that counter with the status code; 5xx are errors."""
    durations: MetricName = Field(default="http_request_duration_seconds", examples=["http_request_duration_seconds"])
    """Histogram of the response times in seconds, without `_bucket`."""
    route_label: MetricLabel = Field(default="route", examples=["path"])
    """Label of both with the route of a request: the dashboard has a line for each."""
    in_flight: MetricName | None = Field(default="http_requests_in_flight", examples=["http_requests_in_flight"])
    """Gauge of the requests that are running now; `null`: the app has none."""
    build_info: MetricName | None = Field(default="app_build_info", examples=["app_build_info"])
    """Gauge whose label `version` names the running version: the dashboard marks releases by it; `null`: the app has
    none."""
    go_runtime: bool = True
    """Whether the app has the series of the Go runtime, such as `go_goroutines`: the dashboard shows them."""
    buckets: list[Annotated[float, Field(gt=0)]] = Field(default=BUCKETS, min_length=1, examples=[[0.1, 0.25, 0.5, 1]])
    """Upper bounds of the histogram in seconds, in ascending order, without the infinite one. Targets under
    `slo.latency` are among them."""

    @section_rule
    def _buckets_ascend(self) -> Self:
        if any(lower >= upper for lower, upper in pairwise(self.buckets)):
            raise ValueError("buckets: should be in ascending order, each bound once")
        return self


class Panel(Section):
    """A diagram of the app's own metrics on the dashboard."""

    expr: str = Field(
        min_length=1, max_length=2000, examples=["sum by (result) (rate(app_cache_operations_total{$(selector)}[5m]))"]
    )
    """Expression in PromQL. `$(selector)` stands for the labels of this service's series: `namespace` and `service`."""
    unit: Unit = "short"
    """Unit of the values: short: a number · percentunit: a share, 1 is 100 % · s: seconds · bytes · reqps: a rate per
    second."""
    legend: str = Field(default="", max_length=100, examples=["{{result}}"])
    """Name of each line, with labels in braces. Default: all labels."""
    description: str = Field(default="", max_length=200, examples=["What Redis has answered."])
    """What it shows, in a sentence."""


class ProbeSet(NamedTuple):
    """The probes of an app in force, each with a port; None where there is none."""

    startup: Probe | None
    ready: Probe | None
    live: Probe | None
    shared: bool = False


# What an app that follows `contract: slipway` answers.
STANDARD = Probes(startup=Probe(path="/startupz"), ready=Probe(path="/readyz"), live=Probe(path="/livez"))


def probe_set(given: Probes | None, default_port: str) -> ProbeSet:
    """Return the probes in force: what is not given follows from what is."""
    probes = given or STANDARD
    ready = _with_port(probes.ready, default_port)
    live = _with_port(probes.live, default_port) or (Probe(tcp=True, port=ready.port) if ready else None)
    startup = _with_port(probes.startup, default_port) or (
        live.model_copy(update={"period_seconds": None, "failure_threshold": None}) if live else None
    )
    return ProbeSet(startup, ready, live, probes.shared)


def _with_port(probe: Probe | None, port: str) -> Probe | None:
    return probe.model_copy(update={"port": probe.port or port}) if probe else None

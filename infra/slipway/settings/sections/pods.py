"""Sections about pods: their resources, number, shutdown, and the jobs that run beside them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import Cpu, Cron, HttpUrl, LeadTime, Memory, StreamName, TimeZone
from slipway.settings.types.units import mebibytes, millicores

# The container runtime itself needs 6 MiB, and refuses to start a container with less.
MIN_MEBIBYTES = 8
# How long proxies and ingress keep sending requests to a terminating pod. Measured through an ingress at 50 requests a
# second: 1 s lost requests in two of three runs, 2 s lost none.
PROXY_UPDATE_SECONDS = 2
MAX_PODS = 100


class Resources(Section):
    """What one pod may use. Memory request and limit are one number, so that a pod is never evicted for a burst."""

    cpu: Cpu = Field(default="100m", examples=["250m"])
    """CPU request per pod."""
    cpu_limit: Cpu | None = Field(default=None, examples=["2"])
    """CPU limit per pod. Default: 1, or the request where that is more. GOMAXPROCS is set to it, rounded up."""
    memory: Memory = Field(default="64Mi", examples=["128Mi"])
    """Memory request and limit per pod. GOMEMLIMIT is set to 90 % of it."""

    @property
    def effective_cpu_limit(self) -> str:
        """Return the CPU limit in force."""
        return self.cpu_limit or max("1", self.cpu, key=millicores)

    @section_rule
    def _container_starts(self) -> Self:
        if mebibytes(self.memory) < MIN_MEBIBYTES:
            raise ValueError(f"memory ({self.memory}) is less than the {MIN_MEBIBYTES}Mi a container needs to start")
        return self

    @section_rule
    def _request_fits_limit(self) -> Self:
        if self.cpu_limit and millicores(self.cpu) > millicores(self.cpu_limit):
            raise ValueError(f"cpu ({self.cpu}) is more than cpuLimit ({self.cpu_limit})")
        return self


class ScheduledMinimum(Section):
    """A minimum number of pods at certain times. It only ever adds pods."""

    cron: Cron = Field(examples=["0 8 * * 1-5"])
    """When it begins: minute, hour, day of month, month, weekday (0 is Sunday)."""
    until: Cron = Field(examples=["0 22 * * 1-5"])
    """When it ends. The minimum applies from each `cron` time to the next `until`."""
    time_zone: TimeZone = Field(default="Etc/UTC", examples=["Europe/Berlin"])
    """IANA name of the time zone of both."""
    min: int = Field(ge=2, le=MAX_PODS, examples=[16])
    """Minimum number of pods in that time."""

    @section_rule
    def _begins_and_ends(self) -> Self:
        if self.cron.split() == self.until.split():
            raise ValueError(f"until ({self.until}) is when it begins; name a later time")
        return self


class Forecast(Section):
    """Pods for the load expected from the same hour of last week. It only ever adds pods."""

    ahead: LeadTime = Field(default="15m", examples=["15m"])
    """How long before the load the pods are there, from 5m to 60m."""


class Backlog(Section):
    """The entries of a Redis stream that no consumer of a group has read yet."""

    stream: StreamName = Field(examples=["orders"])
    """Name of the stream."""
    group: StreamName = Field(examples=["workers"])
    """Name of the consumer group."""
    per_pod: int = Field(ge=1, le=1000000, examples=[100])
    """Number of waiting entries for each pod: with 1000 waiting and 100 for each, 10 pods run."""


class Autoscaling(Section):
    """Bounds and targets of the autoscaler, which owns the number of replicas."""

    min: int = Field(default=2, ge=1, le=MAX_PODS, examples=[2])
    """Minimum number of pods."""
    max: int = Field(default=10, ge=1, le=MAX_PODS, examples=[10])
    """Maximum number of pods."""
    cpu_percent: int = Field(default=80, ge=10, le=95, examples=[80])
    """Target CPU utilization, in percent of the CPU request."""
    rps: int | None = Field(default=None, ge=1, le=1000000, examples=[50])
    """Target number of requests per second for each pod, beside `cpuPercent`. Default: CPU alone decides."""
    by: Literal["hpa", "keda"] = "hpa"
    """Who reads the other metrics: hpa: the HorizontalPodAutoscaler, from an adapter for the custom metrics API · keda:
    KEDA, by a ScaledObject. A change of this key keeps the pods that run."""
    prometheus: HttpUrl | None = Field(default=None, examples=["http://prometheus-operated.monitoring.svc:9090"])
    """Prometheus as KEDA reaches it (by: keda with `rps`)."""
    schedule: list[ScheduledMinimum] = Field(default=[])
    """Minimums at certain times (by: keda)."""
    backlog: Backlog | None = None
    """Scale by the entries that wait in a stream of the stack's Redis (by: keda). Default: by CPU."""
    forecast: Forecast | None = None
    """Add pods ahead of load that returns every week. `./slipway forecast` tells whether it pays. Default: none."""

    @section_rule
    def _min_fits_max(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is more than max ({self.max})")
        return self

    @section_rule
    def _scheduled_minimums_fit(self) -> Self:
        for index, scheduled in enumerate(self.schedule):
            if not self.min < scheduled.min <= self.max:
                raise ValueError(
                    f"schedule[{index}].min ({scheduled.min}) should be more than min ({self.min}), and at most max "
                    f"({self.max})"
                )
        return self

    @section_rule
    def _only_keda_knows_times_and_streams(self) -> Self:
        if self.by == "hpa":
            if self.schedule:
                raise ValueError(
                    "schedule: needs by: keda; a HorizontalPodAutoscaler knows no times, and a job that changes its "
                    "minimum would need rights in the API that no pod of a stack has"
                )
            if self.backlog:
                raise ValueError("backlog: needs by: keda; a HorizontalPodAutoscaler cannot read Redis")
            if self.prometheus:
                raise ValueError("prometheus: goes with by: keda; an HPA asks the adapter of the cluster")
        elif self.rps is None and not self.schedule and self.backlog is None:
            raise ValueError("by: keda has nothing to do; give rps, schedule or backlog, or take it out")
        return self

    @section_rule
    def _a_forecast_is_about_requests(self) -> Self:
        if self.forecast and self.rps is None:
            raise ValueError("forecast: needs rps, the number of requests per second that one pod takes")
        if self.prometheus and self.rps is None:
            raise ValueError("prometheus: goes with rps; nothing else is read from there")
        return self


class Drain(Section):
    """How a pod terminates without losing a request. Its grace period is the sum of the three and a margin."""

    pre_stop_seconds: int = Field(default=5, ge=0, le=60, examples=[5])
    """How long the pod keeps serving before SIGTERM, while proxies and ingress remove its address. For a worker 0,
    unless it is given."""
    delay_seconds: int = Field(default=1, ge=0, le=60, examples=[1])
    """How long the app keeps serving after SIGTERM, while it reports "not ready". 0 with `contract: none` and for a
    worker."""
    shutdown_seconds: int = Field(default=20, ge=1, le=300, examples=[20])
    """How long running requests get to finish: with `contract: none` the longest time that the app takes to answer one,
    and to end."""


class Job(Section):
    """A command of the app's own image, run to its end with the service's configuration and identity."""

    args: list[str] = Field(min_length=1, examples=[["migrate"]])
    """Arguments of the program."""
    deadline_seconds: int = Field(default=600, ge=10, le=86400, examples=[600])
    """How long the job may run before it has failed."""
    retries: int = Field(default=2, ge=0, le=10, examples=[2])
    """How often a failed pod is replaced."""


class Schedule(Job):
    """A recurring job. A run is skipped while the previous one has not ended."""

    cron: Cron = Field(examples=["30 3 * * *"])
    """When: minute, hour, day of month, month, weekday (0 is Sunday)."""
    time_zone: TimeZone = Field(default="Etc/UTC", examples=["Asia/Tokyo"])
    """IANA name of the time zone of `cron`."""

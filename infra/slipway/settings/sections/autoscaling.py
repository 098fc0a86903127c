"""The section of a service's number of pods: bounds, targets, and pods ahead of load."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import Cron, HttpUrl, LeadTime, StreamName, TimeZone

# What HPA and KEDA compare with the target of each pod. Of several metrics the one that asks for most pods decides.
MAX_PODS = 100


class ScheduledMinimum(Section):
    """A minimum number of pods at certain times. It only ever adds pods."""

    cron: Cron = Field(examples=["0 8 * * 1-5"])
    """When it begins: minute, hour, day of month, month, weekday (0 is Sunday)."""
    until: Cron = Field(examples=["0 22 * * 1-5"])
    """When it ends. It holds while the next end comes before the next begin."""
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
    """Pods for the load that the same hour of last week lets expect. It only ever adds pods."""

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

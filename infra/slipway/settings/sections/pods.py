"""Sections about pods: their resources, number, shutdown, and the jobs that run beside them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import Cpu, Cron, Memory, TimeZone
from slipway.settings.types.units import mebibytes, millicores

# The container runtime itself needs 6 MiB, and refuses to start a container with less.
MIN_MEBIBYTES = 8
# How long proxies and ingress keep sending requests to a terminating pod. Measured through an ingress at 50 requests a
# second: 1 s lost requests in two of three runs, 2 s lost none.
PROXY_UPDATE_SECONDS = 2


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

"""The watch over a canary: whether its pods run, how many of their answers are errors, and how long they take.

Only requests since the start of the watch count. The limits are `slipway:services.<name>.canary` of the stack file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import typer

from slipway.naming import CANARY
from slipway.objects import Object, condition, dig, name_of
from slipway.ops.cluster import snapshot
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster
from slipway.ops.cluster.snapshot import ClusterSnapshot
from slipway.ops.diagnosis import status
from slipway.ops.releases.canary_metrics import (
    MetricsError,
    MetricsSource,
    PodMetrics,
    PrometheusMetrics,
    Sample,
    measured,
)
from slipway.ops.releases.canary_plan import CanaryPlan
from slipway.settings.sections.service import Canary, Service

POLL_SECONDS = 2
MAX_MISSED_POLLS = 3
"""After as many failed polls in a row the canary counts as bad."""


@dataclass(frozen=True)
class CanaryVerdict:
    """The result of a canary."""

    passed: bool
    message: str


@dataclass
class CanaryWatch:
    """The watch over the canary of one service."""

    name: str
    service: Service
    metrics: MetricsSource
    first: dict[str, Sample] = field(default_factory=dict[str, Sample])
    """By pod: its counters at the start of the watch."""
    last: dict[str, Sample] = field(default_factory=dict[str, Sample])
    missed_polls: int = 0

    @property
    def total(self) -> Sample:
        """What all its pods have answered since the start of the watch."""
        return reduce(add, (self.last[pod] - self.first[pod] for pod in self.last), Sample())

    def poll(self, cluster: StackCluster, current: ClusterSnapshot | Exception, elapsed: float) -> CanaryVerdict | None:
        """Return the verdict as soon as there is one, a bad one also after too many polls that failed."""
        try:
            if isinstance(current, Exception):
                raise current
            verdict = self._verdict(cluster, current, elapsed)
        except (ClusterError, RefusedError, MetricsError) as error:
            self.missed_polls += 1
            message = f"{self.name}: the canary cannot be watched: {error}"
            return CanaryVerdict(False, message) if self.missed_polls >= MAX_MISSED_POLLS else None
        self.missed_polls = 0
        return verdict

    def _verdict(self, cluster: StackCluster, current: ClusterSnapshot, elapsed: float) -> CanaryVerdict | None:
        limits, pods = self.service.canary_in_force, _pods(current, self.name)
        if problem := _pod_problem(cluster, current, self.name, pods):
            failed = f"{self.name}: a pod of the canary does not run well after {elapsed:.0f} s"
            return CanaryVerdict(False, f"{failed}\n{problem}")
        for pod in map(name_of, pods):
            self.last[pod] = self.metrics.read(pod)
            # A pod that starts during the watch has counted nothing else.
            self.first.setdefault(pod, self.last[pod] if elapsed == 0 else Sample())
        if exceeded := _exceeded_limit(self.total, limits, elapsed):
            measured = f"  measured for {elapsed:.0f} s by {self.metrics.name}"
            where = f"limits: slipway:services.{self.name}.canary{' and .slo' if self.service.slo else ''}"
            return CanaryVerdict(False, f"{self.name}: {exceeded}\n{measured}; {where}")
        is_over = elapsed >= limits.seconds
        return CanaryVerdict(True, f"{self.name}: {_good(self.total, limits)}") if is_over else None


def watch(plan: CanaryPlan, cluster: StackCluster, clock: Callable[[], float] = time.monotonic) -> list[CanaryVerdict]:
    """Watch all canaries of a plan; return the verdicts as soon as one is bad or all are there."""
    services = plan.settings.services
    watches = [CanaryWatch(name, services[name], _metrics(services[name], cluster)) for name in plan.services]
    verdicts: list[CanaryVerdict] = []
    start: float | None = None
    while watches and all(verdict.passed for verdict in verdicts):
        elapsed = clock() - start if start is not None else 0
        current = _snapshot(cluster)
        for canary in list(watches):
            if verdict := canary.poll(cluster, current, elapsed):
                watches.remove(canary)
                verdicts.append(verdict)
        if start is None and all(canary.first for canary in watches):
            start = clock()
        if watches:
            time.sleep(POLL_SECONDS)
    return verdicts


def _snapshot(cluster: StackCluster) -> ClusterSnapshot | Exception:
    try:
        return snapshot.take_snapshot(cluster)
    except (ClusterError, RefusedError) as error:
        return error


def _metrics(service: Service, cluster: StackCluster) -> MetricsSource:
    """Return Prometheus if the service names one and it answers, else the pods."""
    if service.canary.prometheus:
        prometheus = PrometheusMetrics(service.canary.prometheus, cluster.namespace, measured(service))
        try:
            prometheus.read("any")
        except MetricsError as error:
            typer.echo(f"{error}; reading the metrics of the pods themselves", err=True)
        else:
            return prometheus
    return PodMetrics(cluster, service)


def _pods(current: ClusterSnapshot, service: str) -> list[Object]:
    canary = f"{service}-{CANARY}"
    deployment = next((item for item in current.deployments if name_of(item) == canary), None)
    newest = current.newest_replica_set(deployment) if deployment else None
    return current.owned(current.pods, newest) if newest else []


def _pod_problem(cluster: StackCluster, current: ClusterSnapshot, service: str, pods: Sequence[Object]) -> str:
    """Return why a canary does not run as it should; empty if it does."""
    containers = [container for pod in pods for container in dig(pod, "status.containerStatuses") or []]
    restarts = sum(container.get("restartCount", 0) for container in containers)
    if pods and not restarts and all(condition(pod, "Ready").get("status") == "True" for pod in pods):
        return ""
    causes = [cause for cause in status.read(cluster, current).causes if f"{service}-{CANARY}" in cause.object]
    symptom = f"it was restarted {restarts} times" if restarts else "it is not ready" if pods else "there is none"
    return "\n".join(map(status.describe, causes)).rstrip() or f"  {symptom}"


def _exceeded_limit(total: Sample, limits: Canary, elapsed: float) -> str:
    """Return the limit that the answers exceed; empty while the canary can still be good."""
    is_over = elapsed >= limits.seconds
    # At this rate; errors are reported early if even nothing but good answers could not make up for them.
    expected = total.requests if is_over or not elapsed else total.requests * limits.seconds / elapsed
    if total.requests >= limits.requests and total.errors > expected * limits.error_percent / 100:
        share = f"{total.errors:.0f} of {total.requests:.0f} answers were errors (5xx), {total.error_percent:.3g} %"
        return f"{share}; the limit is {limits.error_percent} % (errorPercent)"
    if not is_over:
        return ""
    if total.requests < limits.requests:
        few = f"only {total.requests:.0f} requests came in {limits.seconds} s, too few for a verdict"
        return f"{few}; it takes {limits.requests} (requests). Send more, or change seconds or requests"
    if 1000 * total.quantile(0.99) > limits.p99_milliseconds:
        return (
            f"99 % of the answers took up to {_p99(total)}; the limit is {limits.p99_milliseconds} ms (p99Milliseconds)"
        )
    return ""


def _good(total: Sample, limits: Canary) -> str:
    return (
        f"the canary is good: {total.requests:.0f} requests in {limits.seconds} s, {total.error_percent:.3g} % errors "
        f"(limit {limits.error_percent} %), 99 % of the answers took up to {_p99(total)} "
        f"(limit {limits.p99_milliseconds} ms)"
    )


def _p99(total: Sample) -> str:
    seconds = total.quantile(0.99)
    longest = max((bound for bound in total.buckets if bound < math.inf), default=0)
    return f"more than {1000 * longest:.0f} ms" if seconds == math.inf else f"{1000 * seconds:.0f} ms"

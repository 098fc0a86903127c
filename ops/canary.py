"""A canary: what `./slipway up` tries beside the release in force, and by what it is judged.

Few pods of the new version get a small share of the requests (infra/canary.py). For a while they are watched: that
they run, what share of their answers are errors, and how long these take. The counts are the app's own, as each pod
tells them on /metrics, or as Prometheus has them from there. Only requests of that while count.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, TypeAlias

import httpx2
import pulumi
import releases
import typer
from naming import CANARY
from pod import ADMIN_PORT
from releases import Release
from settings import BACKING, Canary, Service, Settings

from ops import cluster, config, held, models, status
from ops.changes import Change
from ops.cluster import Cluster, NoCluster, Object, Refused, at, name_of
from ops.held import Held

REQUESTS, DURATIONS = "http_requests_total", "http_request_duration_seconds_bucket"
POLL_SECONDS = 2
# That often in a row nothing may be heard of it.
MISSED_POLLS = 3
SERVER_ERROR = "5"

Series: TypeAlias = tuple[str, dict[str, str], float]
"""Name, labels and value."""


# What is tried


@dataclass(frozen=True)
class Trial:
    """What is tried, and beside what."""

    stack: str
    release: Release
    settings: Settings
    names: list[str]
    """The services of which a new version is tried."""
    changes: list[Change]
    """Everything the update will change in the end."""

    @property
    def told(self) -> str:
        """`canary of api, web`: what the engine remembers it by."""
        return f"{CANARY} of {', '.join(self.names)}"

    @property
    def candidate(self) -> dict[str, Any]:
        """The settings as the program gets them; other services than those tried stay as they are."""
        given = {**releases.content(self.settings)}
        for name, service in given["services"].items():
            if name not in self.names:
                service.pop("canary", None)
                service["rollout"] = "rolling"
        image = self.settings.image.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {**given, "image": image}


def planned(stack: str, release: Release) -> Trial | None:
    """What is to be tried before the update; None if there is nothing, or if `pulumi up` will say what is wrong."""
    try:
        settings = config.settings(stack)
        changes = models.of_engine(stack) if settings.trying else []
    except (pulumi.RunError, models.NoModel):
        return None
    rolled = [name for name in settings.trying if any(_rolls(change, name) for change in changes)]
    lacking = {name: _lacking(settings, name, release) for name in rolled}
    for name, what in lacking.items():
        if what:
            told = f"{stack}: {name} is not tried first: it needs {what}, which the release in force does not have"
            typer.echo(told, err=True)
    names = [name for name in rolled if not lacking[name]]
    return Trial(stack, release, settings, names, changes) if names else None


def _rolls(change: Change, service: str) -> bool:
    """Whether it brings other pods to a service that is there. Not another secret alone: that is today's for all."""
    if change.name != f"Deployment/{service}" or change.replaced:
        return False
    return any(one.path.startswith("spec.template.") and not one.path.endswith(".secretName") for one in change.edited)


def _lacking(settings: Settings, service: str, release: Release) -> str:
    """What a service needs of the stack and the release does not run."""
    sections = {name: release.settings.get(name) for name in BACKING}
    own = [name for name, section in sections.items() if section is not None and section.get("source") != "managed"]
    there = {*release.settings["services"], *own}
    inside = {*settings.services, *settings.servers}
    tried, mysql = settings.services[service], settings.mysql
    lacking = [need for need in tried.needs if need in inside - there]
    # A server knows the accounts it has made when it started, and a canary restarts none.
    migrates = tried.migration and "mysql" in {*tried.needs} & {*own} & settings.servers.keys()
    if mysql and migrates and (sections["mysql"] or {}).get("migrationUser") != mysql.migration_user:
        lacking.append(f"migrations as {mysql.migration_user or mysql.user}")
    return ", ".join(lacking)


# What pods count


@dataclass(frozen=True)
class Sample:
    """What pods have counted up to a moment."""

    requests: float = 0
    errors: float = 0
    buckets: Mapping[float, float] = field(default_factory=dict[float, float])
    """Answers by the seconds they took at the most; those of a bucket are in all longer ones, too."""

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

    def seconds(self, share: float) -> float:
        """What that share of the answers took at the most, straight between the bounds of its bucket, as Prometheus
        does it; infinite in the last one, 0 without an answer."""
        bounds = sorted(self.buckets)
        rank = share * self.buckets[bounds[-1]] if bounds else 0
        low, below = 0.0, 0.0
        for bound in bounds:
            if self.buckets[bound] >= rank and self.buckets[bound] > below:
                return low + (bound - low) * (rank - below) / (self.buckets[bound] - below)
            low, below = bound, self.buckets[bound]
        return 0


def sample(series: Iterable[Series]) -> Sample:
    """What the app's own series say, whatever the route."""
    requests, errors, buckets = 0.0, 0.0, dict[float, float]()
    for name, labels, value in series:
        if name == REQUESTS:
            requests += value
            errors += value if labels["code"].startswith(SERVER_ERROR) else 0
        elif name == DURATIONS:
            bound = float(labels["le"])
            buckets[bound] = buckets.get(bound, 0) + value
    return Sample(requests, errors, buckets)


def series_in(text: str) -> Iterator[Series]:
    """The series of a /metrics page."""
    for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)", text, re.MULTILINE):
        yield name, dict(re.findall(r'\b(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(value)


# Who tells what they count


class Unreadable(Exception):
    """Nobody tells the counts of a pod; the message says why."""


@dataclass(frozen=True)
class Pods:
    """The pods themselves, asked through the API server."""

    cluster: Cluster
    told: str = "the pods themselves"

    def read(self, pod: str) -> Sample:
        """What a pod has counted; `Refused` or `NoCluster` if it cannot be asked."""
        return sample(series_in(self.cluster.proxied(pod, ADMIN_PORT, "metrics")))


@dataclass(frozen=True)
class Prometheus:
    """Prometheus, whose series bear the labels `namespace` and `pod`."""

    url: str
    namespace: str
    transport: httpx2.BaseTransport | None = None

    @property
    def told(self) -> str:
        """Who it is."""
        return f"Prometheus at {self.url}"

    def read(self, pod: str) -> Sample:
        """What a pod had counted when it was asked last; nothing before that. `Unreadable` without an answer."""
        matching = f'__name__=~"{REQUESTS}|{DURATIONS}",namespace="{self.namespace}",pod="{pod}"'
        try:
            with httpx2.Client(transport=self.transport, timeout=cluster.ANSWER_SECONDS) as client:
                answer = client.get(f"{self.url.rstrip('/')}/api/v1/query", params={"query": f"{{{matching}}}"})
            found = answer.raise_for_status().json()["data"]["result"]
            return sample((one["metric"]["__name__"], one["metric"], float(one["value"][1])) for one in found)
        except (httpx2.HTTPError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise Unreadable(f"{self.told} does not answer: {error or type(error).__name__}") from None


Source: TypeAlias = Pods | Prometheus


# Whether it is good


@dataclass(frozen=True)
class Verdict:
    """What came of a canary."""

    passed: bool
    told: str


@dataclass
class Watch:
    """One canary while it is watched."""

    name: str
    service: Service
    source: Source
    first: dict[str, Sample] = field(default_factory=dict[str, Sample])
    last: dict[str, Sample] = field(default_factory=dict[str, Sample])
    """By pod: when the watch began, or it came, and now."""
    missed: int = 0

    @property
    def limits(self) -> Canary:
        """What it is held to."""
        return self.service.canary

    @property
    def seen(self) -> Sample:
        """What all its pods answered since."""
        return reduce(add, (self.last[pod] - self.first[pod] for pod in self.last), Sample())

    def look(self, found: Cluster, now: Held | Exception, elapsed: float) -> Verdict | None:
        """A look at it; the verdict as soon as there is one, or once nothing was heard of it for some looks."""
        try:
            if isinstance(now, Exception):
                raise now
            verdict = self._judged(found, now, elapsed)
        except (NoCluster, Refused, Unreadable) as error:
            self.missed += 1
            told = f"{self.name}: the canary cannot be watched: {error}"
            return Verdict(False, told) if self.missed >= MISSED_POLLS else None
        self.missed = 0
        return verdict

    def _judged(self, found: Cluster, now: Held, elapsed: float) -> Verdict | None:
        pods = _pods(now, self.name)
        if ill := _ill(found, now, self.name, pods):
            return Verdict(False, f"{self.name}: a pod of the canary does not run well after {elapsed:.0f} s\n{ill}")
        for pod in map(name_of, pods):
            self.last[pod] = self.source.read(pod)
            # One that comes later has counted nothing but what it is watched at.
            self.first.setdefault(pod, self.last[pod] if elapsed == 0 else Sample())
        if reason := _reason(self.seen, self.limits, elapsed):
            measured = f"  measured for {elapsed:.0f} s by {self.source.told}"
            return Verdict(False, f"{self.name}: {reason}\n{measured}; limits: slipway:services.{self.name}.canary")
        is_over = elapsed >= self.limits.seconds
        return Verdict(True, f"{self.name}: {_passed(self.seen, self.limits)}") if is_over else None


def watch(trial: Trial, found: Cluster, clock: Callable[[], float] = time.monotonic) -> list[Verdict]:
    """Watch all canaries of a trial; the verdicts, as soon as one is bad or all are there."""
    sources = {name: _source(trial.settings.services[name], found) for name in trial.names}
    open_ = [Watch(name, trial.settings.services[name], sources[name]) for name in trial.names]
    verdicts: list[Verdict] = []
    begin: float | None = None
    while open_ and all(verdict.passed for verdict in verdicts):
        elapsed = clock() - begin if begin is not None else 0
        now = _now(found)
        for one in list(open_):
            if verdict := one.look(found, now, elapsed):
                open_.remove(one)
                verdicts.append(verdict)
        if begin is None and all(one.first for one in open_):
            begin = clock()
        if open_:
            time.sleep(POLL_SECONDS)
    return verdicts


def _now(found: Cluster) -> Held | Exception:
    try:
        return held.look(found)
    except (NoCluster, Refused) as error:
        return error


def _source(service: Service, found: Cluster) -> Source:
    """Prometheus if it is given and answers."""
    if service.canary.prometheus:
        source = Prometheus(service.canary.prometheus, found.namespace)
        try:
            source.read("any")
        except Unreadable as error:
            typer.echo(f"{error}; the pods themselves are asked", err=True)
        else:
            return source
    return Pods(found)


def _pods(now: Held, service: str) -> list[Object]:
    deployment = next((one for one in now.deployments if name_of(one) == f"{service}-{CANARY}"), None)
    newest = now.newest_set(deployment) if deployment else None
    return now.owned(now.pods, newest) if newest else []


def _ill(found: Cluster, now: Held, service: str, pods: Sequence[Object]) -> str:
    """Why a canary does not run as it should; nothing if it does."""
    statuses = [one for pod in pods for one in at(pod, "status", "containerStatuses") or []]
    restarts = sum(one.get("restartCount", 0) for one in statuses)
    if pods and not restarts and all(held.condition(pod, "Ready").get("status") == "True" for pod in pods):
        return ""
    causes = [cause for cause in status.read(found, now).causes if f"{service}-{CANARY}" in cause.object]
    plain = f"it was started again {restarts} times" if restarts else "it is not ready" if pods else "there is none"
    return "\n".join(map(status.told, causes)).rstrip() or f"  {plain}"


def _reason(seen: Sample, limits: Canary, elapsed: float) -> str:
    """Why a canary is bad by what it answered; nothing while it can still be good."""
    is_over, most = elapsed >= limits.seconds, limits.error_percent
    # At this rate, and if every answer to come is a good one.
    to_come = seen.requests if is_over or not elapsed else seen.requests * limits.seconds / elapsed
    if seen.requests >= limits.requests and seen.errors > to_come * most / 100:
        share = f"{seen.errors:.0f} of {seen.requests:.0f} answers were errors (5xx), {seen.error_percent:.3g} %"
        return f"{share}; at most {most} % may be (errorPercent)"
    if not is_over:
        return ""
    if seen.requests < limits.requests:
        few = f"only {seen.requests:.0f} requests came in {limits.seconds} s, of which nothing can be told"
        return f"{few}; it takes {limits.requests} (requests). Have more sent, or change seconds or requests"
    if 1000 * seen.seconds(0.99) > limits.p99_milliseconds:
        return (
            f"99 of 100 answers took up to {_time(seen)}; at most {limits.p99_milliseconds} ms may be (p99Milliseconds)"
        )
    return ""


def _passed(seen: Sample, limits: Canary) -> str:
    return (
        f"the canary is good: {seen.requests:.0f} requests in {limits.seconds} s, {seen.error_percent:.3g} % errors "
        f"(at most {limits.error_percent} %), 99 of 100 answers took up to {_time(seen)} "
        f"(at most {limits.p99_milliseconds} ms)"
    )


def _time(seen: Sample) -> str:
    seconds = seen.seconds(0.99)
    longest = max((bound for bound in seen.buckets if bound < math.inf), default=0)
    return f"more than {1000 * longest:.0f} ms" if seconds == math.inf else f"{1000 * seconds:.0f} ms"

"""`./slipway logs`: the log lines of a stack's pods, ordered by time, secrets masked."""

from __future__ import annotations

import json
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from slipway.cluster.api_retry import FORBIDDEN
from slipway.naming import SERVICE_LABEL
from slipway.objects import Object, dig, items, name_of
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster, service_of
from slipway.ops.cluster.masking import Mask, secret_values
from slipway.ops.errors import UnknownServiceError, UserError
from slipway.settings.names import MYSQL_BACKUP
from slipway.settings.settings import Settings

# How often to look for new pods.
LOOK_SECONDS = 2
# Lines that arrive within this time are sorted.
GATHER_SECONDS = 0.3
# A trace id, alone or in a `traceparent` header (W3C Trace Context).
_TRACE = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?")


class NoSuchTraceError(UserError):
    """No log line that is left carries the id of a trace."""


@dataclass(frozen=True, order=True)
class Line:
    """One line of one container."""

    time: datetime
    service: str = field(compare=False)
    pod: str = field(compare=False)
    container: str = field(compare=False)
    text: str = field(compare=False)

    @property
    def prefix(self) -> str:
        """Return the short name of the pod, without the hash of its ReplicaSet or Job."""
        return f"{self.service}-{self.pod.rpartition('-')[2]}" if self.service else self.pod


@dataclass(frozen=True)
class LogRequest:
    """Which lines to read, and of which services."""

    services: list[str]
    since: int | None = None
    """Seconds."""
    previous: bool = False


def select_services(settings: Settings, wanted: str | None) -> list[str]:
    """Return the names to read: all services by default, or the service, store or job that is wanted.

    Raises `UnknownServiceError` for any other name.
    """
    jobs = [f"{name}-{job}" for name, service in settings.services.items() for job in service.jobs]
    backup = [MYSQL_BACKUP] if "mysql" in settings.servers else []
    known = [*settings.services, *settings.servers, *settings.observability_servers, *jobs, *backup]
    if wanted is None:
        return list(settings.services)
    if wanted not in known:
        raise UnknownServiceError(f"there is no service {wanted!r} here. Services, stores and jobs: {', '.join(known)}")
    return [wanted]


def parse_period(period: str) -> int:
    """Parse a period: `90s`, `10m`, `2h` or `1d` -> seconds. Raises ValueError for anything else."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if not period[:-1].isdigit() or period[-1:] not in units or int(period[:-1]) == 0:
        raise ValueError(f"{period!r} is no time: 90s, 10m, 2h or 1d")
    return int(period[:-1]) * units[period[-1]]


def parse_trace(text: str) -> str:
    """Return the trace id in a text: the id itself, or a `traceparent` header. Raises ValueError for anything else."""
    match = _TRACE.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no trace id: 32 hexadecimal digits, as in the traceId of a log line")
    return match[1]


def with_trace(lines: Iterable[Line], trace: str) -> Iterator[Line]:
    """Yield the lines that carry a trace id, under whatever key an app logs it.

    Raises `NoSuchTraceError` at the end if there is none.
    """
    found = False
    for line in lines:
        if trace in line.text.lower():
            found = True
            yield line
    if not found:
        raise NoSuchTraceError(
            f"no log line carries the trace {trace}; the logs of pods that are gone are gone as well, and --previous "
            "reads those of containers that were restarted"
        )


def secret_mask(cluster: StackCluster) -> Mask:
    """Return a mask with the secrets of the namespace; without the right to read them, only what looks like one."""
    try:
        return Mask(secret_values(cluster.items("secrets")))
    except RefusedError:
        return Mask()


def read_lines(cluster: StackCluster, request: LogRequest) -> list[Line]:
    """Return all lines there are, ordered by time."""
    query = _query(request)
    lines: list[Line] = []
    for pod, status in _containers(cluster, request.services):
        if request.previous and not dig(status, "lastState.terminated"):
            continue
        try:
            texts = cluster.log(name_of(pod), status["name"], **query)
        except RefusedError as error:
            if error.code == FORBIDDEN:
                raise
            continue  # it has not started, or is gone by now
        lines += filter(None, (parse_line(text, pod, status["name"]) for text in texts))
    return sorted(lines)


def follow_lines(
    cluster: StackCluster, request: LogRequest, until: Callable[[], bool] = lambda: False
) -> Iterator[Line]:
    """Yield lines as they are written, also by pods that start later, until `until` returns True."""
    followers = _Followers(cluster, request)
    last_look = float("-inf")
    while not until():
        if time.monotonic() - last_look > LOOK_SECONDS:
            followers.start()
            last_look = time.monotonic()
        yield from sorted(followers.gather())


def show(lines: Iterable[Line], mask: Mask, *, as_json: bool) -> None:
    """Print lines, with secrets masked."""
    for line in lines:
        text = mask.line(line.text)
        if as_json:
            data = {**asdict(line), "time": line.time.isoformat(), "text": text}
            sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(f"{line.prefix} {text}\n")
        sys.stdout.flush()


class _Followers:
    """One thread for each container whose log is followed."""

    def __init__(self, cluster: StackCluster, request: LogRequest) -> None:
        self._cluster = cluster
        self._request = request
        self._lines: queue.Queue[Line] = queue.Queue()
        self._followed: set[tuple[str, str, int]] = set()
        self._read_once: set[tuple[str, str, int]] = set()
        self._last_line: dict[tuple[str, str], datetime] = {}
        self._forbidden: RefusedError | None = None

    def start(self) -> None:
        """Follow each container that is not followed yet, or whose stream has ended although it still runs."""
        try:
            containers = list(_containers(self._cluster, self._request.services))
        except ClusterError as error:
            sys.stderr.write(f"{error}; trying again\n")
            return
        for pod, status in containers:
            # The log of a container in a crash loop is there between its runs, too.
            has_run = dig(status, "state.terminated") or dig(status, "lastState.terminated")
            runs = dig(status, "state.running")
            run = (name_of(pod), status["name"], status.get("restartCount", 0))
            if run not in self._followed and (runs or (has_run and run not in self._read_once)):
                self._followed.add(run)
                threading.Thread(target=self._follow, args=(pod, run), daemon=True).start()

    def gather(self) -> list[Line]:
        """Return the lines that arrive within GATHER_SECONDS. Raises `RefusedError` if we may not read a log."""
        if self._forbidden:
            raise self._forbidden
        lines: list[Line] = []
        end = time.monotonic() + GATHER_SECONDS
        while (left := end - time.monotonic()) > 0:
            try:
                lines.append(self._lines.get(timeout=left))
            except queue.Empty:
                break
        return lines

    def _follow(self, pod: Object, run: tuple[str, str, int]) -> None:
        name, container, _ = run
        last = self._last_line.get((name, container))
        query = _query(self._request)
        if last:
            # The API takes whole seconds: lines of this second that were shown are left out below.
            query = {"timestamps": True, "sinceTime": last.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        try:
            for text in self._cluster.follow_log(name, container, **query):
                line = parse_line(text, pod, container)
                if line and (last is None or line.time > last):
                    self._last_line[name, container] = line.time
                    self._lines.put(line)
        except RefusedError as error:  # it is gone, unless we may not read it
            if error.code == FORBIDDEN:
                self._forbidden = error
        except ClusterError:
            pass  # the connection was cut: it is followed again
        finally:
            self._read_once.add(run)
            self._followed.discard(run)


def parse_line(text: str, pod: Object, container: str) -> Line | None:
    """Parse a line that begins with the kubelet's timestamp; None for a line without one."""
    when, _, rest = text.partition(" ")
    try:
        return Line(datetime.fromisoformat(when), service_of(pod), name_of(pod), container, rest)
    except ValueError:
        return None


def _query(request: LogRequest) -> dict[str, str | int | bool]:
    since = {"sinceSeconds": request.since} if request.since else {}
    return {"timestamps": True, "previous": request.previous, **since}


def _containers(cluster: StackCluster, services: list[str]) -> Iterator[tuple[Object, Object]]:
    """Yield pod and status of each container of these services, stores or jobs."""
    for pod in cluster.items("pods", labelSelector=SERVICE_LABEL):
        if service_of(pod) not in services:
            continue
        for kind in ("initContainerStatuses", "containerStatuses"):
            for status in items(pod, f"status.{kind}"):
                yield pod, status

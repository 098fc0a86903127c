"""`./slipway logs`: what the pods of a stack write, in the order of time, without secrets."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from settings import MYSQL_BACKUP, Settings

from ops.cluster import Cluster, NoCluster, Object, Refused, at, name_of, service_of
from ops.masking import Mask, secret_values
from ops.refusal import FORBIDDEN

# How often it is looked for pods that have come.
LOOK_SECONDS = 2
# What arrives within that time is put in order.
GATHER_SECONDS = 0.3


class UnknownService(Exception):
    """There is no service of that name; which there are."""


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
        """Short name of the pod: without the hash of its ReplicaSet or Job."""
        return f"{self.service}-{self.pod.rpartition('-')[2]}" if self.service else self.pod


@dataclass(frozen=True)
class Asked:
    """Whose lines, and which."""

    services: list[str]
    since: int | None = None
    """Seconds."""
    previous: bool = False


def services(settings: Settings, wanted: str | None) -> list[str]:
    """All of the stack's own by default; a store or a job by its name. `UnknownService` for anything else."""
    jobs = [f"{name}-{job}" for name, service in settings.services.items() for job in service.jobs]
    backup = [MYSQL_BACKUP] if "mysql" in settings.servers else []
    known = [*settings.services, *settings.servers, *jobs, *backup]
    if wanted is None:
        return list(settings.services)
    if wanted not in known:
        raise UnknownService(f"there is no service {wanted!r} here. Services, stores and jobs: {', '.join(known)}")
    return [wanted]


def seconds(period: str) -> int:
    """`90s`, `10m`, `2h`, `1d`; ValueError for anything else."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if not period[:-1].isdigit() or period[-1:] not in units or int(period[:-1]) == 0:
        raise ValueError(f"{period!r} is no time: 90s, 10m, 2h or 1d")
    return int(period[:-1]) * units[period[-1]]


def mask_of(cluster: Cluster) -> Mask:
    """With the secrets of the namespace; who may not read them still gets masked what looks like one."""
    try:
        return Mask(secret_values(cluster.items("secrets")))
    except Refused:
        return Mask()


def written(cluster: Cluster, asked: Asked) -> list[Line]:
    """Everything there is, in the order of time."""
    query = _query(asked)
    found: list[Line] = []
    for pod, status in _containers(cluster, asked.services):
        if asked.previous and not at(status, "lastState", "terminated"):
            continue
        try:
            texts = cluster.log(name_of(pod), status["name"], **query)
        except Refused as error:
            if error.code == FORBIDDEN:
                raise
            continue  # it has not started, or has gone meanwhile
        found += filter(None, (parsed(text, pod, status["name"]) for text in texts))
    return sorted(found)


def followed(cluster: Cluster, asked: Asked, until: Callable[[], bool] = lambda: False) -> Iterator[Line]:
    """Lines as they are written, also by pods that come later, for ever."""
    tap = _Tap(cluster, asked)
    looked = float("-inf")
    while not until():
        if time.monotonic() - looked > LOOK_SECONDS:
            tap.open()
            looked = time.monotonic()
        yield from sorted(tap.gathered())


def show(lines: Iterator[Line] | list[Line], mask: Mask, *, as_json: bool) -> None:
    """Print them; whoever reads may go at any time."""
    for line in lines:
        text = mask.line(line.text)
        if as_json:
            told = {**asdict(line), "time": line.time.isoformat(), "text": text}
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(f"{line.prefix} {text}\n")
        sys.stdout.flush()


class _Tap:
    """One thread for each container that is read from."""

    def __init__(self, cluster: Cluster, asked: Asked) -> None:
        self._cluster = cluster
        self._asked = asked
        self._lines: queue.Queue[Line] = queue.Queue()
        self._open: set[tuple[str, str, int]] = set()
        self._read_once: set[tuple[str, str, int]] = set()
        self._last: dict[tuple[str, str], datetime] = {}
        self._forbidden: Refused | None = None

    def open(self) -> None:
        """Read from each container that is not read from yet, or not any more although it still runs."""
        try:
            containers = list(_containers(self._cluster, self._asked.services))
        except NoCluster as error:
            sys.stderr.write(f"{error}; trying again\n")
            return
        for pod, status in containers:
            # What a container in a crash loop has written is there although it does not run.
            has_run = at(status, "state", "terminated") or at(status, "lastState", "terminated")
            runs = at(status, "state", "running")
            run = (name_of(pod), status["name"], status.get("restartCount", 0))
            if run not in self._open and (runs or (has_run and run not in self._read_once)):
                self._open.add(run)
                threading.Thread(target=self._read, args=(pod, run), daemon=True).start()

    def gathered(self) -> list[Line]:
        """Return what has come within a moment; `Refused` if a container's log may not be read."""
        if self._forbidden:
            raise self._forbidden
        found: list[Line] = []
        end = time.monotonic() + GATHER_SECONDS
        while (left := end - time.monotonic()) > 0:
            try:
                found.append(self._lines.get(timeout=left))
            except queue.Empty:
                break
        return found

    def _read(self, pod: Object, run: tuple[str, str, int]) -> None:
        name, container, _ = run
        last = self._last.get((name, container))
        query = _query(self._asked)
        if last:
            # Whole seconds only: what has been shown of the last one is left out below.
            query = {"timestamps": True, "sinceTime": last.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        try:
            for text in self._cluster.followed(name, container, **query):
                line = parsed(text, pod, container)
                if line and (last is None or line.time > last):
                    self._last[name, container] = line.time
                    self._lines.put(line)
        except Refused as error:  # it has gone, unless we may not read it
            if error.code == FORBIDDEN:
                self._forbidden = error
        except NoCluster:
            pass  # the connection was cut: it is opened again
        finally:
            self._read_once.add(run)
            self._open.discard(run)


def parsed(text: str, pod: Object, container: str) -> Line | None:
    """A line with the time the kubelet puts before it; None for what is no such line."""
    when, _, rest = text.partition(" ")
    try:
        return Line(datetime.fromisoformat(when), service_of(pod), name_of(pod), container, rest)
    except ValueError:
        return None


def _query(asked: Asked) -> dict[str, str | int | bool]:
    since = {"sinceSeconds": asked.since} if asked.since else {}
    return {"timestamps": True, "previous": asked.previous, **since}


def _containers(cluster: Cluster, services: list[str]) -> Iterator[tuple[Object, Object]]:
    for pod in cluster.items("pods", labelSelector="slipway/service"):
        if service_of(pod) not in services:
            continue
        for kind in ("initContainerStatuses", "containerStatuses"):
            for status in at(pod, "status", kind) or []:
                yield pod, status

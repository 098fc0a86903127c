"""Requests at a constant rate to a service, and their outcomes: what users would notice.

An open load model: each request is sent when it is due, whether or not earlier ones were answered, and its latency
counts from then. So a stall loses as many requests as users would have sent, and lasts as long as for them.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, SSLError, TimeoutError

RATE = 20
"""Requests a second."""
MAX_REQUESTS = 12_000
"""Ten minutes of requests: traffic that nobody stops ends then."""
TIMEOUT_SECONDS = 10
OK = "200"
EXPIRED = "the certificate has expired"
# Enough for all requests that may be waiting for an answer at the same time.
_WORKERS = RATE * TIMEOUT_SECONDS

Pool = urllib3.HTTPConnectionPool


@dataclass(frozen=True)
class Target:
    """The URL that requests go to, and the certificate authority it is verified with."""

    url: str
    ca: Path | None = None
    """By default the authorities of this machine."""

    @property
    def path(self) -> str:
        """Return the path of the URL."""
        return urlsplit(self.url).path or "/"

    def pool(self, size: int = 4, *, reused: bool = True) -> Pool:
        """Return verified connections, reused or one for each request. No retries: a lost request counts."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        # RFC 6761 has every *.localhost lead to this machine; few resolvers know.
        address = "127.0.0.1" if host.endswith(".localhost") else host
        headers = {"Host": host} if reused else {"Host": host, "Connection": "close"}
        shared: dict[str, Any] = {"headers": headers, "timeout": TIMEOUT_SECONDS, "retries": False, "maxsize": size}
        if parts.scheme == "http":
            return urllib3.HTTPConnectionPool(address, parts.port or 80, **shared)
        # One context for all connections: loading the authorities takes longer than connecting.
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        return urllib3.HTTPSConnectionPool(
            address, parts.port or 443, ssl_context=context, server_hostname=host, assert_hostname=host, **shared
        )


@dataclass(frozen=True)
class Answer:
    """The outcome of one request."""

    due: float
    """Seconds from the begin of the traffic to when the request was due."""
    took: float
    """Seconds from when the request was due to its end."""
    outcome: str
    """The status code, or what went wrong."""


@dataclass(frozen=True)
class Measurement:
    """Answers, and what users would have noticed of them."""

    answers: Sequence[Answer]
    """In the order in which they were due."""

    @property
    def sent(self) -> int:
        """Return the number of requests."""
        return len(self.answers)

    @property
    def lost(self) -> Counter[str]:
        """Return how many requests were not answered with 200, by outcome."""
        return Counter(answer.outcome for answer in self.answers if answer.outcome != OK)

    @property
    def slowest(self) -> float:
        """Return the longest time that an answer took, in seconds."""
        return max((answer.took for answer in self.answers), default=0)

    @property
    def p99(self) -> float:
        """Return the time within which 99 of 100 were answered, in seconds."""
        took = sorted(answer.took for answer in self.answers)
        return took[math.ceil(0.99 * len(took)) - 1] if took else 0

    @property
    def outage(self) -> float:
        """Return the longest time without a 200 in seconds: from the first request lost to the next one answered."""
        longest, since = 0.0, None
        for answer in self.answers:
            if answer.outcome != OK:
                since = answer.due if since is None else since
            elif since is not None:
                longest, since = max(longest, answer.due - since), None
        # An outage that has not ended lasts at least until the last request ended.
        return longest if since is None else max(longest, *(one.due + one.took - since for one in self.answers))


@dataclass
class Traffic:
    """Sends `RATE` GET requests a second during the `with` block.

    Half of them each have a connection of their own, as new users do; with `fresh_connections` all of them.
    """

    target: Target
    fresh_connections: bool = False
    max_requests: int = MAX_REQUESTS
    answers: list[Answer] = field(default_factory=list[Answer])
    """In the order in which they ended."""

    def __enter__(self) -> Traffic:
        self._begin = time.monotonic()
        self._stop = threading.Event()
        self._workers = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="traffic")
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._clock.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._clock.join()
        self._workers.shutdown(wait=True)
        for pool in self._pools:
            pool.close()

    @property
    def seconds(self) -> float:
        """Return the seconds since the traffic began."""
        return time.monotonic() - self._begin

    def measured(self, since: float = 0, until: float = math.inf) -> Measurement:
        """Return the answers to requests that were due in this time, as far as they have ended."""
        answers = [answer for answer in list(self.answers) if since <= answer.due < until]
        return Measurement(sorted(answers, key=lambda answer: answer.due))

    @cached_property
    def _pools(self) -> tuple[Pool, Pool]:
        """Return the pools for requests on a connection of their own, and on a reused one."""
        fresh = self.target.pool(_WORKERS, reused=False)
        return fresh, fresh if self.fresh_connections else self.target.pool(_WORKERS)

    def _tick(self) -> None:
        for number in range(self.max_requests):
            due = number / RATE
            if self._stop.wait(max(0.0, due - self.seconds)):
                return
            self._workers.submit(self._request, due, self._pools[number % 2])

    def _request(self, due: float, pool: Pool) -> None:
        outcome = request(pool, self.target.path)
        self.answers.append(Answer(due, self.seconds - due, outcome))


def request(pool: Pool, path: str) -> str:
    """Send a request, and return its outcome: the status code, or what went wrong."""
    try:
        return str(pool.request("GET", path).status)
    except (HTTPError, OSError) as error:
        return describe_error(error)


def describe_error(error: Exception) -> str:
    """Return what went wrong, in words by which equal failures can be counted."""
    if "certificate has expired" in str(error):
        return EXPIRED
    kinds: list[tuple[type[Exception], str]] = [
        (SSLError, f"TLS: {error}"),
        (NewConnectionError, "no connection"),
        (TimeoutError, f"no answer within {TIMEOUT_SECONDS} s"),
        (ProtocolError, "the connection was cut"),
    ]
    return next((text for kind, text in kinds if isinstance(error, kind)), type(error).__name__)

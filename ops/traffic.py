"""Requests at a constant rate to what a stack serves, and what came of them: what users notice while something is done.

An open model: each request is sent when it is due, whether or not those before were answered, and its time counts from
then. So a stall costs as many requests as users would have sent, and is as long as they would have found it.
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
MOST = 12_000
"""Requests in all, ten minutes of them: what is forgotten ends by itself."""
TIMEOUT_SECONDS = 10
OK = "200"
EXPIRED = "the certificate has expired"
# Those that nobody answers are waited for until their time is up.
_WORKERS = RATE * TIMEOUT_SECONDS

Pool = urllib3.HTTPConnectionPool


@dataclass(frozen=True)
class Target:
    """What is asked for, and whom its certificate has to be of."""

    url: str
    ca: Path | None = None
    """Default: the authorities of this machine."""

    @property
    def path(self) -> str:
        """Below the host."""
        return urlsplit(self.url).path or "/"

    def pool(self, size: int = 4, *, keeps: bool = True) -> Pool:
        """Verified connections to it, kept or one for each request. No retries: what is lost counts."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        # RFC 6761 has every *.localhost lead to this machine; few resolvers know.
        address = "127.0.0.1" if host.endswith(".localhost") else host
        headers = {"Host": host} if keeps else {"Host": host, "Connection": "close"}
        shared: dict[str, Any] = {"headers": headers, "timeout": TIMEOUT_SECONDS, "retries": False, "maxsize": size}
        if parts.scheme == "http":
            return urllib3.HTTPConnectionPool(address, parts.port or 80, **shared)
        # One for all connections: to read the authorities for each of them takes longer than to connect.
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        return urllib3.HTTPSConnectionPool(
            address, parts.port or 443, ssl_context=context, server_hostname=host, assert_hostname=host, **shared
        )


@dataclass(frozen=True)
class Answer:
    """What came of one request."""

    due: float
    """Seconds after the traffic began."""
    took: float
    """Seconds from when it was due until its end."""
    told: str
    """The status, or what went wrong."""


@dataclass(frozen=True)
class Measured:
    """What users would have noticed."""

    answers: Sequence[Answer]
    """In the order they were due."""

    @property
    def sent(self) -> int:
        """How many requests."""
        return len(self.answers)

    @property
    def lost(self) -> Counter[str]:
        """How many were not answered with 200, by what came instead."""
        return Counter(one.told for one in self.answers if one.told != OK)

    @property
    def slowest(self) -> float:
        """Seconds."""
        return max((one.took for one in self.answers), default=0)

    @property
    def p99(self) -> float:
        """Seconds that 99 of 100 took at the most."""
        took = sorted(one.took for one in self.answers)
        return took[math.ceil(0.99 * len(took)) - 1] if took else 0

    @property
    def outage(self) -> float:
        """Seconds of the longest time in which nobody got a 200: from the first one lost to the next one answered."""
        longest, since = 0.0, None
        for one in self.answers:
            if one.told != OK:
                since = one.due if since is None else since
            elif since is not None:
                longest, since = max(longest, one.due - since), None
        # One that has not ended lasts at least until the last one was given up.
        return longest if since is None else max(longest, *(one.due + one.took - since for one in self.answers))


@dataclass
class Traffic:
    """`RATE` GET requests a second from entering the `with` block until leaving it, half of them each on a connection
    of its own, as new users are; with `fresh` all of them."""

    target: Target
    fresh: bool = False
    most: int = MOST
    answers: list[Answer] = field(default_factory=list[Answer])
    """In the order they came to an end."""

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
        """Since it began."""
        return time.monotonic() - self._begin

    def measured(self, since: float = 0, until: float = math.inf) -> Measured:
        """What came of the requests that were due in this time, as far as they have come to an end."""
        chosen = [one for one in list(self.answers) if since <= one.due < until]
        return Measured(sorted(chosen, key=lambda one: one.due))

    @cached_property
    def _pools(self) -> tuple[Pool, Pool]:
        """For a request on a connection of its own, and on a kept one."""
        own = self.target.pool(_WORKERS, keeps=False)
        return own, own if self.fresh else self.target.pool(_WORKERS)

    def _tick(self) -> None:
        for number in range(self.most):
            due = number / RATE
            if self._stop.wait(max(0.0, due - self.seconds)):
                return
            self._workers.submit(self._request, due, self._pools[number % 2])

    def _request(self, due: float, pool: Pool) -> None:
        came = asked(pool, self.target.path)
        self.answers.append(Answer(due, self.seconds - due, came))


def asked(pool: Pool, path: str) -> str:
    """What comes of one request: its status, or what went wrong."""
    try:
        return str(pool.request("GET", path).status)
    except (HTTPError, OSError) as error:
        return told(error)


def told(error: Exception) -> str:
    """What went wrong, in words that are the same for the same thing."""
    if "certificate has expired" in str(error):
        return EXPIRED
    kinds: list[tuple[type[Exception], str]] = [
        (SSLError, f"TLS: {error}"),
        (NewConnectionError, "no connection"),
        (TimeoutError, f"no answer within {TIMEOUT_SECONDS} s"),
        (ProtocolError, "the connection was cut"),
    ]
    return next((words for kind, words in kinds if isinstance(error, kind)), type(error).__name__)

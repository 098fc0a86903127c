"""Requests at a constant rate, whatever the server does: an open model, so that a stall cannot hide lost requests."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import urllib3


@dataclass
class Load:
    """Sends `rate` requests per second during the `with` block."""

    pool: urllib3.HTTPSConnectionPool
    path: str
    rate: int = 50
    sent: int = 0
    answers: list[str] = field(default_factory=list[str])
    """Result of each request, in order of completion: `status 200`, another status, or the error."""

    @property
    def lost(self) -> list[str]:
        """The results of the requests that were not answered with 200."""
        return [answer for answer in self.answers if answer != "status 200"]

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._workers = ThreadPoolExecutor(max_workers=20)
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._clock.join()
        self._workers.shutdown(wait=True)

    def _tick(self) -> None:
        begin = time.monotonic()
        while not self._stop.wait(max(0.0, begin + self.sent / self.rate - time.monotonic())):
            self.sent += 1
            answer: Future[None] = self._workers.submit(self._request)
            del answer

    def _request(self) -> None:
        try:
            self.answers.append(f"status {self.pool.request('GET', self.path).status}")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self.answers.append(repr(error))

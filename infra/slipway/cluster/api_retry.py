"""Retries of calls to the API server, so that one refused connection does not fail an update."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import pulumi

if TYPE_CHECKING:
    import httpx2

RETRY_SECONDS = 1.0
GIVE_UP_SECONDS = 30.0
FORBIDDEN, NOT_FOUND = 403, 404
# Too many requests, and the answers of load balancers and of an API server that restarts.
TRANSIENT_CODES = (429, 500, 502, 503, 504)

Result = TypeVar("Result")


def refused() -> type[httpx2.HTTPStatusError]:
    """Return the error of a call that the API server refuses, for an `except` clause.

    Python evaluates it only when there is an error. So a preview, which has none, does not load the HTTP client.
    """
    import httpx2  # noqa: PLC0415

    return httpx2.HTTPStatusError


def unreachable() -> type[httpx2.TransportError]:
    """Return the error of a call without an answer, as `refused` does."""
    import httpx2  # noqa: PLC0415

    return httpx2.TransportError


def give_up_at() -> float:
    """Return the time by `time.monotonic()` until which calls that start now are repeated."""
    return time.monotonic() + GIVE_UP_SECONDS


def retried(call: Callable[[], Result], until: float) -> Result:
    """Return what the call returns. Repeats it while the API server is unreachable or overloaded.

    `until` is the time by `time.monotonic()` after which the last error is raised.
    """
    while True:
        try:
            return call()
        except (refused(), unreachable()) as error:
            if not is_transient(error) or time.monotonic() >= until:
                raise
            pulumi.log.debug(f"retrying a request to the API server: {error or type(error).__name__}")
        time.sleep(RETRY_SECONDS)


def is_transient(error: Exception) -> bool:
    """Return whether the same call may succeed a moment later."""
    return isinstance(error, unreachable()) or code_of(error) in TRANSIENT_CODES


def code_of(error: Exception) -> int:
    """Return the HTTP status of a refused call; 0 for any other error.

    Not every refusal is an `ApiError`: load balancers answer plain text, and so does an API server for an unknown kind.
    """
    return error.response.status_code if isinstance(error, refused()) else 0


def exists(read: Callable[[], object]) -> bool:
    """Return whether the call that reads an object finds it; it is retried."""
    try:
        retried(read, give_up_at())
    except refused() as error:
        if code_of(error) != NOT_FOUND:
            raise
        return False
    return True

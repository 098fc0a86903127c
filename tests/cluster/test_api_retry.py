"""Retries of failed calls to the API server: which, and for how long."""

from __future__ import annotations

import httpx2
import pytest
from lightkube import ApiError
from lightkube.resources.core_v1 import Service

from slipway.cluster.api_retry import retried
from tests.lightkube_server import LightkubeServer, named


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that advances only during sleep."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_a_call_is_repeated_until_the_api_server_answers(clock: list[float]):
    client = LightkubeServer({"services/api": named("api")}, refused=3).client()
    assert retried(lambda: client.get(Service, "api"), until=10).metadata
    assert clock == [3]


def test_the_last_error_is_raised_when_the_time_is_over(clock: list[float]):
    client = LightkubeServer(refused=99).client()
    with pytest.raises(httpx2.ConnectError):
        retried(lambda: client.get(Service, "api"), until=10)
    assert clock == [10]


@pytest.mark.parametrize(("code", "waited"), [(429, 5), (503, 5), (500, 5), (404, 0), (403, 0), (422, 0)])
def test_only_transient_refusals_are_retried(clock: list[float], code: int, waited: float):
    def fail() -> None:
        raise ApiError(response=httpx2.Response(code, json={"code": code, "message": "no"}, request=REQUEST))

    with pytest.raises(ApiError):
        retried(fail, until=5)
    assert clock == [waited]


def test_a_refusal_of_a_load_balancer_in_plain_text_is_retried_too(clock: list[float]):
    server = LightkubeServer({"services/api": named("api")}, plain=2)
    client = server.client()
    assert retried(lambda: client.get(Service, "api"), until=10).metadata
    assert clock == [2]


REQUEST = httpx2.Request("GET", "https://10.0.0.1:6443")

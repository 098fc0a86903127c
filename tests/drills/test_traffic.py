"""The traffic of a drill is sent on schedule, and measured as users would notice it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from slipway.ops.drills import traffic
from slipway.ops.drills.traffic import Answer, Measurement, Target, Traffic


class HttpServer(ThreadingHTTPServer):
    """Answers with what `answer` says, after the seconds it says."""

    answer: Callable[[], tuple[int, float]] = staticmethod(lambda: (200, 0))
    request_queue_size = 128

    def __init__(self) -> None:
        self.connections: set[tuple[str, int]] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that went away

    @property
    def url(self) -> str:
        return f"http://served.localhost:{self.server_port}/v1/shops"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, HttpServer)
        self.server.connections.add(self.client_address)
        status, seconds = self.server.answer()
        time.sleep(seconds)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if self.close_connection:
            # As Go's server does: otherwise the client may send another request before it sees the end.
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Generator[HttpServer]:
    with HttpServer() as http_server:
        threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True).start()
        yield http_server
        http_server.shutdown()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "RATE", 100)


def test_requests_are_sent_when_they_are_due_even_if_earlier_ones_are_unanswered(server: HttpServer):
    answers = threading.Event()
    server.answer = lambda: (200 if answers.wait(10) else 500, 0)
    with Traffic(Target(server.url), max_requests=20) as sent:
        until(lambda: len(server.connections) == 20)
        assert sent.answers == []
        answers.set()
        until(lambda: len(sent.answers) == 20)
    result = sent.measured()
    assert [answer.due for answer in result.answers] == [number / 100 for number in range(20)]
    assert result.lost == {}
    # They are answered at the same time: who was due first has waited longest.
    assert result.answers[0].took > result.answers[-1].took


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_requests_not_answered_with_200_are_counted_as_lost_by_outcome(server: HttpServer):
    came = iter([(200, 0.0), (503, 0.0), (0, 0.0), (200, 0.0)])
    server.answer = lambda: next(came, (200, 0.0))
    with Traffic(Target(server.url), max_requests=6) as sent:
        until(lambda: len(sent.answers) == 6)
    result = sent.measured()
    assert (result.sent, result.lost) == (6, {"503": 1, "the connection was cut": 1})


def test_without_a_listener_every_request_is_lost(server: HttpServer):
    url = server.url
    server.shutdown()
    server.server_close()
    with Traffic(Target(url), max_requests=3) as sent:
        until(lambda: len(sent.answers) == 3)
    assert sent.measured().lost == {"no connection": 3}


def test_traffic_that_nobody_stops_ends_by_itself(server: HttpServer):
    with Traffic(Target(server.url), max_requests=5) as sent:
        until(lambda: len(sent.answers) == 5)
        time.sleep(0.05)
    assert sent.measured().sent == 5


@pytest.mark.parametrize(("fresh", "own"), [(True, 10), (False, 5)])
def test_half_of_the_requests_or_all_have_a_connection_of_their_own(server: HttpServer, fresh: bool, own: int):
    with Traffic(Target(server.url), fresh_connections=fresh, max_requests=10) as sent:
        until(lambda: len(sent.answers) == 10)
    assert sent.measured().lost == {}
    # Those that are kept are few; how few is the schedule's luck.
    assert own <= len(server.connections) <= 10


def test_a_measurement_holds_only_requests_due_in_its_period(server: HttpServer):
    with Traffic(Target(server.url), max_requests=10) as sent:
        until(lambda: len(sent.answers) == 10)
    assert [answer.due for answer in sent.measured(0.03, 0.06).answers] == [0.03, 0.04, 0.05]


def measured(*answers: tuple[float, float, str]) -> Measurement:
    return Measurement([Answer(*answer) for answer in answers])


def test_an_outage_is_from_the_first_request_lost_to_the_next_one_answered():
    result = measured(
        (0, 0.1, "200"), (1, 0.1, "502"), (2, 0.1, "200"), (3, 0.1, "502"), (4, 0.1, "503"), (5.5, 0.1, "200")
    )
    assert result.outage == 2.5


def test_a_request_that_is_lost_late_is_no_outage_while_others_are_answered():
    assert measured((0, 0.1, "200"), (1, 5, "504"), (1.5, 0.1, "200")).outage == 0.5


def test_an_outage_that_does_not_end_lasts_until_the_last_answer():
    assert measured((0, 0.1, "200"), (1, 5, "503"), (2, 5, "503")).outage == 6


def test_a_measurement_without_requests_is_all_zero():
    result = measured()
    assert (result.sent, result.lost, result.p99, result.slowest, result.outage) == (0, {}, 0, 0, 0)


def test_p99_of_a_hundred_answers_is_the_second_slowest():
    result = measured(*((number, number / 100, "200") for number in range(1, 101)))
    assert (result.p99, result.slowest) == (0.99, 1)


def test_an_expired_certificate_is_distinguished_from_an_untrusted_one():
    expired = traffic.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired")
    assert traffic.describe_error(expired) == traffic.EXPIRED
    assert traffic.describe_error(traffic.SSLError("unable to get local issuer certificate")).startswith("TLS: ")

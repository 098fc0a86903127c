"""The traffic of a drill, against a server of its own: sent on schedule, and measured as users would have found it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops import traffic
from ops.traffic import Answer, Measured, Target, Traffic


class Server(ThreadingHTTPServer):
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
        assert isinstance(self.server, Server)
        self.server.connections.add(self.client_address)
        status, seconds = self.server.answer()
        time.sleep(seconds)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Generator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "RATE", 100)


def test_requests_are_sent_when_they_are_due_although_nobody_answers_the_earlier_ones(server: Server):
    answers = threading.Event()
    server.answer = lambda: (200 if answers.wait(10) else 500, 0)
    with Traffic(Target(server.url), most=20) as sent:
        until(lambda: len(server.connections) == 20)
        assert sent.answers == []
        answers.set()
        until(lambda: len(sent.answers) == 20)
    found = sent.measured()
    assert [one.due for one in found.answers] == [number / 100 for number in range(20)]
    assert found.lost == {}
    # They are answered at the same time: who was due first has waited longest.
    assert found.answers[0].took > found.answers[-1].took


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_not_answered_with_200_is_lost_by_what_came_instead(server: Server):
    came = iter([(200, 0.0), (503, 0.0), (0, 0.0), (200, 0.0)])
    server.answer = lambda: next(came, (200, 0.0))
    with Traffic(Target(server.url), most=6) as sent:
        until(lambda: len(sent.answers) == 6)
    found = sent.measured()
    assert (found.sent, found.lost) == (6, {"503": 1, "the connection was cut": 1})


def test_where_nobody_listens_each_request_is_lost(server: Server):
    url = server.url
    server.shutdown()
    server.server_close()
    with Traffic(Target(url), most=3) as sent:
        until(lambda: len(sent.answers) == 3)
    assert sent.measured().lost == {"no connection": 3}


def test_it_ends_by_itself_when_it_is_forgotten(server: Server):
    with Traffic(Target(server.url), most=5) as sent:
        until(lambda: len(sent.answers) == 5)
        time.sleep(0.05)
    assert sent.measured().sent == 5


@pytest.mark.parametrize(("fresh", "own"), [(True, 10), (False, 5)])
def test_half_of_the_requests_or_all_come_on_connections_of_their_own(server: Server, fresh: bool, own: int):
    with Traffic(Target(server.url), fresh=fresh, most=10) as sent:
        until(lambda: len(sent.answers) == 10)
    assert sent.measured().lost == {}
    # Those that are kept are few; how few is the schedule's luck.
    assert own <= len(server.connections) <= 10


def test_only_what_was_due_in_a_time_is_measured_of_it(server: Server):
    with Traffic(Target(server.url), most=10) as sent:
        until(lambda: len(sent.answers) == 10)
    assert [one.due for one in sent.measured(0.03, 0.06).answers] == [0.03, 0.04, 0.05]


def measured(*answers: tuple[float, float, str]) -> Measured:
    return Measured([Answer(*one) for one in answers])


def test_an_outage_is_from_the_first_request_lost_to_the_next_one_answered():
    found = measured(
        (0, 0.1, "200"), (1, 0.1, "502"), (2, 0.1, "200"), (3, 0.1, "502"), (4, 0.1, "503"), (5.5, 0.1, "200")
    )
    assert found.outage == 2.5


def test_a_request_that_is_lost_late_is_no_outage_while_others_are_answered():
    assert measured((0, 0.1, "200"), (1, 5, "504"), (1.5, 0.1, "200")).outage == 0.5


def test_an_outage_that_does_not_end_lasts_until_the_last_answer():
    assert measured((0, 0.1, "200"), (1, 5, "503"), (2, 5, "503")).outage == 6


def test_without_a_request_there_is_nothing_to_tell():
    found = measured()
    assert (found.sent, found.lost, found.p99, found.slowest, found.outage) == (0, {}, 0, 0, 0)


def test_of_a_hundred_answers_the_slowest_is_beyond_the_99th():
    found = measured(*((number, number / 100, "200") for number in range(1, 101)))
    assert (found.p99, found.slowest) == (0.99, 1)


def test_an_expired_certificate_is_told_from_one_that_is_not_trusted():
    expired = traffic.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired")
    assert traffic.told(expired) == traffic.EXPIRED
    assert traffic.told(traffic.SSLError("unable to get local issuer certificate")).startswith("TLS: ")

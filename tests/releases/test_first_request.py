"""The first requests to a release: which addresses, which answers will do, and what is noted on the record."""

from __future__ import annotations

from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx2
import pytest

from slipway.ops.cluster import connection
from slipway.ops.program import config, engine_state
from slipway.ops.releases.trials import first_request
from slipway.releases import Release
from tests import api_server

RELEASE = Release("0a1b2c3d", {}, "registry.example.com/slipway/api:src-0@sha256:" + "5" * 64)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[dict[str, int], list[str]]]:
    """The status of each path of a server on this machine, and the paths that were requested; others answer 404."""
    statuses: dict[str, int] = {}
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(f"{self.headers['Host']}{self.path}")
            self.send_response(statuses.get(self.path, 404))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://api.test.localhost:{server.server_address[1]}"
    monkeypatch.setattr("slipway.settings.sections.addresses.Ingress.url_of", lambda _, path: f"{url}{path}")
    monkeypatch.setattr(first_request, "RETRY_SECONDS", 0.0)
    yield statuses, requested
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.feature("J2", part="the first request to a release is sent and recorded")
def test_a_service_is_asked_at_its_check_path_under_its_own_host(served: tuple[dict[str, int], list[str]]):
    statuses, requested = served
    statuses["/v1/shops"] = 200
    assert first_request.send(api_server.settings()) == []
    assert requested == ["api.test.localhost/v1/shops"]


@pytest.mark.parametrize(("status", "words"), [(404, "answers 404, and not 200"), (503, "answers 503, and not 200")])
def test_an_error_is_no_answer(served: tuple[dict[str, int], list[str]], status: int, words: str):
    served[0]["/v1/shops"] = status
    [problem] = first_request.send(api_server.settings())
    assert words in problem


def test_an_address_that_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(first_request, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr("slipway.settings.sections.addresses.Ingress.url_of", lambda *_: "http://a.localhost:9/")
    [problem] = first_request.send(api_server.settings())
    assert problem.startswith("api: http://a.localhost:9/: ")


def test_an_address_that_takes_a_moment_is_asked_again(
    served: tuple[dict[str, int], list[str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(first_request, "RETRY_SECONDS", 60.0)
    assert first_request.send(api_server.settings(), sleep=lambda _: served[0].update({"/v1/shops": 200})) == []
    assert len(served[1]) == 2


def test_a_worker_has_no_address_to_ask(monkeypatch: pytest.MonkeyPatch):
    assert first_request.send(api_server.settings("dev", {"services.api.ingress": None})) == []


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests to the API server of a stack with a release in force."""
    seen: list[str] = []

    def server(request: httpx2.Request) -> httpx2.Response:
        seen.append(f"{request.method} {request.url.path.rpartition('/')[2]} {request.content.decode()}")
        return httpx2.Response(200, json={})

    monkeypatch.setattr(config, "settings", lambda _: api_server.settings())
    monkeypatch.setattr(connection, "connect", lambda *_: api_server.cluster(server))
    monkeypatch.setattr(engine_state, "export", lambda _: {})
    monkeypatch.setattr(engine_state, "in_force", lambda _: RELEASE)
    monkeypatch.setattr(first_request, "now", lambda: "2026-11-30T09:00:00+00:00")
    return seen


def test_an_answer_is_noted_on_the_record_of_the_release(requests: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(first_request, "send", lambda _: [])
    first_request.record("dev")
    note = '{"metadata": {"annotations": {"slipway/first-request": "2026-11-30T09:00:00+00:00"}}}'
    assert requests == [f"PATCH release-0a1b2c3d {note}"]
    read = Release.of("release-0a1b2c3d", {"settings.yaml": "{}"}, {"slipway/first-request": "2026-11-30"})
    assert read.first_request == "2026-11-30"


def test_what_is_not_answered_is_reported_and_a_former_note_is_taken_back(
    requests: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(first_request, "send", lambda _: ["api: https://api answers 503"])
    first_request.record("dev")
    assert requests == ['PATCH release-0a1b2c3d {"metadata": {"annotations": {"slipway/first-request": null}}}']
    assert capsys.readouterr().err == "dev: not answered as it should be:\n  api: https://api answers 503\n"


def test_without_the_right_to_note_it_there_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, requests: list[str], capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(first_request, "send", lambda _: [])
    refused = api_server.cluster(lambda _: httpx2.Response(403, json={"message": "configmaps is forbidden"}))
    monkeypatch.setattr(connection, "connect", lambda *_: refused)
    first_request.record("dev")
    assert "warning: dev: the first requests are not recorded: " in capsys.readouterr().err

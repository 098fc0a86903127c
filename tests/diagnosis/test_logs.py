"""`./slipway logs`: what all pods of a service write, in the order of time, without secrets."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from slipway.objects import Object
from slipway.ops.cluster.connection import RefusedError
from slipway.ops.cluster.masking import Mask
from slipway.ops.diagnosis import logs
from slipway.ops.diagnosis.logs import Line, LogRequest, NoSuchTraceError
from slipway.ops.errors import UnknownServiceError
from tests import namespace as ns
from tests.api_server import ApiServer, cluster, settings
from tests.diagnosis.test_status import run
from tests.paths import REPOSITORY
from tests.plugins.watchdog import child, read_line

__all__ = ["run"]

HASH = ns.POD_HASHES["new"]
A, B = f"api-{HASH}-aaaaa", f"api-{HASH}-bbbbb"


def at(second: float, text: str) -> str:
    """A line as the kubelet gives it, to the nanosecond."""
    return f"2026-11-21T12:00:{second:012.9f}Z {text}\n"


def served(**logs: str) -> ApiServer:
    """Two pods with these logs."""
    return ApiServer(
        {"pods": [ns.pod("aaaaa"), ns.pod("bbbbb")]},
        {f"{'api-' + HASH}-{name}/api": text for name, text in logs.items()},
    )


TWO = {"aaaaa": at(1, "first") + at(3, "third"), "bbbbb": at(2, "second") + at(3.5, "fourth")}


@pytest.mark.feature("L3", part="logs")
def test_lines_of_all_pods_come_in_the_order_of_time_each_with_its_pod(capsys: pytest.CaptureFixture[str]):
    logs.show(logs.read_lines(cluster(served(**TWO)), LogRequest(["api"])), Mask(), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "api-aaaaa first",
        "api-bbbbb second",
        "api-aaaaa third",
        "api-bbbbb fourth",
    ]


def test_lines_of_one_moment_stay_in_the_order_in_which_a_pod_wrote_them():
    # A microsecond holds many lines, and Python knows no finer time.
    text = "".join(at(1.0000001 + n / 1e9, f"{n}") for n in range(9))
    lines = logs.read_lines(cluster(served(aaaaa=text)), LogRequest(["api"]))
    assert [line.text for line in lines] == [str(n) for n in range(9)]


def test_each_line_is_an_object_of_its_own_in_json(run: Any):
    code, out, err = run(served(**TWO), "logs", "api", "--json")
    assert (code, err) == (0, "")
    first = json.loads(out.splitlines()[0])
    assert first == {
        "time": "2026-11-21T12:00:01+00:00",
        "service": "api",
        "pod": A,
        "container": "api",
        "text": "first",
    }
    assert len(out.splitlines()) == 4


@pytest.mark.feature("B10", part="logs as they are shown")
def test_secrets_are_masked_also_those_that_only_the_cluster_knows(run: Any):
    server = served(aaaaa=at(1, "key q7wLrT2vN8xZ") + at(2, "password=hunter22"))
    server.objects = {
        **server.objects,
        "secrets": [{"data": {"signing-key": base64.b64encode(b"q7wLrT2vN8xZ").decode()}}],
    }
    assert run(server, "logs", "api")[1].splitlines() == ["api-aaaaa key ***", "api-aaaaa password=***"]


def test_without_the_right_to_read_secrets_what_looks_like_one_is_masked(run: Any):
    server = served(aaaaa=at(1, "password=hunter22"))
    server.forbidden = ("secrets",)
    assert run(server, "logs", "api")[1] == "api-aaaaa password=***\n"


@pytest.mark.parametrize("read", [logs.read_lines, logs.follow_lines], ids=["once", "following"])
def test_without_the_right_to_read_logs_it_fails_with_that_reason(read: Callable[..., Iterable[Line]]):
    server = served(**TWO)
    server.forbidden = ("log",)
    with pytest.raises(RefusedError, match=r"cannot get pods/log api-.* in namespace slipway-dev: HTTP 403"):
        list(read(cluster(server), LogRequest(["api"])))


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "0af7651916cd43dd8448eb211c80319c"


def request(second: float, name: str, trace: str) -> str:
    return at(second, json.dumps({"msg": "request", "name": name, "traceId": trace}))


def of_two_services() -> ApiServer:
    """One request to web, which calls the API, between requests of other traces."""
    page = f"web-{HASH}-bbbbb"
    web = ns.owned_pod(page, ("ReplicaSet", f"web-{HASH}", "set-web"), ns.labels("web", "v2"))
    pods = [ns.pod("aaaaa"), web]
    return ApiServer(
        {"pods": pods},
        {
            f"{A}/api": at(1, "serving") + request(2, "api", TRACE) + request(4, "other", OTHER),
            f"{page}/web": request(1.5, "other", OTHER) + at(3, f"msg=request name=web traceId={TRACE}"),
        },
    )


@pytest.mark.feature("H7", part="the lines of one trace, of all services")
@pytest.mark.parametrize("given", [TRACE, TRACE.upper(), f"00-{TRACE}-00f067aa0ba902b7-01"])
def test_the_lines_of_a_trace_are_shown_of_all_services_in_the_order_of_time(run: Any, given: str):
    code, out, err = run(of_two_services(), "logs", "--trace", given)
    assert (code, err) == (0, "")
    assert [line.partition(" ")[0] for line in out.splitlines()] == ["api-aaaaa", "web-bbbbb"]
    assert OTHER not in out


def test_lines_of_a_trace_can_be_followed():
    server = of_two_services()
    deadline = time.monotonic() + 20
    lines = logs.follow_lines(cluster(server), LogRequest(["api", "web"]), lambda: time.monotonic() > deadline)
    traced = logs.with_trace(lines, TRACE)
    assert [next(traced).service, next(traced).service] == ["api", "web"]


def test_a_trace_that_no_line_carries_is_an_error_that_says_what_may_be_the_cause():
    lines = logs.read_lines(cluster(of_two_services()), LogRequest(["api", "web"]))
    with pytest.raises(NoSuchTraceError, match=rf"no log line carries the trace {'f' * 32}.*--previous"):
        list(logs.with_trace(lines, "f" * 32))


@pytest.mark.parametrize("text", ["", "abc", "g" * 32, f"{TRACE}-1", f"{TRACE}{TRACE}"])
def test_an_invalid_trace_id_is_a_usage_error(run: Any, text: str):
    code, out, err = run(served(), "logs", "--trace", text)
    assert (code, out) == (2, "")
    assert "32 hexadecimal digits" in " ".join(err.replace("│", " ").split())


def test_since_and_previous_are_passed_to_the_api_server():
    restarted = ns.pod("aaaaa", **ns.crashed())
    server = ApiServer({"pods": [restarted, ns.pod("bbbbb")]}, {f"{A}/api previous": at(1, "the end")})
    lines = logs.read_lines(cluster(server), LogRequest(["api"], since=600, previous=True))
    assert [line.text for line in lines] == ["the end"]
    [asked] = [query for query in server.requests if "/log?" in query]
    assert "previous=true" in asked
    assert "sinceSeconds=600" in asked


def test_a_pod_that_has_not_started_has_no_lines():
    assert [line.text for line in logs.read_lines(cluster(served(bbbbb=at(1, "x"))), LogRequest(["api"]))] == ["x"]


def test_only_the_selected_services_are_read():
    server = served(**TWO)
    assert list(logs.read_lines(cluster(server), LogRequest(["web", "mysql"]))) == []
    assert "labelSelector=slipway%2Fservice" in server.requests[0]


def test_pods_of_an_adopted_service_belong_to_it_under_their_former_name():
    pod = ns.pod("aaaaa")
    pod["metadata"]["labels"] |= {"app.kubernetes.io/name": "a-chart", "pod-template-hash": HASH}
    server = ApiServer({"pods": [pod]}, {f"{A}/api": at(1, "first")})
    assert [line.service for line in logs.read_lines(cluster(server), LogRequest(["api"]))] == ["api"]


NAMED = [(None, ["api"]), ("api", ["api"]), ("mysql", ["mysql"]), ("api-migration", ["api-migration"])]


@pytest.mark.parametrize(("wanted", "found"), NAMED)
def test_all_services_are_selected_unless_one_is_named(wanted: str | None, found: list[str]):
    assert logs.select_services(settings(), wanted) == found


def test_an_unknown_service_is_refused_with_a_list_of_known_ones():
    with pytest.raises(
        UnknownServiceError, match=r"no service 'ap' here.*api, mysql, redis, api-migration, mysql-backup"
    ):
        logs.select_services(settings(), "ap")


@pytest.mark.parametrize(("text", "found"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_a_period_is_a_number_with_a_unit(text: str, found: int):
    assert logs.parse_period(text) == found


@pytest.mark.parametrize("text", ["10", "m", "-1m", "0s", "1w", ""])
def test_an_invalid_period_is_a_usage_error(run: Any, text: str):
    code, out, err = run(served(), "logs", "--since", text)
    assert (code, out) == (2, "")
    assert "is no time: 90s, 10m, 2h or 1d" in " ".join(err.replace("│", " ").split())


# Following


def follow(server: ApiServer, wanted: int, changes: dict[int, list[Object]] | None = None) -> list[Line]:
    """The first lines; after so many of them the pods are those of `changes`."""
    found: list[Line] = []
    deadline = time.monotonic() + 20
    for line in logs.follow_lines(
        cluster(server), LogRequest(["api"]), lambda: time.monotonic() > deadline or len(found) >= wanted
    ):
        found.append(line)
        if changes and len(found) in changes:
            server.objects = {"pods": changes[len(found)]}
    return found


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(logs, "GATHER_SECONDS", 0.1)


@pytest.mark.feature("L3", part="logs that follow")
def test_a_pod_that_comes_later_is_followed_too():
    server = served(**TWO)
    server.objects = {"pods": [ns.pod("aaaaa")]}
    found = follow(server, 4, {2: [ns.pod("aaaaa"), ns.pod("bbbbb")]})
    assert [(line.prefix, line.text) for line in found] == [
        ("api-aaaaa", "first"),
        ("api-aaaaa", "third"),
        ("api-bbbbb", "second"),
        ("api-bbbbb", "fourth"),
    ]


def test_a_stream_that_ends_while_its_container_runs_is_reopened_without_repeating_a_line():
    server = served(aaaaa=at(1, "first"))
    server.objects = {"pods": [ns.pod("aaaaa")]}
    found: list[str] = []
    deadline = time.monotonic() + 20
    for line in logs.follow_lines(
        cluster(server), LogRequest(["api"]), lambda: len(found) > 1 or time.monotonic() > deadline
    ):
        found.append(line.text)
        server.logs[f"{A}/api"] += at(1.5, "second") if len(found) == 1 else ""
    assert found == ["first", "second"]
    assert any("sinceTime=2026-11-21T12%3A00%3A01Z" in query for query in server.requests)


def test_lines_of_a_container_in_a_crash_loop_are_shown_once():
    server = served(aaaaa=at(1, "panic"))
    server.objects = {"pods": [ns.pod("aaaaa", **ns.crashed())]}
    end = time.monotonic() + 1
    found = list(logs.follow_lines(cluster(server), LogRequest(["api"]), lambda: time.monotonic() > end))
    assert [line.text for line in found] == ["panic"]
    assert sum("/log?" in query for query in server.requests) == 1


def test_following_survives_a_short_outage_of_the_api_server(capsys: pytest.CaptureFixture[str]):
    server = served(**TWO)
    server.is_down = True
    found: list[str] = []
    end = time.monotonic() + 20

    def until() -> bool:
        server.is_down = server.is_down and time.monotonic() < end - 19.5
        return len(found) == 4 or time.monotonic() > end

    for line in logs.follow_lines(cluster(server), LogRequest(["api"]), until):
        found.append(line.text)
    assert found == ["first", "second", "third", "fourth"]
    assert "does not answer" in capsys.readouterr().err


def test_follow_and_previous_exclude_each_other(run: Any):
    code, _, err = run(served(), "logs", "-f", "--previous")
    assert code == 2
    assert "leave --follow out" in " ".join(err.replace("│", " ").split())


class _Streaming(BaseHTTPRequestHandler):
    """An API server with one pod, which never stops writing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if "/log?" not in self.path:
            items = [ns.pod("aaaaa")] if "/pods" in self.path else []
            self.wfile.write(json.dumps({"items": items}).encode())
            return
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(at(1, "again").encode())
                time.sleep(0.05)

    def log_message(self, format: str, *args: Any) -> None:
        """Not into the tests' output."""


@pytest.fixture
def kubeconfig(tmp_path: Path):
    """A file whose context `dev` leads to such a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Streaming)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    content = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(content))
    yield tmp_path / "kubeconfig"
    server.shutdown()
    server.server_close()


@pytest.mark.feature("L3", part="logs end at Ctrl-C")
@pytest.mark.parametrize("how", ["Ctrl-C", "the reader goes"])
def test_following_ends_without_a_word_when_nobody_wants_more(kubeconfig: Path, how: str):
    command = [sys.executable, "-m", "slipway", "logs", "-s", "dev", "-f"]
    env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with child(command, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        assert following.stdout
        assert following.stderr
        assert read_line(following) == b"api-aaaaa again\n"
        if how == "Ctrl-C":
            following.send_signal(signal.SIGINT)
        else:
            following.stdout.close()
        assert following.wait(timeout=60) == 0
        assert following.stderr.read() == b""

"""One request is one trace: spans of web, api, MySQL and Redis in Jaeger, lines of web and api in VictoriaLogs."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections.abc import Callable, Generator
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from local.observability.start import MESSAGE, NAMESPACE
from tests.e2e.conftest import LOCAL, ROOT, Edit, environment, eventually, ingress_pool, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

PAGES = "web.slipway.localhost"
TEXT, JSON = "LOG_FORMAT: text", "LOG_FORMAT: json"
# Compiling Jaeger takes ten minutes of one core, once.
BUILD_SECONDS = 3000


@pytest.fixture(scope="module")
def stores() -> Generator[None]:
    """Start Jaeger and VictoriaLogs, and remove them at the end."""
    command = ["make", "observability"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield
    run("kubectl", "--context", "slipway-local", "delete", "namespace", NAMESPACE, "--wait=true")


@pytest.fixture
def traced(stores: None, edit: Edit) -> None:
    """Deploy the stack with the settings that `make observability` prints, and with JSON log lines."""
    settings = re.search(r"  slipway:tracing:\n(?:    .*\n)+", MESSAGE)
    assert settings
    edit(LOCAL, "  slipway:services:\n", f"{settings[0]}  slipway:services:\n")
    for _ in ("api", "web"):
        edit(LOCAL, TEXT, JSON)
    up()


def ask(service: str, path: str) -> str:
    """Send a request to a service of the namespace through the API server; empty if it answers with an error."""
    url = f"/api/v1/namespaces/{NAMESPACE}/services/{service}/proxy/{path}"
    return run("kubectl", "--context", "slipway-local", "get", "--raw", url, ok=False).stdout


def spans(trace: str) -> list[tuple[str, str]]:
    """Return service and name of each span of a trace, by one query to Jaeger."""
    answer: dict[str, Any] = json.loads(ask("jaeger:16686", f"api/traces/{trace}") or "{}")
    found: list[tuple[str, str]] = []
    for data in answer.get("data") or []:
        services = {key: process["serviceName"] for key, process in data["processes"].items()}
        found += [(services[span["processID"]], span["operationName"]) for span in data["spans"]]
    return found


def named_spans(trace: str) -> set[str]:
    """Return the spans of a trace as `api: GET /v1/shops`."""
    return {f"{service}: {name}" for service, name in spans(trace)}


def lines(query: str) -> list[dict[str, Any]]:
    """Return the log lines that a LogsQL query finds."""
    answer = ask("victoria-logs:9428", f"select/logsql/query?query={quote(f'_time:15m {query}')}")
    return [json.loads(line) for line in answer.splitlines()]


def containers(query: str) -> set[str]:
    """Return the containers whose log lines a query finds."""
    return {line["kubernetes.container_name"] for line in lines(query)}


def wait_for(found: Callable[[], bool], what: str) -> None:
    eventually(found, 60, what)


def visit(path: str) -> str:
    """Request a page as part of a trace that begins here, and return the id of the trace."""
    trace = secrets.token_hex(16)
    header = {"Host": PAGES, "Traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    assert ingress_pool(PAGES).request("GET", path, headers=header).status == 200
    return trace


@pytest.mark.feature("H6")
@pytest.mark.usefixtures("traced")
def test_one_query_finds_the_spans_of_both_services_and_both_stores() -> None:
    trace = visit("/")
    # Each pod exports its spans some seconds later, and the page takes answers of two.
    requests = {"web: GET /{$}", "api: GET /v1/shops", "api: GET /v1/leaderboard"}
    wait_for(lambda: requests <= named_spans(trace), f"Jaeger has {requests}")
    names = named_spans(trace)
    assert any(name.startswith("api: mysql SELECT") for name in names), names
    assert any(name.startswith("api: redis ") for name in names), names
    assert any(name == "web: GET" for name in names), "the call of web to api has a span"


@pytest.mark.feature("H7")
@pytest.mark.usefixtures("traced")
def test_one_query_finds_the_lines_of_both_services_and_no_line_holds_a_password(
    api: urllib3.HTTPSConnectionPool,
) -> None:
    trace, password = visit("/leaders"), secrets.token_hex(12)
    wait_for(lambda: containers(f'traceId:="{trace}"') == {"api", "web"}, "VictoriaLogs has lines of both services")
    by_service = {line["service"]: line for line in lines(f'traceId:="{trace}"')}
    assert {service: line["route"] for service, line in by_service.items()} == {
        "web": "/leaders",
        "api": "/v1/leaderboard",
    }
    for service, line in by_service.items():
        assert line["environment"] == "local"
        assert line["version"]
        assert line["kubernetes.pod_labels.slipway/service"] == service
    shown = run("./slipway", "logs", "-s", "local", "--trace", trace, "--json").stdout.splitlines()
    assert [json.loads(line)["service"] for line in shown] == ["api", "web"]

    email = f"e2e-{secrets.token_hex(6)}@example.com"
    for path in ("/v1/users", "/v1/sessions"):
        body = json.dumps({"email": email, "password": password} | ({"name": "E"} if path == "/v1/users" else {}))
        headers = {"Host": "api.slipway.localhost", "Content-Type": "application/json", "X-Request-Id": password[:8]}
        assert api.request("POST", path, body=body.encode(), headers=headers).status == 201
    wait_for(lambda: len(lines(f'requestId:="{password[:8]}"')) == 2, "both requests are logged")
    assert lines(f'"{password}"') == lines(f'*:"{password}"') == lines(f'*:"{email}"') == []


@pytest.mark.usefixtures("stores")
def test_without_the_setting_the_lines_in_text_are_found_by_the_trace_too() -> None:
    up()
    trace = visit("/leaders")
    wait_for(lambda: containers(f'"{trace}"') == {"api", "web"}, "VictoriaLogs has lines of both services")
    assert spans(trace) == []


def test_the_files_of_this_clone_are_deployed_again_after_the_tests() -> None:
    assert "Traceback" not in up()

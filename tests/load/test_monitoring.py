"""Prometheus and Alertmanager in the local stack: errors reach a webhook within minutes, and so does their end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.e2e.canaries import BAD, GOOD, ROUTES
from tests.e2e.conftest import LOCAL, NEEDS, ROOT, eventually, pulumi, running_pods, up
from tests.e2e.load import Load
from tests.e2e.monitoring import STORES, broken_rules, build_server_images, node_address, prometheus, targets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

SECRET = ROOT / ".slipway" / "secrets" / "receiver-hook"
SLO = "      slo: {availability: 99.95}\n"
ALERT = "ErrorBudgetFastBurn"
# Requests per second that succeed, and that fail once the fault is in: 5 % of all.
GOOD_RATE, BAD_RATE = 38, 2
RULES_SECONDS, ALERT_SECONDS = 120, 180
# The short window of the alert is 5 minutes, and Alertmanager reports changes of a group each minute.
RESOLVED_SECONDS = 540


@dataclass
class Webhook:
    """A server on this machine that keeps the notifications it gets."""

    server: ThreadingHTTPServer
    notifications: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def has(self, status: str) -> bool:
        """Return whether it was told that the alert has this status."""
        alerts = [alert for notification in self.notifications for alert in notification["alerts"]]
        return (ALERT, status) in {(alert["labels"]["alertname"], alert["status"]) for alert in alerts}


def serve(address: str) -> Webhook:
    """Start a webhook at an address of this machine."""
    notifications: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notifications.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return Webhook(server, notifications)


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Generator[Webhook]:
    """The stack with monitoring, an objective of api and a route that fails; as it was after the tests."""
    address = node_address()
    hook = serve(address)
    port = hook.server.server_address[1]
    before = {ROOT / name: (ROOT / name).read_bytes() for name in (LOCAL, ROUTES)}
    receiver = f"{{kind: webhook, egress: [{{cidr: {address}/32, ports: [{port}]}}]}}"
    monitoring = f"  slipway:monitoring: {{source: cluster, receivers: {{hook: {receiver}}}}}\n"
    try:
        SECRET.write_text(f"http://{address}:{port}/alerts")
        replace(ROOT / LOCAL, STORES, monitoring + STORES)
        replace(ROOT / LOCAL, NEEDS, NEEDS + SLO)
        replace(ROOT / ROUTES, GOOD, BAD)
        build_server_images(tmp_path_factory.mktemp("images"))
        up()
        yield hook
    finally:
        for file, content in before.items():
            file.write_bytes(content)
        SECRET.unlink(missing_ok=True)
        up()
        hook.server.shutdown()


def replace(file: Path, old: str, new: str) -> None:
    """Replace a text that occurs in a file."""
    content = file.read_text()
    assert old in content, f"{file} does not contain {old!r}"
    file.write_text(content.replace(old, new, 1))


def test_each_pod_of_each_service_is_scraped(webhook: Webhook):
    expected = {service: len(running_pods(service)) for service in ("api", "web", "prometheus", "alertmanager")}
    eventually(
        lambda: targets() == {service: ["up"] * count for service, count in expected.items()},
        RULES_SECONDS,
        "all pods are scraped",
    )
    pulumi("preview", "--expect-no-changes")


def test_every_rule_is_evaluated_without_an_error(webhook: Webhook):
    eventually(lambda: broken_rules() == {}, RULES_SECONDS, "every rule is healthy")
    assert len(prometheus("rules")["groups"]) > 3


@pytest.mark.feature("H5", part="5 % errors reach a webhook in under 3 minutes, and so does their end")
def test_errors_are_reported_within_minutes_and_so_is_their_end(webhook: Webhook, api: urllib3.HTTPSConnectionPool):
    with Load(api, "/v1/leaderboard", GOOD_RATE) as good:
        with Load(api, "/v1/shops", BAD_RATE) as bad:
            seconds = eventually(lambda: webhook.has("firing"), ALERT_SECONDS, f"{ALERT} is reported")
        assert set(bad.answers) == {"status 500"}
        assert good.lost == [], api.request("GET", "/v1/leaderboard").data
        print(f"reported after {seconds:.0f} s")
        assert not webhook.has("resolved")
        begin = time.monotonic()
        eventually(lambda: webhook.has("resolved"), RESOLVED_SECONDS, f"the end of {ALERT} is reported")
        print(f"its end was reported after {time.monotonic() - begin:.0f} s")


def test_a_report_says_what_is_wrong_and_which_page_helps(webhook: Webhook):
    [alert, *_] = [
        alert
        for notification in webhook.notifications
        for alert in notification["alerts"]
        if alert["labels"]["alertname"] == ALERT
    ]
    assert (alert["labels"]["severity"], alert["labels"]["service"]) == ("page", "api")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook_url"].endswith(f"docs/runbooks/{ALERT}.md")

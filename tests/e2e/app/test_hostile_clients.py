"""Hostile clients at the real ingress: the pods stay within their memory, and other clients are still served."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from tests.e2e.conftest import HOST, eventually, ingress_pool, running_pods

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CLIENTS = 200
PAGES = HOST.replace("api.", "web.", 1)
JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("host", "path", "headers", "body"),
    [
        (HOST, "/v1/sessions", JSON, json.dumps({f"{number:x}": 1 for number in range(100_000)})),
        (HOST, "/v1/users", JSON, json.dumps({f"{number:x}": 1 for number in range(600)})),
        (PAGES, "/login", FORM, "a&" * 500_000),
        (PAGES, "/signup", FORM, "name=" + "<" * 16_000),
    ],
)
def test_200_clients_that_send_huge_or_odd_bodies_restart_no_pod(
    host: str, path: str, headers: dict[str, str], body: str
):
    pool = ingress_pool(host)
    before = running_pods()

    def attack(_: int) -> int:
        try:
            return pool.request("POST", path, body=body, headers={"Host": host} | headers, timeout=30).status
        except urllib3.exceptions.HTTPError:
            return 0  # the connection was closed before all of the body was sent

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = Counter(clients.map(attack, range(3 * CLIENTS)))
    print(f"\n{host} {path}: {dict(answers)}")
    # 502: the pod refused the body and closed the connection while the ingress was still sending.
    assert not set(answers) & {500, 504}
    assert answers[200] == answers[201] == 0
    eventually(lambda: pool.request("GET", "/", timeout=5).status < 500, 10, "the host answers")
    # The autoscaler may have added or removed pods during the test.
    assert {pod: restarts for pod, restarts in running_pods().items() if restarts > before.get(pod, 0)} == {}

"""The watch over a canary: what becomes of its pods, what they answer, and when the verdict comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from slipway.objects import Object
from slipway.ops.cluster import snapshot
from slipway.ops.releases import canary_watch
from slipway.ops.releases.canary_metrics import PodMetrics, PrometheusMetrics, Sample
from slipway.ops.releases.canary_plan import CanaryPlan
from slipway.ops.releases.canary_watch import CanaryVerdict, CanaryWatch, watch
from tests import api_server, namespace
from tests.api_server import ApiServer
from tests.releases.test_canary_metrics import page
from tests.releases.test_canary_plan import CANARY, LIMITS, RELEASE


def canary_pod(name: str = "x2x4k", **status: Any) -> Object:
    return namespace.owned_pod(
        f"api-canary-777-{name}", ("ReplicaSet", "api-canary-777", "set-canary"), namespace.labels("api"), **status
    )


def objects(*pods: Object) -> dict[str, Sequence[Object]]:
    """The namespace of a service and its canary."""
    made = {**namespace.replica_set("new", replicas=len(pods))}
    made["metadata"] = namespace.meta("api-canary-777", "set-canary", ("Deployment", "api-canary", "deployment-c"))
    deployment = namespace.deployment("api-canary")
    deployment["metadata"]["uid"] = "deployment-c"
    return {
        "deployments": [namespace.deployment(), deployment],
        "replicasets": [namespace.replica_set("new"), made],
        "pods": [namespace.pod("aaaaa"), namespace.pod("bbbbb"), *pods],
        "nodes": [namespace.node()],
    }


@dataclass
class Counting(ApiServer):
    """One whose pods answer /metrics: one page after another, the last one for ever."""

    pages: list[str] = field(default_factory=list[str])
    refuses: int = 0
    """How many of the questions it refuses at first."""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if "/proxy/" not in request.url.path:
            return super().__call__(request)
        self.requests.append(request.url.path)
        if self.refuses:
            self.refuses -= 1
            return httpx2.Response(503, json={"message": "error trying to reach service: connection refused"})
        return httpx2.Response(200, text=self.pages.pop(0) if len(self.pages) > 1 else self.pages[0])


Watched = Callable[..., list[CanaryVerdict]]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """`watched(server)`: the verdicts, with a look every 10 seconds of a clock that needs no waiting."""
    now = [0.0]
    monkeypatch.setattr(canary_watch.time, "sleep", lambda _: now.__setitem__(0, now[0] + 10))

    def verdicts(server: ApiServer, **limits: Any) -> list[CanaryVerdict]:
        changes = {**CANARY, "services.api.canary": {**LIMITS, **limits}}
        plan = CanaryPlan("dev", RELEASE, api_server.settings("dev", changes), ["api"], [])
        return watch(plan, api_server.cluster(server, changes), clock=lambda: now[0])

    return verdicts


def test_a_canary_that_answers_well_is_good_when_its_time_is_over(watched: Watched):
    server = Counting(objects(canary_pod()), pages=[page(1000, 500), page(1300, 510)])
    [verdict] = watched(server)
    assert verdict == CanaryVerdict(
        True,
        "api: the canary is good: 310 requests in 60 s, 3.23 % errors (limit 5 %), 99 % of the answers took up to "
        "99 ms (limit 800 ms)",
    )
    asked = [path for path in server.requests if "proxy" in path]
    assert asked == ["/api/v1/namespaces/slipway-dev/pods/api-canary-777-x2x4k:9090/proxy/metrics"] * 7


def test_errors_that_the_rest_of_the_time_could_not_make_up_for_end_it_at_once(watched: Watched):
    """After 10 of 60 s 25 requests: 150 in all, of which 7.5 may fail."""
    server = Counting(objects(canary_pod()), pages=[page(0), page(17, 8), page(900, 8)])
    [verdict] = watched(server)
    assert not verdict.passed
    assert verdict.message.startswith("api: 8 of 25 answers were errors (5xx), 32 %; the limit is 5 % (errorPercent)")
    assert "measured for 10 s by the pods themselves; limits: slipway:services.api.canary" in verdict.message


def test_errors_that_can_still_be_made_up_for_do_not(watched: Watched):
    server = Counting(objects(canary_pod()), pages=[page(0), page(18, 7), page(900, 7)])
    assert [verdict.passed for verdict in watched(server)] == [True]


def test_a_slow_canary_is_withdrawn_when_its_time_is_over(watched: Watched):
    slow = page(100, 0, {"0.1": 90, "0.5": 96, "1": 100, "+Inf": 100})
    [verdict] = watched(Counting(objects(canary_pod()), pages=[page(0), slow]))
    assert not verdict.passed
    # 99 is 3 of the 4 between 500 and 1000 ms.
    assert "99 % of the answers took up to 875 ms; the limit is 800 ms (p99Milliseconds)" in verdict.message


def test_too_few_requests_tell_nothing_and_the_message_says_how_many_it_takes(watched: Watched):
    [verdict] = watched(Counting(objects(canary_pod()), pages=[page(0), page(19)]))
    assert not verdict.passed
    assert "only 19 requests came in 60 s, too few for a verdict; it takes 20 (requests)" in verdict.message


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        ([canary_pod(**namespace.crashed(restarts=1))], "crash loop: Pod/api-canary-777-x2x4k, container api"),
        (
            [canary_pod(containerStatuses=[namespace.ran(restartCount=2)])],
            "it was restarted 2 times",
        ),
        (
            [canary_pod(), canary_pod("later", **namespace.unready(namespace.ran(ready=False), since=30))],
            "readiness probe: Pod/api-canary-777-later",
        ),
        ([], "there is none"),
    ],
    ids=["crashes", "was started again", "one is not ready", "gone"],
)
def test_a_canary_that_does_not_run_well_is_withdrawn_at_once(watched: Watched, pods: list[Object], words: str):
    [verdict] = watched(Counting(objects(*pods), pages=[page(0)]))
    assert not verdict.passed
    assert "a pod of the canary does not run well after 0 s" in verdict.message
    assert words in verdict.message


def test_pods_that_come_later_count_from_their_start(watched: Watched):
    """The second pod shows up at the second look: its 30 requests are all of the watch."""
    first = objects(canary_pod())
    server = Counting(first, pages=[page(100), page(130)])

    def two(request: httpx2.Request) -> httpx2.Response:
        if server.requests.count("/api/v1/namespaces/slipway-dev/pods/api-canary-777-x2x4k:9090/proxy/metrics") == 1:
            server.objects = objects(canary_pod(), canary_pod("later"))
        return Counting.__call__(server, request)

    plan = CanaryPlan("dev", RELEASE, api_server.settings("dev", CANARY), ["api"], [])
    found = api_server.cluster(two, CANARY)  # pyright: ignore[reportArgumentType]
    canary = CanaryWatch("api", plan.settings.services["api"], PodMetrics(found, plan.settings.services["api"]))
    for elapsed in (0, 10):
        assert canary.poll(found, snapshot.take_snapshot(found), elapsed) is None
    assert canary.total.requests == 30 + 130


def test_a_look_that_fails_is_made_again_and_three_in_a_row_are_too_many(watched: Watched):
    server = Counting(objects(canary_pod()), pages=[page(0), page(300)], refuses=2)
    assert [verdict.passed for verdict in watched(server)] == [True]
    [verdict] = watched(Counting(objects(canary_pod()), pages=[page(0)], refuses=3))
    assert not verdict.passed
    assert "the canary cannot be watched: cannot get pods/proxy " in verdict.message
    assert "HTTP 503 from the API server: error trying to reach" in verdict.message


def test_a_cluster_that_is_gone_is_no_reason_to_promote(watched: Watched):
    [verdict] = watched(Counting(is_down=True))
    assert not verdict.passed
    assert "cannot be watched: the API server https://10.0.0.1:6443" in verdict.message


def test_where_prometheus_does_not_answer_the_pods_are_asked_and_that_is_said(
    watched: Watched, capsys: pytest.CaptureFixture[str]
):
    server = Counting(objects(canary_pod()), pages=[page(0), page(300)])
    [verdict] = watched(server, prometheus="http://127.0.0.1:1")
    assert verdict.passed
    assert "Prometheus at http://127.0.0.1:1 does not answer: " in capsys.readouterr().err


def test_where_prometheus_answers_nobody_else_is_asked(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    read = iter([Sample(), Sample(10, 10), *[Sample(400, 10)] * 9])
    monkeypatch.setattr(PrometheusMetrics, "read", lambda self, pod: next(read))
    server = Counting(objects(canary_pod()), pages=[])
    [verdict] = watched(server, prometheus="http://prometheus:9090")
    assert "390 requests in 60 s, 0 % errors" in verdict.message
    assert not [path for path in server.requests if "proxy" in path]

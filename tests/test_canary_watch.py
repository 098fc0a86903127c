"""What a canary is judged by: what its pods count, what becomes of them, and when the verdict comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from releases import Release

from ops import canary, config, models
from ops.canary import Prometheus, Sample, Trial, Unreadable, Verdict, planned, sample, series_in, watch
from ops.changes import UNKNOWN, Change
from ops.cluster import Object
from tests import api_server, namespace
from tests.api_server import ApiServer

LIMITS = {"percent": 34, "seconds": 60, "requests": 20, "errorPercent": 5, "p99Milliseconds": 800}
CANARY: dict[str, Any] = {
    "services.api.autoscaling": {"min": 2, "max": 4},
    "services.api.rollout": "canary",
    "services.api.canary": LIMITS,
}
RELEASE = Release("0a1b2c3d", {"services": {"api": {}}, "mysql": {}, "redis": {}}, "r:src-0@sha256:" + "5" * 64)


def page(good: int, bad: int = 0, buckets: Mapping[str, int] | None = None) -> str:
    """What the app answers on /metrics, cut; by default every answer took less than 100 ms."""
    times = buckets or {"0.1": good + bad, "0.5": good + bad, "1": good + bad, "+Inf": good + bad}
    labels = 'code="200",method="GET",route="/v1/shops/{id}"'
    lines = [f'http_request_duration_seconds_bucket{{{labels},le="{le}"}} {count}' for le, count in times.items()]
    return "\n".join(
        [
            "# HELP http_requests_total Requests answered, by route pattern.",
            "# TYPE http_requests_total counter",
            f"http_requests_total{{{labels}}} {good}",
            f'http_requests_total{{code="503",method="GET",route="/a \\"quoted\\" {{x}}"}} {bad}',
            *lines,
            f"http_request_duration_seconds_count{{{labels}}} {good + bad}",
            "go_goroutines 12",
            'app_build_info{version="v2"} 1',
        ]
    )


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
        self.asked.append(request.url.path)
        if self.refuses:
            self.refuses -= 1
            return httpx2.Response(503, json={"message": "error trying to reach service: connection refused"})
        return httpx2.Response(200, text=self.pages.pop(0) if len(self.pages) > 1 else self.pages[0])


Watched = Callable[..., list[Verdict]]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """`watched(server)`: the verdicts, with a look every 10 seconds of a clock that needs no waiting."""
    now = [0.0]
    monkeypatch.setattr(canary.time, "sleep", lambda _: now.__setitem__(0, now[0] + 10))

    def verdicts(server: ApiServer, **limits: Any) -> list[Verdict]:
        changes = {**CANARY, "services.api.canary": {**LIMITS, **limits}}
        trial = Trial("dev", RELEASE, api_server.settings("dev", changes), ["api"], [])
        return watch(trial, api_server.cluster(server, changes), clock=lambda: now[0])

    return verdicts


# --- what pods count --------------------------------------------------------------------------------------------------


def test_requests_and_errors_are_counted_over_all_routes():
    found = sample(series_in(page(97, 3)))
    assert (found.requests, found.errors, found.error_percent) == (100, 3, 3)
    assert found.buckets == {0.1: 100, 0.5: 100, 1.0: 100, math.inf: 100}


def test_the_time_99_of_100_answers_took_lies_between_the_bounds_of_its_bucket():
    """The 99th of 100 is the first of 2 answers between 0.5 and 1 s: half of the way."""
    found = sample(series_in(page(100, 0, {"0.1": 90, "0.5": 98, "1": 100, "+Inf": 100})))
    assert found.seconds(0.99) == pytest.approx(0.75)
    assert found.seconds(0.45) == pytest.approx(0.05)


def test_a_time_beyond_the_last_bound_is_not_guessed_and_no_answer_took_none():
    assert sample(series_in(page(100, 0, {"1": 98, "+Inf": 100}))).seconds(0.99) == math.inf
    assert Sample().seconds(0.99) == 0


def test_only_what_came_in_between_counts():
    since = sample(series_in(page(150, 4))) - sample(series_in(page(100, 4)))
    assert (since.requests, since.errors, since.buckets[0.1]) == (50, 0, 50)


# --- the verdict ------------------------------------------------------------------------------------------------------


def test_a_canary_that_answers_well_is_good_when_its_time_is_over(watched: Watched):
    server = Counting(objects(canary_pod()), pages=[page(1000, 500), page(1300, 510)])
    [verdict] = watched(server)
    assert verdict == Verdict(
        True,
        "api: the canary is good: 310 requests in 60 s, 3.23 % errors (at most 5 %), 99 of 100 answers took up to "
        "99 ms (at most 800 ms)",
    )
    asked = [path for path in server.asked if "proxy" in path]
    assert asked == ["/api/v1/namespaces/slipway-dev/pods/api-canary-777-x2x4k:9090/proxy/metrics"] * 7


def test_errors_that_the_rest_of_the_time_could_not_make_up_for_end_it_at_once(watched: Watched):
    """After 10 of 60 s 25 requests: 150 in all, of which 7.5 may fail."""
    server = Counting(objects(canary_pod()), pages=[page(0), page(17, 8), page(900, 8)])
    [verdict] = watched(server)
    assert not verdict.passed
    assert verdict.told.startswith("api: 8 of 25 answers were errors (5xx), 32 %; at most 5 % may be (errorPercent)")
    assert "measured for 10 s by the pods themselves; limits: slipway:services.api.canary" in verdict.told


def test_errors_that_can_still_be_made_up_for_do_not(watched: Watched):
    server = Counting(objects(canary_pod()), pages=[page(0), page(18, 7), page(900, 7)])
    assert [verdict.passed for verdict in watched(server)] == [True]


def test_a_slow_canary_is_withdrawn_when_its_time_is_over(watched: Watched):
    slow = page(100, 0, {"0.1": 90, "0.5": 96, "1": 100, "+Inf": 100})
    [verdict] = watched(Counting(objects(canary_pod()), pages=[page(0), slow]))
    assert not verdict.passed
    # 99 is 3 of the 4 between 500 and 1000 ms.
    assert "99 of 100 answers took up to 875 ms; at most 800 ms may be (p99Milliseconds)" in verdict.told


def test_too_few_requests_tell_nothing_and_the_message_says_how_many_it_takes(watched: Watched):
    [verdict] = watched(Counting(objects(canary_pod()), pages=[page(0), page(19)]))
    assert not verdict.passed
    assert "only 19 requests came in 60 s, of which nothing can be told; it takes 20 (requests)" in verdict.told


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        ([canary_pod(**namespace.crashed(restarts=1))], "crash loop: Pod/api-canary-777-x2x4k, container api"),
        (
            [canary_pod(containerStatuses=[namespace.ran(restartCount=2)])],
            "it was started again 2 times",
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
    assert "a pod of the canary does not run well after 0 s" in verdict.told
    assert words in verdict.told


def test_pods_that_come_later_count_from_their_start(watched: Watched):
    """The second pod shows up at the second look: its 30 requests are all of the watch."""
    first = objects(canary_pod())
    server = Counting(first, pages=[page(100), page(130)])

    def two(request: httpx2.Request) -> httpx2.Response:
        if server.asked.count("/api/v1/namespaces/slipway-dev/pods/api-canary-777-x2x4k:9090/proxy/metrics") == 1:
            server.objects = objects(canary_pod(), canary_pod("later"))
        return Counting.__call__(server, request)

    trial = Trial("dev", RELEASE, api_server.settings("dev", CANARY), ["api"], [])
    found = api_server.cluster(two, CANARY)  # pyright: ignore[reportArgumentType]
    seen = canary.Watch("api", trial.settings.services["api"], canary.Pods(found))
    for elapsed in (0, 10):
        assert seen.look(found, canary.held.look(found), elapsed) is None
    assert seen.seen.requests == 30 + 130


def test_a_look_that_fails_is_made_again_and_three_in_a_row_are_too_many(watched: Watched):
    server = Counting(objects(canary_pod()), pages=[page(0), page(300)], refuses=2)
    assert [verdict.passed for verdict in watched(server)] == [True]
    [verdict] = watched(Counting(objects(canary_pod()), pages=[page(0)], refuses=3))
    assert not verdict.passed
    assert "the canary cannot be watched: cannot get pods/proxy " in verdict.told
    assert "HTTP 503 from the API server: error trying to reach" in verdict.told


def test_a_cluster_that_is_gone_is_no_reason_to_promote(watched: Watched):
    [verdict] = watched(Counting(is_down=True))
    assert not verdict.passed
    assert "cannot be watched: the API server https://10.0.0.1:6443" in verdict.told


# --- Prometheus -------------------------------------------------------------------------------------------------------


def prometheus(*results: Any) -> tuple[Prometheus, list[str]]:
    """One that answers these, and what it is asked."""
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(f"{request.url.path} {request.url.params['query']}")
        return httpx2.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": results}})

    return Prometheus("http://prometheus:9090/", "slipway-dev", httpx2.MockTransport(answer)), asked


def test_prometheus_is_asked_for_the_series_of_the_pod():
    def series(name: str, value: str, **labels: str) -> Any:
        return {"metric": {"__name__": name, "pod": "api-canary-x", **labels}, "value": [1796000000.1, value]}

    source, asked = prometheus(
        series("http_requests_total", "90", code="200"),
        series("http_requests_total", "10", code="500"),
        series("http_request_duration_seconds_bucket", "100", code="200", le="+Inf"),
    )
    assert source.read("api-canary-x") == Sample(100, 10, {math.inf: 100})
    assert asked == [
        '/api/v1/query {__name__=~"http_requests_total|http_request_duration_seconds_bucket",'
        'namespace="slipway-dev",pod="api-canary-x"}'
    ]


def test_a_pod_that_prometheus_has_not_asked_yet_has_counted_nothing():
    source, _ = prometheus()
    assert source.read("api-canary-x") == Sample()


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(502, text="bad gateway"),
        httpx2.Response(200, text="<html>log in</html>"),
        httpx2.Response(200, json={"status": "error"}),
        httpx2.Response(200, json=[]),
    ],
    ids=["error", "no JSON", "no data", "a list"],
)
def test_what_is_no_answer_of_prometheus_is_told_as_such(answer: httpx2.Response):
    source = Prometheus("http://prometheus:9090", "slipway-dev", httpx2.MockTransport(lambda _: answer))
    with pytest.raises(Unreadable, match="Prometheus at http://prometheus:9090 does not answer: "):
        source.read("any")


def test_where_prometheus_does_not_answer_the_pods_are_asked_and_that_is_said(
    watched: Watched, capsys: pytest.CaptureFixture[str]
):
    server = Counting(objects(canary_pod()), pages=[page(0), page(300)])
    [verdict] = watched(server, prometheus="http://127.0.0.1:1")
    assert verdict.passed
    assert "Prometheus at http://127.0.0.1:1 does not answer: " in capsys.readouterr().err


def test_where_prometheus_answers_nobody_else_is_asked(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    read = iter([Sample(), Sample(10, 10), *[Sample(400, 10)] * 9])
    monkeypatch.setattr(Prometheus, "read", lambda self, pod: next(read))
    server = Counting(objects(canary_pod()), pages=[])
    [verdict] = watched(server, prometheus="http://prometheus:9090")
    assert "390 requests in 60 s, 0 % errors" in verdict.told
    assert not [path for path in server.asked if "proxy" in path]


# --- what is tried ----------------------------------------------------------------------------------------------------

AT = ("spec", "template", "spec")


def rolled(service: str = "api", *, before: Any = "r:src-0", after: Any = UNKNOWN, **more: Any) -> Change:
    def side(image: Any) -> Object:
        return {"spec": {"template": {"spec": {"containers": [{"name": service, "image": image}]}}}}

    return Change(f"Deployment/{service}", before and side(before), after and side(after), **more)


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trial | None]:
    """`plan([changes], settings...)`: what is tried when the engine would change that."""

    def made(changes: list[Change] | Exception, **settings: Any) -> Trial | None:
        def of_engine(stack: str) -> list[Change]:
            if isinstance(changes, Exception):
                raise changes
            return changes

        monkeypatch.setattr(models, "of_engine", of_engine)
        given = {key.replace("__", "."): value for key, value in settings.items()}
        monkeypatch.setattr(config, "settings", lambda stack: api_server.settings(stack, {**CANARY, **given}))
        return planned("dev", RELEASE)

    return made


def test_a_service_whose_pods_change_is_tried_with_the_settings_and_image_of_today(plan: Callable[..., Trial | None]):
    trial = plan([rolled()], services__web={"rollout": "canary", "canary": {"percent": 50}})
    assert trial and (trial.names, trial.told) == (["api"], "canary of api")
    candidate = trial.candidate
    assert candidate["image"] == {"source": "build", "repository": "registry.example.com/slipway/api"}
    assert candidate["services"]["api"]["canary"] == LIMITS
    assert (candidate["services"]["web"]["rollout"], "canary" in candidate["services"]["web"]) == ("rolling", False)


def secret(name: str) -> Object:
    volumes = [{"name": "secrets", "secret": {"secretName": name}}]
    return {"spec": {"template": {"spec": {"volumes": volumes}}}}


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [rolled(before=None)],
        [rolled(after=None)],
        [rolled(after="r:src-0")],
        [rolled(replaced=True)],
        [rolled("web")],
        [Change("Deployment/api", {"spec": {"replicas": 2}}, {"spec": {"replicas": 3}})],
        [Change("Deployment/api", secret("api-secret-00000000"), secret("api-secret-11111111"))],
        models.NoModel("dev: `pulumi preview` failed: a mistake"),
    ],
    ids=["nothing", "new", "gone", "same", "elsewhere", "another", "more pods", "another secret", "a mistake"],
)
def test_nothing_is_tried_where_no_other_pods_come(plan: Callable[..., Trial | None], changes: Any):
    assert plan(changes) is None


def test_without_a_canary_in_the_stack_file_the_engine_is_not_even_asked(plan: Callable[..., Trial | None]):
    asked = AssertionError("it was asked")
    assert plan(asked, services__api__rollout="rolling", services__api__canary=None) is None


def test_a_service_that_needs_what_the_release_does_not_run_is_not_tried(
    plan: Callable[..., Trial | None], capsys: pytest.CaptureFixture[str]
):
    needs = ["mysql", "redis", "later"]
    assert plan([rolled()], services__later={}, services__api__needs=needs) is None
    assert "dev: api is not tried first: it needs later, which the release in force" in capsys.readouterr().err

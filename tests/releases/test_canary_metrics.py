"""The counters of a canary's pods: from their own /metrics, and from Prometheus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from slipway.ops.releases.canary_metrics import MetricsError, PrometheusMetrics, Sample, parse
from slipway.settings.sections.contract import Metrics


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


def test_requests_and_errors_are_counted_over_all_routes():
    found = Sample.of(parse(page(97, 3)), Metrics())
    assert (found.requests, found.errors, found.error_percent) == (100, 3, 3)
    assert found.buckets == {0.1: 100, 0.5: 100, 1.0: 100, math.inf: 100}


def test_the_time_99_of_100_answers_took_lies_between_the_bounds_of_its_bucket():
    """The 99th of 100 is the first of 2 answers between 0.5 and 1 s: half of the way."""
    found = Sample.of(parse(page(100, 0, {"0.1": 90, "0.5": 98, "1": 100, "+Inf": 100})), Metrics())
    assert found.quantile(0.99) == pytest.approx(0.75)
    assert found.quantile(0.45) == pytest.approx(0.05)


def test_a_time_beyond_the_last_bound_is_not_guessed_and_no_answer_took_none():
    assert Sample.of(parse(page(100, 0, {"1": 98, "+Inf": 100})), Metrics()).quantile(0.99) == math.inf
    assert Sample().quantile(0.99) == 0


PODINFO = Metrics.model_validate({"codeLabel": "status"})


def test_another_app_names_its_metrics_and_the_label_with_the_code():
    """As podinfo 6.14 answers on /metrics, cut."""
    text = """http_request_duration_seconds_bucket{method="GET",path="root",status="200",le="+Inf"} 7
http_requests_total{status="200"} 7
http_requests_total{status="503"} 2
"""
    found = Sample.of(parse(text), PODINFO)
    assert (found.requests, found.errors, found.buckets) == (9, 2, {math.inf: 7})
    with pytest.raises(MetricsError, match=r"http_requests_total has no label code; set metrics.codeLabel to one of"):
        Sample.of(parse(text), Metrics())


def test_only_what_came_in_between_counts():
    since = Sample.of(parse(page(150, 4)), Metrics()) - Sample.of(parse(page(100, 4)), Metrics())
    assert (since.requests, since.errors, since.buckets[0.1]) == (50, 0, 50)


def prometheus(*results: Any) -> tuple[PrometheusMetrics, list[str]]:
    """One that answers these, and what it is asked."""
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(f"{request.url.path} {request.url.params['query']}")
        return httpx2.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": results}})

    return PrometheusMetrics("http://prometheus:9090/", "slipway-dev", Metrics(), httpx2.MockTransport(answer)), asked


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
    source = PrometheusMetrics(
        "http://prometheus:9090", "slipway-dev", Metrics(), httpx2.MockTransport(lambda _: answer)
    )
    with pytest.raises(MetricsError, match="Prometheus at http://prometheus:9090 does not answer: "):
        source.read("any")

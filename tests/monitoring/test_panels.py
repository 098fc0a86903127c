"""The panels of a dashboard: each expression is PromQL, each series in it exists, and limits follow the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pulumi
import pytest

from slipway.monitoring.burn_rate import groups
from slipway.monitoring.panels import Panel, releases, rows
from slipway.monitoring.slo import objectives
from slipway.settings.sections.contract import Unit
from slipway.settings.settings import Settings
from tests.monitoring import metric_names
from tests.monitoring.conftest import SLO, panels_of_the_reference_app, settings_of
from tests.monitoring.test_expressions import selectors
from tests.reference_app import only_with_the_reference_app

SLOS = {"services.api.slo": SLO, "services.web.slo": SLO}
OWN = {"services.api.panels": {"Misses": {"expr": "sum(rate(misses_total{$(selector)}[5m]))", "unit": "reqps"}}}
WITHOUT_METRICS = {"services.web.contract": "none", "services.web.probes": {"ready": {"tcp": True}}}


def panels_of(settings: Settings, service: str = "api") -> dict[str, Panel]:
    return {panel.title: panel for row in rows(settings) if row.service == service for panel in row.panels}


def titles(settings: Settings, service: str = "api") -> list[str]:
    return [row.subject for row in rows(settings) if row.service == service]


def problems(expr: str, known: dict[str, set[str]]) -> Iterator[str]:
    """Yield what of an expression nobody serves."""
    for selector in selectors(expr):
        name, labels = str(selector.name), {matcher.name for matcher in selector.matchers.matchers}
        if name not in known:
            yield f"nobody serves {name}"
        elif foreign := labels - known[name] - metric_names.ADDED:
            yield f"{name} has no label {', '.join(sorted(foreign))}"
        if not labels >= metric_names.ADDED:
            yield f"{name} is read of other stacks or services"


def known_of(settings: Settings, service: str) -> dict[str, set[str]]:
    """Return the series of a fresh pod of the reference app and of the rules, with their labels."""
    rules = [rule for item in objectives(settings) for group in groups(item) for rule in group["rules"]]
    recorded = {rule["record"]: {"slo", "window"} for rule in rules if "record" in rule}
    return {**metric_names.OF_PROMETHEUS, **metric_names.of_app(service), **recorded}


def expressions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the service and text of each expression of a dashboard."""
    yield from ((row.service, query.expr) for row in rows(settings) for panel in row.panels for query in panel.queries)
    if marks := releases(settings):
        yield "api", marks.expr


@pytest.mark.parametrize("stack", ["dev", "local", "prod"])
@pytest.mark.feature("H4")
@only_with_the_reference_app
def test_every_expression_parses_and_its_series_exist_in_a_fresh_pod_or_among_the_rules(stack: str):
    settings = settings_of(stack, SLOS | panels_of_the_reference_app())
    found = list(expressions(settings))
    assert len(found) > 60
    known = {service: known_of(settings, service) for service in settings.services}
    assert [f"{expr}: {problem}" for service, expr in found for problem in problems(expr, known[service])] == []


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ('requests_total{namespace="x",service="y"}', "nobody serves requests_total"),
        ('http_requests_total{namespace="x",service="y",status="500"}', "http_requests_total has no label status"),
        ('http_requests_total{service="y"}', "http_requests_total is read of other stacks or services"),
    ],
)
@only_with_the_reference_app
def test_a_series_that_nobody_serves_is_seen(expr: str, problem: str):
    assert list(problems(expr, metric_names.of_app("api"))) == [problem]


def test_each_panel_has_a_unit_and_a_title_of_its_own():
    settings = settings_of("local", SLOS | OWN)
    for row in rows(settings):
        assert all(panel.unit in get_args(Unit) and panel.queries for panel in row.panels)
    for service in settings.services:
        all_ = [panel.title for row in rows(settings) if row.service == service for panel in row.panels]
        assert len(set(all_)) == len(all_) > 15


def test_each_service_has_its_objectives_requests_saturation_and_runtime():
    settings = settings_of("dev", {"services.api.slo": SLO, **OWN})
    assert titles(settings) == ["objectives", "requests", "saturation", "Go runtime", "the app's own"]
    assert titles(settings, "web") == ["requests", "saturation", "Go runtime"]


def test_series_have_the_names_that_the_app_gives_them():
    metrics = {
        "requests": "hits_total",
        "codeLabel": "status",
        "routeLabel": "path",
        "durations": "took_seconds",
        "buildInfo": "info",
    }
    settings = settings_of("dev", {"services.api.metrics": metrics})
    found = panels_of(settings)
    own = 'namespace="slipway-dev",service="api"'
    assert found["Requests by route"].queries[0].expr == (f"topk(10, sum by (path) (rate(hits_total{{{own}}}[2m])))")
    assert found["Share of errors by route"].queries[0].expr == (
        f'(sum(rate(hits_total{{{own},status=~"5.."}}[2m])) or vector(0)) / sum(rate(hits_total{{{own}}}[2m]))'
    )
    assert found["Response times"].queries[-1].expr == (
        f"histogram_quantile(0.99, sum by (le) (rate(took_seconds_bucket{{{own}}}[2m])))"
    )
    marks = releases(settings)
    assert marks and f"info{{{own}}}" in marks.expr


def test_what_an_app_does_not_have_is_not_drawn():
    metrics = {"inFlight": None, "goRuntime": False, "buildInfo": None}
    settings = settings_of("dev", {"services.api.metrics": metrics, "services.web.metrics": metrics})
    assert titles(settings, "web") == ["requests", "saturation"]
    assert "Requests in flight" not in panels_of(settings, "web")
    assert releases(settings) is None


def test_a_service_without_metrics_has_no_row():
    assert titles(settings_of("dev", WITHOUT_METRICS), "web") == []


def test_a_worker_has_no_requests_to_show():
    settings = settings_of("dev", {"services.counter": {"kind": "worker", "metrics": {}, "ports": {"admin": 9090}}})
    assert titles(settings, "counter") == ["saturation", "Go runtime"]
    assert "Requests in flight" not in panels_of(settings, "counter")


def test_limits_are_those_of_the_settings():
    changes = {"services.api.slo": SLO, "services.api.autoscaling": {"min": 3, "max": 7, "cpuPercent": 60}}
    found = panels_of(settings_of("dev", changes))
    assert found["Pods that answer"].limits == {"maximum": 7, "minimum": 3}
    assert found["CPU, share of the request"].limits == {"scales up": 0.6}
    assert found["Response times by route, p99"].limits == {"target": 0.25}
    assert found["Share of errors by route"].limits == {"availability allows": 0.0005}
    assert found["Error budget left in 30d"].limits == {"burnt": 0}


def test_a_quantile_that_only_an_objective_names_is_shown_too():
    slo = {"availability": 99.9, "latency": {"p99.9": "1s"}}
    found = panels_of(settings_of("dev", {"services.api.slo": slo}))
    [query] = found["Response times by route, p99.9"].queries
    assert "histogram_quantile(0.999, " in query.expr


def test_the_apps_own_panels_see_the_series_of_their_service_alone():
    panel = panels_of(settings_of("dev", OWN))["Misses"]
    assert panel.unit == "reqps"
    assert panel.queries[0].expr == 'sum(rate(misses_total{namespace="slipway-dev",service="api"}[5m]))'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"services.api.panels": {"Misses": {"expr": "misses_total"}}}, "panels.Misses.expr: has no $(selector)"),
        ({"services.api.panels": {"Misses": {"expr": "x{$(selector)}", "unit": "ms"}}}, "panels.Misses.unit"),
        ({"services.api.panels": {" ": {"expr": "x{$(selector)}"}}}, "a title such as Cache hits"),
        (
            {**WITHOUT_METRICS, "services.web.panels": {"Misses": {"expr": "x{$(selector)}"}}},
            "services.web.panels: needs the app's metrics",
        ),
    ],
    ids=["of all services", "unknown unit", "no title", "no metrics"],
)
def test_a_panel_that_cannot_be_drawn_is_refused(changes: dict[str, Any], words: str):
    with pytest.raises(pulumi.RunError) as refused:
        settings_of("dev", changes)
    assert words in str(refused.value)

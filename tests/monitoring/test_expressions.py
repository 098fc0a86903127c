"""Each expression of each rule is PromQL, and each series in it is one that somebody serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest

from slipway.monitoring.groups import Source, groups_of
from slipway.settings.sections.contract import BUCKETS
from tests.monitoring import metric_names
from tests.monitoring.conftest import SLO, alerts_of_the_reference_app, settings_of
from tests.paths import HAS_REFERENCE_APP
from tests.reference_app import only_with_the_reference_app

SOURCES: list[Source] = ["operator", "cluster"]
SLOS = {"services.api.slo": SLO, "services.web.slo": SLO}


def rules(stack: str, source: Source) -> list[dict[str, Any]]:
    alerts = alerts_of_the_reference_app() if HAS_REFERENCE_APP else {}
    return [rule for group in groups_of(settings_of(stack, SLOS | alerts), source) for rule in group["rules"]]


def selectors(expr: str) -> Iterator[promql_parser.VectorSelector]:
    """Yield what an expression reads."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expr), visit)
    yield from found


def unknown(rule: dict[str, Any], source: Source, recorded: set[str], stack: str) -> Iterator[str]:
    """Yield the series and labels of a rule that nobody serves."""
    service = rule["labels"]["service"]
    known = dict(metric_names.OF_PROMETHEUS)
    known |= metric_names.of_app(service) if service in ("api", "web") else {}
    known |= metric_names.OF_CLUSTER if source == "operator" else {}
    known |= {name: {"slo", "window"} for name in recorded}
    for selector in selectors(rule["expr"]):
        name = str(selector.name)
        labels = {matcher.name for matcher in selector.matchers.matchers}
        if name not in known:
            yield f"{rule['labels']}: nobody serves {name}"
        elif foreign := labels - known[name] - metric_names.ADDED:
            yield f"{rule['labels']}: {name} has no label {', '.join(sorted(foreign))}"
        if not {"namespace", "exported_namespace"} & labels:
            yield f"{rule['labels']}: {name} is read of all stacks"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("stack", ["dev", "local", "prod"])
@pytest.mark.feature("H3", part="each expression parses, and its series exist in a fresh pod")
@only_with_the_reference_app
def test_each_series_of_a_rule_exists_in_a_fresh_pod_or_in_the_cluster(stack: str, source: Source):
    found = rules(stack, source)
    recorded = {rule["record"] for rule in found if "record" in rule}
    assert len(found) > 40
    assert [problem for rule in found for problem in unknown(rule, source, recorded, stack)] == []


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ('app_queries_total{namespace="x"}', "nobody serves app_queries_total"),
        ('http_requests_total{namespace="x",status="500"}', "http_requests_total has no label status"),
        ("rate(http_requests_total[5m])", "http_requests_total is read of all stacks"),
        ('kube_resourcequota{namespace="x"}', "nobody serves kube_resourcequota"),
    ],
)
@only_with_the_reference_app
def test_a_series_that_nobody_serves_is_seen(expr: str, problem: str):
    rule = {"expr": expr, "labels": {"service": "api"}}
    assert any(problem in line for line in unknown(rule, "cluster", set(), "dev"))


def test_an_expression_that_is_no_promql_is_seen():
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        list(selectors("sum(rate(x[5m])"))


@only_with_the_reference_app
def test_the_buckets_that_are_assumed_are_those_of_the_reference_app():
    assert metric_names.buckets() == BUCKETS


@pytest.mark.parametrize("source", SOURCES)
def test_each_alert_says_who_is_told_what_happened_and_what_to_do(source: Source):
    alerts = [rule for rule in rules("prod", source) if "alert" in rule]
    assert alerts
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"namespace", "service"} <= rule["labels"].keys()
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


@pytest.mark.parametrize("source", SOURCES)
def test_no_two_rules_have_one_name_and_the_same_labels(source: Source):
    found = [(rule.get("record") or rule["alert"], *sorted(rule["labels"].items())) for rule in rules("prod", source)]
    assert len(found) == len({*found})


def test_what_only_the_cluster_reports_is_left_out_where_nobody_scrapes_it():
    names = {source: {rule.get("alert") for rule in rules("prod", source)} for source in SOURCES}
    assert names["operator"] - names["cluster"] == {
        "AutoscalerAtMaximum",
        "CertificateExpiresSoon",
        "ContainerOutOfMemory",
        "ContainerRestarts",
        "QuotaFullSoon",
        "QuotaNearLimit",
        "VolumeFullSoon",
        "VolumeNearlyFull",
    }
    assert names["cluster"] - names["operator"] == set()

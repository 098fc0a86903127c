"""Each kind of change has its class; the fixtures in tests/verdicts/ read as a table of before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import models
from ops.changes import Model, changed, compare
from ops.judge import judge, judge_all
from ops.recorder import stacks
from ops.verdict import FORBIDDEN, Class, forbidden_in
from tests.conftest import Changed, Declare

FIXTURES = sorted((Path(__file__).parent / "verdicts").glob("*.yaml"))


def model(objects: list[dict[str, Any]]) -> Model:
    """The fixtures hold one object each; its kind is its identity."""
    return {f"{found['kind']}/it": found for found in objects}


@pytest.mark.feature("K3")
@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_a_change_has_the_class_its_fixture_says(file: Path):
    fixture = yaml.safe_load(file.read_text())
    [change] = compare(model(fixture["before"]), model(fixture["after"]))
    verdict = judge(change)
    assert [class_.flag for class_ in verdict.classes] == fixture["expected"], verdict.reasons


def test_there_are_fixtures_of_every_class():
    expected = {flag for file in FIXTURES for flag in yaml.safe_load(file.read_text())["expected"]}
    assert expected == {class_.flag for class_ in Class}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"services.api.env.LOG_LEVEL": "warn"}, {"ConfigMap/api-env": "rolls-pods", "Deployment/api": "rolls-pods"}),
        ({"services.api.file.notice": "hello"}, {"ConfigMap/api-file": "config-only"}),
        ({"services.api.autoscaling.cpuPercent": 50}, {"HorizontalPodAutoscaler/api": "config-only"}),
        ({"services.api.ingress.host": "x.example.com"}, {"Ingress/api": "exposes"}),
        ({"services.api.ingress": None}, {"Ingress/api": "replaces", "NetworkPolicy/api": "config-only"}),
        ({"cluster.monitoringNamespace": "monitoring"}, {"NetworkPolicy/api": "exposes"}),
        ({"cluster.context": "prod-2"}, {"Provider/cluster": "loses-data", "Provider/retained": "loses-data"}),
        ({}, {}),
    ],
    ids=str,
)
def test_an_edited_stack_file_has_the_classes_a_person_would_say(
    program: Declare, changed: Changed, changes: dict[str, Any], expected: dict[str, str]
):
    found = compare(models.of_program(program("prod")), models.of_program(changed("prod", changes)))
    verdicts = {verdict.change.name: verdict.primary.flag for verdict in judge_all(found)}
    assert {name: flag for name, flag in verdicts.items() if flag != "no-op"} == expected
    assert len(verdicts) > 10


def test_a_lower_minimum_scales_down_and_less_tls_weakens(program: Declare, changed: Changed):
    edits = {"services.api.autoscaling.min": 1, "services.api.ingress.tls": None}
    before = models.of_program(changed("dev", {"services.api.autoscaling.min": 2}))
    found = judge_all(compare(before, models.of_program(changed("dev", edits))))
    classes = {verdict.change.name: verdict.primary.flag for verdict in found}
    assert classes["HorizontalPodAutoscaler/api"] == "scales-down"
    assert classes["Ingress/api"] == "weakens-security"


DEPLOYMENT = {"kind": "Deployment", "metadata": {"name": "api"}}
SCALER = {"kind": "HorizontalPodAutoscaler", "spec": {"scaleTargetRef": {"name": "api"}, "minReplicas": 2}}


@pytest.mark.parametrize(
    ("replicas", "scaler", "classes"),
    [
        (2, SCALER, ["config-only"]),
        (5, SCALER, ["scales-down"]),
        (2, None, ["scales-down"]),
        (1, None, ["config-only"]),
    ],
)
def test_a_number_that_is_left_to_an_autoscaler_is_compared_with_its_minimum(
    replicas: int, scaler: dict[str, Any] | None, classes: list[str]
):
    before = {"Deployment/api": {**DEPLOYMENT, "spec": {"replicas": replicas}}}
    after = {"Deployment/api": {**DEPLOYMENT, "spec": {}}} | ({"HorizontalPodAutoscaler/api": scaler} if scaler else {})
    [deployment] = [verdict for verdict in judge_all(compare(before, after)) if verdict.change.kind == "Deployment"]
    assert [class_.flag for class_ in deployment.classes] == classes


def test_the_reason_names_the_field_and_both_values():
    before = {"kind": "HorizontalPodAutoscaler", "spec": {"minReplicas": 4}}
    verdict = judge(changed("HorizontalPodAutoscaler/api", before, {**before, "spec": {"minReplicas": 2}}))
    assert verdict.reasons == ((Class.SCALES_DOWN, "spec.minReplicas: 4 -> 2"),)


def test_a_file_in_a_config_map_is_told_by_its_own_fields():
    sides = ({"kind": "ConfigMap", "data": {"a.yaml": f"page: {{size: {size}}}"}} for size in (20, 50))
    verdict = judge(changed("ConfigMap/api-file", *sides))
    assert verdict.reasons[0][1] == 'is changed in place, no pod restarts: data."a.yaml".page.size: 20 -> 50'


def test_a_file_that_only_reads_differently_has_changed_all_the_same():
    sides = ({"kind": "ConfigMap", "data": {"a.yaml": text}} for text in ("a: 1", "a: 1 # one"))
    assert judge(changed("ConfigMap/api-file", *sides)).primary is Class.CONFIG_ONLY


def test_an_environment_nobody_made_rules_for_is_held_to_those_of_prod():
    assert set(FORBIDDEN) == set(stacks())
    assert forbidden_in("prod-2") == forbidden_in("prod") > forbidden_in("staging") > forbidden_in("dev") == frozenset()

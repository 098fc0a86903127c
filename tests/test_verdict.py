"""Each kind of change has its class; the fixtures in tests/verdicts/ read as a table of before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.changes import Model, changed, compare
from ops.models import of_steps
from ops.verdict import Class, judge
from tests.conftest import Changed

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
    assert len(FIXTURES) >= 20
    assert expected == {class_.flag for class_ in Class}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"services.api.env.LOG_LEVEL": "warn"}, {"ConfigMap/api-env": "rolls-pods", "Deployment/api": "rolls-pods"}),
        ({"services.api.file.notice": "hello"}, {"ConfigMap/api-file": "config-only"}),
        ({"services.api.autoscaling.cpuPercent": 50}, {"HorizontalPodAutoscaler/api": "config-only"}),
        ({"services.api.ingress.host": "x.example.com"}, {"Ingress/api": "exposes"}),
        ({"services.api.ingress": None}, {"Ingress/api": "replaces", "NetworkPolicy/api": "config-only"}),
        ({"services.api.ingress.tls": None}, {"Ingress/api": "weakens-security"}),
        ({"cluster.monitoringNamespace": "monitoring"}, {"NetworkPolicy/api": "exposes"}),
        ({}, {}),
    ],
    ids=str,
)
def test_an_edited_stack_file_has_the_classes_a_person_would_say(
    changed: Changed, changes: dict[str, Any], expected: dict[str, str]
):
    def of(edits: dict[str, Any]) -> Model:
        return {f"{kind}/{name}": found for (kind, name), found in changed("prod", edits).manifests().items()}

    if "ingress.tls" in str(changes):  # staging and prod refuse that at once; dev lets it through to the verdict
        before, after = (
            {f"{k}/{n}": m for (k, n), m in changed("dev", edits).manifests().items()} for edits in ({}, changes)
        )
    else:
        before, after = of({}), of(changes)
    verdicts = {change.name: judge(change).primary.flag for change in compare(before, after)}
    assert {name: flag for name, flag in verdicts.items() if flag != "no-op"} == expected
    assert len(verdicts) > 10


def test_the_reason_names_the_field_and_both_values():
    before = {"kind": "HorizontalPodAutoscaler", "spec": {"minReplicas": 4}}
    verdict = judge(changed("HorizontalPodAutoscaler/api", before, {**before, "spec": {"minReplicas": 2}}))
    assert verdict.reasons == ((Class.SCALES_DOWN, "spec.minReplicas: 4 -> 2"),)


def step(op: str, old: dict[str, Any] | None, new: dict[str, Any] | None, type_: str = "core/v1:Service") -> Any:
    urn = f"urn:pulumi:dev::slipway::slipway:index:WebService$kubernetes:{type_}::api"
    states = {"oldState": old, "newState": new}
    return {"op": op, "urn": urn} | {side: {"inputs": inputs} for side, inputs in states.items() if inputs is not None}


def test_a_replacement_the_engine_plans_is_one_change_with_downtime():
    service = {"kind": "Service", "spec": {"type": "ClusterIP"}}
    steps = [step(op, service, service) for op in ("create-replacement", "replace", "delete-replaced")]
    [change] = of_steps(steps)
    assert change.replaced
    assert judge(change).primary is Class.REPLACES


def test_a_deletion_the_engine_plans_is_seen():
    [change] = of_steps([step("delete", {"kind": "PersistentVolumeClaim"}, None, "core/v1:PersistentVolumeClaim")])
    assert judge(change).primary is Class.LOSES_DATA


def test_what_only_the_engine_reads_is_no_change():
    service = {"kind": "Service", "spec": {"type": "ClusterIP"}}
    [change] = of_steps([step("same", {**service, "__fieldManager": "a"}, {**service, "__fieldManager": "b"})])
    assert judge(change).primary is Class.NO_OP

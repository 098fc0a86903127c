"""Each kind of change has its class; the fixtures in tests/changes/verdicts/ read as a table of before and after."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.ops.changes import stack_models
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import Change, Model, compare
from slipway.ops.changes.verdict import Class, Verdict, forbidden_in
from slipway.settings.tiers import TIERS
from tests.conftest import Changed, Declare, declared

FIXTURES = sorted((Path(__file__).parent / "verdicts").glob("*.yaml"))


def model(objects: list[dict[str, Any]]) -> Model:
    """The fixtures hold one object each; its kind is its identity."""
    return {f"{found['kind']}/it": found for found in objects}


def classify(change: Change) -> Verdict:
    """Return the verdict on a change that comes alone."""
    return classify_all([change])[0]


@pytest.mark.feature("K3")
@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_a_change_has_the_class_its_fixture_says(file: Path):
    fixture = yaml.safe_load(file.read_text())
    [change] = compare(model(fixture["before"]), model(fixture["after"]))
    verdict = classify(change)
    assert [class_.flag for class_ in verdict.classes] == fixture["expected"], verdict.reasons


def test_there_are_fixtures_of_every_class():
    expected = {flag for file in FIXTURES for flag in yaml.safe_load(file.read_text())["expected"]}
    assert expected == {class_.flag for class_ in Class}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"services.api.env.LOG_LEVEL": "warn"},
            dict.fromkeys(
                ("ConfigMap/api-env", "ConfigMap/api-migration-env", "Job/api-migration", "Deployment/api"),
                "rolls-pods",
            ),
        ),
        ({"services.api.file.notice": "hello"}, {"ConfigMap/api-file": "config-only"}),
        ({"services.api.autoscaling.cpuPercent": 50}, {"HorizontalPodAutoscaler/api": "config-only"}),
        ({"services.api.ingress.host": "x.example.com"}, {"Ingress/api": "exposes"}),
        (
            {"services.api.ingress": None},
            # No certificate is made for it any more, so the quota needs less room for cert-manager.
            {"Ingress/api": "replaces", "NetworkPolicy/api": "config-only", "ResourceQuota/quota": "scales-down"},
        ),
        (
            {"cluster.monitoringNamespace": "monitoring"},
            {"NetworkPolicy/api": "exposes", "NetworkPolicy/web": "exposes"},
        ),
        ({"cluster.context": "prod-2"}, {"Provider/cluster": "loses-data", "Provider/retained": "loses-data"}),
        ({}, {}),
    ],
    ids=str,
)
def test_an_edited_stack_file_has_the_classes_a_person_would_say(
    program: Declare, changes: dict[str, Any], expected: dict[str, str]
):
    found = compare(stack_models.of_program(program("prod")), stack_models.of_program(declared("prod", changes)))
    verdicts = {verdict.change.name: verdict.primary.flag for verdict in classify_all(found)}
    assert {name: flag for name, flag in verdicts.items() if flag != "no-op"} == expected
    assert len(verdicts) > 10


def test_a_lower_minimum_scales_down_and_less_tls_weakens(program: Declare, changed: Changed):
    edits = {"services.api.autoscaling.min": 1, "services.api.ingress.tls": None}
    before = stack_models.of_program(changed("dev", {"services.api.autoscaling.min": 2}))
    found = classify_all(compare(before, stack_models.of_program(changed("dev", edits))))
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
    [deployment] = [verdict for verdict in classify_all(compare(before, after)) if verdict.change.kind == "Deployment"]
    assert [class_.flag for class_ in deployment.classes] == classes


@pytest.mark.parametrize(("kind", "key"), [("HorizontalPodAutoscaler", "minReplicas"), ("StatefulSet", "replicas")])
def test_the_reason_names_the_field_and_both_values(kind: str, key: str):
    verdict = classify(Change(f"{kind}/api", {"kind": kind, "spec": {key: 4}}, {"kind": kind, "spec": {key: 2}}))
    assert verdict.reasons == ((Class.SCALES_DOWN, f"spec.{key}: 4 -> 2"),)


@pytest.mark.parametrize("kind", ["PersistentVolume", "StatefulSet", "PersistentVolumeClaim", "Namespace"])
def test_what_holds_data_takes_it_along(kind: str):
    assert classify(Change(f"{kind}/api", {"kind": kind}, None)).primary is Class.LOSES_DATA


def test_a_file_in_a_config_map_is_told_by_its_own_fields():
    before, after = ({"kind": "ConfigMap", "data": {"a.yaml": f"page: {{size: {size}}}"}} for size in (20, 50))
    verdict = classify(Change("ConfigMap/api-file", before, after))
    assert verdict.reasons[0][1] == 'is changed in place, no pod restarts: data."a.yaml".page.size: 20 -> 50'
    [field] = Change("ConfigMap/api", {"data": {"TEXT": "a: 1"}}, {"data": {"TEXT": "a: 2"}}).fields
    assert field.text == "data.TEXT: a: 1 -> a: 2"


def test_a_file_that_only_reads_differently_has_changed_all_the_same():
    before, after = ({"kind": "ConfigMap", "data": {"a.yaml": text}} for text in ("a: 1", "a: 1 # one"))
    assert classify(Change("ConfigMap/api-file", before, after)).primary is Class.CONFIG_ONLY


def test_a_tier_forbids_only_classes_that_there_are():
    assert set().union(*(tier.forbidden_changes for tier in TIERS.values())) <= {class_.flag for class_ in Class}


def test_the_higher_a_tier_the_more_classes_of_changes_it_forbids():
    assert forbidden_in("prod") > forbidden_in("staging") > forbidden_in("dev") == forbidden_in("local")
    assert forbidden_in("dev") == frozenset({Class.REFUSED})


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("DaemonSet", {"spec": {"selector": {"a": "b"}}}, {"spec": {"selector": {"a": "c"}}}),
        ("RoleBinding", {"roleRef": {"name": "view"}}, {"roleRef": {"name": "edit"}}),
        ("ClusterRoleBinding", {"roleRef": {"name": "view"}}, {"roleRef": {"name": "edit"}}),
        ("Secret", {"type": "Opaque"}, {"type": "kubernetes.io/tls"}),
        ("Service", {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}),
        ("Ingress", {"metadata": {"namespace": "a"}}, {"metadata": {"namespace": "b"}}),
    ],
)
def test_what_kubernetes_does_not_change_in_place_is_created_again(
    kind: str, before: dict[str, Any], after: dict[str, Any]
):
    assert Class.REPLACES in classify(Change(f"{kind}/it", before, after)).classes


# What the validation of Kubernetes 1.36.3 refuses to change (functions Validate*Update), and what version 4.32.0 of
# Pulumi's plugin replaces. A value stands for itself and another one.
RECREATED = {
    "Deployment": {"selector": {"matchLabels": {"app": "a"}}},
    "DaemonSet": {"selector": {"matchLabels": {"app": "a"}}},
    "StatefulSet": {
        "selector": {"matchLabels": {"app": "a"}},
        "serviceName": "a",
        "podManagementPolicy": "Parallel",
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"storageClassName": "a"}}],
        "revisionHistoryLimit": 5,  # by Pulumi alone
    },
    "Job": {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"spec": {"restartPolicy": "Never"}},
        "completions": 1,
        "completionMode": "Indexed",
        "podFailurePolicy": {"rules": [{"action": "FailJob"}]},
        "successPolicy": {"rules": [{"succeededCount": 1}]},
        "backoffLimitPerIndex": 1,
        "managedBy": "a",
        "parallelism": 1,  # by Pulumi alone
    },
    "Service": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]},
    "PersistentVolumeClaim": {
        "storageClassName": "a",
        "accessModes": ["ReadWriteOnce"],
        "volumeName": "a",
        "volumeMode": "Block",
        "selector": {"matchLabels": {"app": "a"}},
        "dataSource": {"kind": "VolumeSnapshot", "name": "a"},
        "dataSourceRef": {"kind": "VolumeSnapshot", "name": "a"},
        "resources": {"limits": {"storage": "1Gi"}},
    },
    "PersistentVolume": {"nfs": {"path": "/a"}, "csi": {"driver": "a"}, "volumeMode": "Block"},
    "ResourceQuota": {"scopes": ["NotTerminating"]},
}
IN_PLACE = {
    "Deployment": {"replicas": 1, "minReadySeconds": 1, "revisionHistoryLimit": 1, "progressDeadlineSeconds": 1},
    "DaemonSet": {"minReadySeconds": 1, "revisionHistoryLimit": 1, "template": {"spec": {"priorityClassName": "a"}}},
    "StatefulSet": {
        "replicas": 1,
        "ordinals": {"start": 1},
        "template": {"spec": {"priorityClassName": "a"}},
        "updateStrategy": {"type": "OnDelete"},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "a"},
        "minReadySeconds": 1,
    },
    "Job": {
        "activeDeadlineSeconds": 1,
        "backoffLimit": 1,
        "maxFailedIndexes": 1,
        "podReplacementPolicy": "Failed",
        "suspend": True,
        "ttlSecondsAfterFinished": 1,
    },
    "CronJob": {"schedule": "1 * * * *", "timeZone": "a", "jobTemplate": {"spec": {"completions": 1}}},
    "Service": {"ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "internalTrafficPolicy": "Local"},
    "PersistentVolumeClaim": {"resources": {"requests": {"storage": "1Gi"}}, "volumeAttributesClassName": "a"},
    "PersistentVolume": {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "mountOptions": ["a"],
        "persistentVolumeReclaimPolicy": "Recycle",
        "storageClassName": "a",
    },
    "ResourceQuota": {"hard": {"pods": "1"}},
}


def another(value: Any) -> Any:
    """Return the value with its last part changed: a number is higher, a switch the other way."""
    match value:
        case dict():
            *others, (key, last) = value.items()
            return {**dict(others), key: another(last)}
        case [first, *others]:
            return [another(first), *others]
        case bool():
            return not value
        case int():
            return value + 1
        case _:
            return f"2{value}"


def reasons(kind: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return why a changed spec is judged as it is."""
    return " ".join(text for _, text in classify(Change(f"{kind}/it", {"spec": before}, {"spec": after})).reasons)


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, spec in RECREATED.items() for key in spec])
def test_a_field_that_an_update_cannot_change_has_the_object_created_again(kind: str, key: str):
    value = RECREATED[kind][key]
    told = reasons(kind, {key: value}, {key: another(value)})
    assert re.search(rf"is deleted .*created again(, and so runs again)?: spec\.{key}\b", told), told


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, spec in IN_PLACE.items() for key in spec])
def test_a_field_that_an_update_changes_in_place_has_no_object_created_again(kind: str, key: str):
    value = IN_PLACE[kind][key]
    told = reasons(kind, {key: value}, {key: another(value)})
    assert told
    assert "created again" not in told


def test_a_service_keeps_its_first_address_when_it_gets_a_second():
    told = reasons("Service", {"clusterIPs": ["10.0.0.1"]}, {"clusterIPs": ["10.0.0.1", "fd00::1"]})
    assert "created again" not in told


HTTP = {"port": 80}


@pytest.mark.parametrize(
    ("kind", "before", "after", "expected"),
    [
        ("HTTPRoute", {"hostnames": ["a"], "rules": [{}]}, {"hostnames": ["a", "b"], "rules": [{}]}, "exposes"),
        ("Service", {"ports": [HTTP]}, {"ports": [HTTP, {"port": 90}]}, "config-only"),
        (
            "Service",
            {"type": "NodePort", "ports": [HTTP]},
            {"type": "NodePort", "ports": [HTTP, {"port": 90}]},
            "exposes",
        ),
        (
            "Service",
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"], "ports": [HTTP]},
            {"type": "LoadBalancer", "ports": [HTTP]},
            "exposes",
        ),
    ],
)
def test_what_is_reached_from_outside_is_told(kind: str, before: dict[str, Any], after: dict[str, Any], expected: str):
    sides = ({"kind": kind, "spec": spec} for spec in (before, after))
    [change] = compare(*({f"{kind}/it": side} for side in sides))
    assert classify(change).primary.flag == expected


def test_what_comes_as_a_whole_is_told_as_a_whole():
    before, after = (
        {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "api"}], **pod}}}}
        for pod in ({}, {"affinity": {"a": 1}})
    )
    verdict = classify(Change("Deployment/api", before, after))
    assert verdict.reasons == ((Class.ROLLS_PODS, 'affinity: (none) -> {"a": 1}'),)


def test_a_new_name_alone_rolls_the_pods_that_read_what_is_named_by_its_content():
    before, after = ({"kind": "Secret", "metadata": {"name": f"api-secret-{digit * 8}"}} for digit in "12")
    assert classify(Change("Secret/api-secret", before, after)).primary is Class.ROLLS_PODS

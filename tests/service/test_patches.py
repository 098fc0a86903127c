"""Patches: fields that no setting sets, merged into the objects of a service, under the same house rules."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway.ops.changes import stack_models
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import compare
from slipway.ops.program import render
from slipway.ops.program.recorder import Program
from slipway.rules.house_rules import check
from slipway.service.patches import PatchError, merged
from tests.conftest import API_ONLY, WITHOUT_STORES, Changed

POD = ("spec", "template", "spec")
MIGRATION: dict[str, Any] = {"services.api.migration": {"args": ["migrate"]}}
SCHEDULE: dict[str, Any] = {"services.api.schedules": {"report": {"args": ["report"], "cron": "30 3 * * *"}}}
WORKER: dict[str, Any] = {"services.api.kind": "worker", "services.api.ingress": None, "services.api.check": None}
IMAGE = f"registry.example.com/proxy@sha256:{'0' * 64}"


@pytest.fixture
def changed(changed: Changed) -> Changed:
    """Return the program of a stack with one service and no stores, which is recorded faster."""
    return lambda stack, changes: changed(stack, {**API_ONLY, **WITHOUT_STORES, **changes})


def patch(kind: str, *path: str, to: Any) -> dict[str, Any]:
    """Return a change of the stack file that patches the field of a kind at a path."""
    for key in reversed(path):
        to = {key: to}
    return {"services.api.patch": {kind: to}}


def declared(program: Program, kind: str, name: str = "api") -> dict[str, Any]:
    return program.manifests()[kind, name]


def broken(program: Program) -> list[str]:
    return [finding.rule for finding in check(list(program.manifests().values()), "prod")]


def refusal(changed: Changed, changes: dict[str, Any], stack: str = "prod") -> str:
    with pytest.raises(pulumi.RunError) as refused:
        changed(stack, changes)
    return str(refused.value)


@pytest.mark.feature("P9", part="one object, whichever way")
def test_a_node_selector_by_key_and_by_patch_gives_the_same_object(changed: Changed):
    by_key = changed("prod", {"services.api.nodeSelector": {"disk": "ssd"}})
    by_patch = changed("prod", patch("Deployment", *POD, to={"nodeSelector": {"disk": "ssd"}}))
    assert declared(by_patch, "Deployment") == declared(by_key, "Deployment")
    assert declared(by_patch, "Deployment")["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}


@pytest.mark.feature("P9")
def test_the_verdict_of_a_preview_is_that_of_the_patched_object(changed: Changed):
    def verdicts(change: dict[str, Any]) -> dict[str, str]:
        before, after = (stack_models.of_program(changed("dev", each)) for each in ({}, change))
        found = {verdict.change.name: verdict.primary.flag for verdict in classify_all(compare(before, after))}
        return {name: flag for name, flag in found.items() if flag != "no-op"}

    sidecar = {"name": "spy", "image": IMAGE, "securityContext": {"privileged": True}}
    rolls = verdicts(patch("Deployment", *POD, to={"hostname": "shops"}))
    weakens = verdicts(patch("Deployment", *POD, to={"containers": [sidecar]}))
    assert rolls == {"Deployment/api": "rolls-pods"}
    assert weakens == {"Deployment/api": "weakens-security"}, "prod forbids this class"


@pytest.mark.feature("P9", part="privileged sidecar refused by its rule")
def test_a_patch_with_a_privileged_sidecar_is_refused_by_its_rule(changed: Changed):
    sidecar = {"name": "spy", "image": IMAGE, "securityContext": {"privileged": True}}
    message = refusal(changed, patch("Deployment", *POD, to={"containers": [sidecar]}))
    assert "SW001 Deployment/api: spec.template.spec.containers[1].securityContext.privileged is true" in message


def test_a_patch_with_a_password_is_refused_by_its_rule_without_showing_it(changed: Changed):
    variable = {"name": "API_TOKEN", "value": "hunter2"}
    message = refusal(changed, patch("Deployment", *POD, to={"containers": [{"name": "api", "env": [variable]}]}))
    assert "SW501 Deployment/api: spec.template.spec.containers[0].env[2].value of API_TOKEN" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("rule", "kind", "path", "value"),
    [
        ("SW113", "Deployment", POD, {"containers": [{"name": "api", "lifecycle": None}]}),
        ("SW115", "Deployment", ("spec", "strategy", "rollingUpdate", "maxUnavailable"), 1),
        ("SW306", "PodDisruptionBudget", ("spec", "maxUnavailable"), 0),
        ("SW402", "NetworkPolicy", ("spec", "ingress"), [{}]),
        ("SW404", "Service", ("spec", "type"), "NodePort"),
        ("SW405", "Ingress", ("spec", "tls"), None),
        ("SW607", "ServiceAccount", ("automountServiceAccountToken",), True),
    ],
)
def test_a_patch_weakens_no_rule(changed: Changed, rule: str, kind: str, path: tuple[str, ...], value: Any):
    assert f"{rule} {kind}/api" in refusal(changed, patch(kind, *path, to=value))


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "api", ("spec", "minReadySeconds"), 5),
        ("Job", "api-migration", ("spec", "ttlSecondsAfterFinished"), 600),
        ("CronJob", "api-report", ("spec", "suspend"), True),
        ("ServiceAccount", "api", ("metadata", "annotations"), {"example.com/owner": "shops"}),
        ("Service", "api", ("spec", "sessionAffinity"), "ClientIP"),
        ("Ingress", "api", ("metadata", "annotations"), {"example.com/timeout": "5"}),
        ("HorizontalPodAutoscaler", "api", ("spec", "behavior", "scaleUp", "selectPolicy"), "Max"),
        ("PodDisruptionBudget", "api", ("metadata", "labels"), {"team": "shops"}),
        ("NetworkPolicy", "api", ("metadata", "labels"), {"team": "shops"}),
    ],
)
def test_each_kind_of_object_can_be_patched(changed: Changed, kind: str, name: str, path: tuple[str, ...], value: Any):
    program = changed("prod", {**MIGRATION, **SCHEDULE, **patch(kind, *path, to=value)})
    found: Any = declared(program, kind, name)
    for key in path:
        found = found[key]
    assert found == value or found.items() >= value.items()
    assert broken(program) == []


def test_a_route_of_a_gateway_can_be_patched(changed: Changed):
    ingress = {"host": "api.example.com", "gateway": {"name": "public", "namespace": "ingress"}}
    program = changed(
        "prod", {"services.api.ingress": ingress, **patch("HTTPRoute", "metadata", to={"labels": {"team": "shops"}})}
    )
    assert declared(program, "HTTPRoute")["metadata"]["labels"]["team"] == "shops"


def test_only_the_patched_service_is_changed(changed: Changed):
    other = {
        "services.web": {"args": ["web"], "ingress": {"host": "www.example.com", "tls": {"issuer": "letsencrypt"}}}
    }
    before = changed("prod", other)
    after = changed("prod", {**other, **patch("Deployment", "spec", "minReadySeconds", to=5)})
    changed_objects = [key for key, value in after.manifests().items() if value != before.manifests().get(key)]
    assert [key for key in changed_objects if key[1] != "release"] == [("Deployment", "api")]


def test_render_shows_the_patched_object(changed: Changed):
    program = changed("prod", patch("Deployment", "spec", "minReadySeconds", to=5))
    assert "  minReadySeconds: 5\n" in render.documents(program)["deployment-api.yaml"]


def test_another_patch_of_a_migration_gets_another_job(changed: Changed):
    def name(seconds: int) -> str:
        program = changed("prod", {**MIGRATION, **patch("Job", "spec", "ttlSecondsAfterFinished", to=seconds)})
        return declared(program, "Job", "api-migration")["metadata"]["name"]

    assert name(60) != name(600)


@pytest.mark.feature("P9", part="a path that hits nothing is an error")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (patch("Job", "spec", to={"backoffLimit": 1}), "patch.Job: changes nothing: the service has no `migration`"),
        (patch("CronJob", "spec", to={}), "patch.CronJob: changes nothing: the service has no `schedules`"),
        (patch("HTTPRoute", "spec", to={}), "patch.HTTPRoute: changes nothing: its address is an Ingress"),
        (
            {"services.api.ingress": None, **patch("Ingress", "spec", to={})},
            "patch.Ingress: changes nothing: the service has no `ingress`",
        ),
        (
            {
                "services.api.autoscaling": None,
                "services.api.replicas": 2,
                **patch("HorizontalPodAutoscaler", "spec", to={}),
            },
            "patch.HorizontalPodAutoscaler: changes nothing: with `replicas` the service has no autoscaler",
        ),
        (
            {**WORKER, **patch("Service", "spec", to={})},
            "patch.Service: changes nothing: a worker answers no requests",
        ),
        (patch("Deployment", to={}), "patch.Deployment: changes nothing; name a field"),
        (patch("Deployments", to={}), "patch.Deployments: should be 'Deployment'"),
        (
            patch("Deployment", *POD, to={"nodeSelektor": {"disk": "ssd"}}),
            'spec.nodeSelektor: changes nothing: the API has no such field; did you mean "nodeSelector"?',
        ),
        (
            patch("Deployment", *POD, to={"containers": [{"name": "api", "imag": IMAGE}]}),
            "patch.Deployment.spec.template.spec.containers.0.imag: changes nothing",
        ),
        (patch("Deployment", "spec", "minReadySeconds", to="5"), "spec.minReadySeconds: should be a whole number"),
        (patch("Deployment", *POD, "hostname", to=5), "spec.hostname: should be text: put it in quotes"),
        (patch("Deployment", *POD, "containers", to={}), "spec.containers: should be a list"),
        (patch("Service", "spec", to=[]), "patch.Service.spec: should be a mapping"),
        (patch("Deployment", *POD, to={"affinity": {"$patch": "delete"}}), "spec.affinity.$patch: changes nothing"),
        (
            patch("Deployment", *POD, to={"tolerations": [{"key": "a", "$patch": "delete"}]}),
            "spec.tolerations.0.$patch: changes nothing",
        ),
    ],
)
def test_a_patch_that_hits_nothing_is_a_mistake(changed: Changed, changes: dict[str, Any], words: str):
    message = refusal(changed, changes)
    assert "stacks/Pulumi.prod.yaml has 1 mistake" in message
    assert f"slipway:services.api.{words}" in message or words in message


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"nodeName": None}, "nodeName: changes nothing: there is no such field to take out"),
        (
            {"containers": [{"name": "apo", "stdin": True}]},
            "containers.0: changes nothing: there is none of this name; there are: api; a new one needs an image",
        ),
        ({"volumes": [{"name": "x", "$patch": "delete"}]}, "volumes.0: changes nothing: there is none of this name"),
        ({"containers": [{"stdin": True}]}, "containers.0: does not say which one it is about; give name"),
    ],
)
def test_a_patch_of_what_an_object_does_not_have_is_one_message_with_its_key(
    changed: Changed, value: dict[str, Any], words: str
):
    assert f"slipway:services.api.patch.Deployment.spec.template.spec.{words}" in refusal(
        changed, patch("Deployment", *POD, to=value)
    )


@pytest.mark.parametrize(
    ("kind", "path", "value", "key"),
    [
        ("Deployment", ("metadata",), {"name": "other"}, "metadata.name"),
        ("Deployment", ("metadata",), {"namespace": "other"}, "metadata.namespace"),
        ("Deployment", ("kind",), "StatefulSet", "kind"),
        ("Deployment", ("spec", "selector"), {"matchLabels": {"a": "b"}}, "spec.selector"),
        ("Service", ("spec", "selector"), {"a": "b"}, "spec.selector"),
        ("PodDisruptionBudget", ("spec", "selector"), {}, "spec.selector"),
        ("NetworkPolicy", ("spec", "podSelector"), {}, "spec.podSelector"),
        ("HorizontalPodAutoscaler", ("spec", "scaleTargetRef"), {"name": "web"}, "spec.scaleTargetRef"),
        (
            "Deployment",
            ("spec", "template", "metadata", "labels"),
            {"app.kubernetes.io/name": "web"},
            "spec.template.metadata.labels.app.kubernetes.io/name",
        ),
        (
            "Deployment",
            ("metadata", "annotations"),
            {"pulumi.com/skipAwait": "true"},
            "metadata.annotations.pulumi.com/skipAwait",
        ),
    ],
)
def test_a_patch_does_not_change_what_identifies_an_object(
    changed: Changed, kind: str, path: tuple[str, ...], value: Any, key: str
):
    message = refusal(changed, patch(kind, *path, to=value), "dev")
    assert "has 1 mistake" in message
    assert f"slipway:services.api.patch.{kind}.{key}: " in message


def test_a_label_that_nothing_selects_by_may_be_added_to_the_pods(changed: Changed):
    labels = {"azure.workload.identity/use": "true"}
    program = changed("prod", patch("Deployment", "spec", "template", "metadata", "labels", to=labels))
    assert declared(program, "Deployment")["spec"]["template"]["metadata"]["labels"].items() >= labels.items()
    assert broken(program) == []


BASE: dict[str, Any] = {
    "keep": 1,
    "map": {"a": 1, "b": 2},
    "containers": [{"name": "api", "args": ["a"], "env": [{"name": "A", "value": "1"}]}],
    "ports": [{"name": "http", "port": 80}, {"port": 81}],
    "args": ["a", "b"],
}


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({"map": {"b": 3, "c": 4}}, {"map": {"a": 1, "b": 3, "c": 4}}),
        ({"map": {"a": None}}, {"map": {"b": 2}}),
        ({"args": ["c"]}, {"args": ["c"]}),
        ({"new": {"a": [1]}}, {"new": {"a": [1]}}),
        (
            {"containers": [{"name": "api", "args": ["b"], "env": [{"name": "B", "value": "2"}]}]},
            {
                "containers": [
                    {"name": "api", "args": ["b"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
                ]
            },
        ),
        ({"containers": [{"name": "api", "$patch": "delete"}]}, {"containers": []}),
        (
            {"containers": [{"name": "new", "image": "a"}]},
            {"containers": [*BASE["containers"], {"name": "new", "image": "a"}]},
        ),
        ({"ports": [{"name": "http", "port": 8080}]}, {"ports": [{"name": "http", "port": 8080}, {"port": 81}]}),
        ({"ports": [{"port": 81, "name": "x"}]}, {"ports": [*BASE["ports"], {"port": 81, "name": "x"}]}),
        ({"ports": [{"port": 81, "protocol": "UDP"}]}, {"ports": [BASE["ports"][0], {"port": 81, "protocol": "UDP"}]}),
    ],
)
def test_mappings_and_named_items_are_merged_and_other_lists_replaced(given: dict[str, Any], after: dict[str, Any]):
    assert merged(BASE, given) == {**BASE, **after}


def test_a_merge_changes_nothing_of_what_it_is_given():
    before = repr(BASE)
    merged(BASE, {"map": {"a": 5}, "containers": [{"name": "api", "args": []}]})
    assert repr(BASE) == before


def test_a_field_that_is_not_there_cannot_be_taken_out():
    with pytest.raises(PatchError, match="there is no such field") as refused:
        merged(BASE, {"map": {"z": None}})
    assert refused.value.path == ("map", "z")

"""What `./slipway adopt` refuses: what would be replaced, fought over, or lose requests."""

from __future__ import annotations

import re
from typing import Any

import pytest

from slipway.objects import Object
from slipway.ops.releases import adopt
from slipway.ops.releases.adoption_problems import problems
from tests import api_server
from tests.releases.helm_release import (
    BEFORE,
    DEPLOYMENT,
    INGRESS,
    PATH,
    RELEASE,
    SERVICE,
    Namespace,
    made,
    program,
    state,
)


def messages(*objects: Object, changes: dict[str, Any] | None = None) -> list[str]:
    """The problems with these objects."""
    present = adopt.find_existing(program(changes), state(), api_server.cluster(Namespace(*objects)))
    return [problem.message for problem in problems(list(present), "dev")]


def with_spec(found: Object, **spec: Any) -> Object:
    return {**found, "spec": {**found["spec"], **spec}}


def test_a_release_that_the_stack_file_describes_has_no_problems():
    assert messages(*RELEASE) == []


@pytest.mark.feature("O2", part="nothing that would be replaced")
def test_another_selector_is_told_once_with_the_lines_for_the_stack_file():
    [problem] = messages(*RELEASE, changes={"services.api.selector": None})
    assert "Deployment/api: spec.selector is" in problem
    assert problem.endswith(
        "write into stacks/Pulumi.dev.yaml, under slipway:services:\n"
        "    api:\n"
        "      selector:\n"
        '        app.kubernetes.io/instance: "reviews"\n'
        '        app.kubernetes.io/name: "a-chart"'
    )


EXPRESSIONS = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
TLS = [{"hosts": ["api.dev.example.com"], "secretName": "old"}]
BY_NAME = {**PATH, "backend": {"service": {"name": "api", "port": {"name": "web"}}}}
OTHER_HOST = {"host": "www.example.com", "http": {"paths": [PATH]}}
FIXED: list[tuple[Object, str]] = [
    (with_spec(DEPLOYMENT, selector=EXPRESSIONS), "no setting can express it"),
    (
        with_spec(SERVICE, selector={**BEFORE, "track": "stable"}),
        "spec.selector .* The new pods lack one of its labels",
    ),
    (with_spec(SERVICE, ports=[{"port": 80, "targetPort": 5000}]), "leads to port 5000 of the pods"),
    (with_spec(SERVICE, ports=[{"port": 8000, "targetPort": 8080}]), "port 8000 would no longer be answered"),
    (with_spec(SERVICE, type="NodePort"), r"port 80 \(NodePort, for the nodes\) would no longer be answered"),
    (with_spec(INGRESS, rules=[*INGRESS["spec"]["rules"], OTHER_HOST]), "www.example.com/ would no longer be answered"),
    (with_spec(INGRESS, rules=[{**INGRESS["spec"]["rules"][0], "http": {"paths": [BY_NAME]}}]), "leads to port 'web'"),
    (with_spec(INGRESS, ingressClassName="nginx"), 'spec.ingressClassName is "nginx", .* `className: nginx`'),
    (with_spec(INGRESS, tls=TLS), "spec.tls is .* the stack wants \\(none\\)"),
    (made("Service", "api", SERVICE["spec"], ownerReferences=[{"kind": "Shop", "name": "x"}]), "again by Shop/x"),
    (made("Service", "api", SERVICE["spec"], "argocd-controller"), "again and again by argocd-controller"),
    (made("Service", "api", SERVICE["spec"], "pulumi-kubernetes-1a2b3c4d"), "again by another Pulumi stack"),
]


@pytest.mark.parametrize(("changed", "problem"), FIXED, ids=[problem for _, problem in FIXED])
def test_what_would_be_replaced_fought_over_or_lose_requests_is_told(changed: Object, problem: str):
    others = [one for one in RELEASE if one["kind"] != changed["kind"]]
    [one] = messages(*others, changed)
    assert one.startswith(f"{changed['kind']}/api: ")
    assert re.search(problem, one, re.DOTALL), one


def test_what_this_stack_itself_has_lost_from_its_state_is_nobody_else_s():
    labels = {"app.kubernetes.io/instance": "slipway-dev"}
    lost = made("Service", "api", SERVICE["spec"], "pulumi-kubernetes-1a2b3c4d", labels=labels)
    assert messages(DEPLOYMENT, lost) == []


def test_a_volume_is_neither_moved_nor_made_smaller():
    has = {"accessModes": ["ReadWriteOnce"], "storageClassName": "slow", "resources": {"requests": {"storage": "9Gi"}}}
    claim = made("PersistentVolumeClaim", "redis-data", has)
    redis = {"image": f"registry.example.com/redis@sha256:{'0' * 64}", "storageClass": "fast", "storage": "1Gi"}
    fields = sorted(problem.partition(" is ")[0] for problem in messages(claim, changes={"redis": redis}))
    assert fields == [
        "PersistentVolumeClaim/redis-data: spec.resources.requests.storage",
        "PersistentVolumeClaim/redis-data: spec.storageClassName",
    ]

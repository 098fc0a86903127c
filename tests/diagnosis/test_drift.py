"""What `./slipway drift` tells, on objects as the API server gives them."""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx2
import pytest
from pulumi.runtime.rpc import (
    _special_secret_sig,  # pyright: ignore[reportPrivateUsage]
    _special_sig_key,  # pyright: ignore[reportPrivateUsage]
)

from slipway.objects import Object
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.diagnosis import drift
from tests import api_server

APPLIED: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "api", "namespace": "slipway-dev", "annotations": {"pulumi.com/skipAwait": "true"}},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "api",
                        "image": "r/api@sha256:1",
                        "args": ["web"],
                        "resources": {"requests": {"cpu": "1000m"}},
                    }
                ]
            }
        }
    },
}
PULUMI = {
    "manager": "pulumi-kubernetes",
    "operation": "Apply",
    "time": "2026-11-21T08:00:00Z",
    "fieldsV1": {
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"api"}': {
                            ".": {}, "f:name": {}, "f:args": {}, "f:resources": {"f:requests": {"f:cpu": {}}}
                        }
                    }
                }
            }
        }
    },
}  # fmt: skip
SOMEBODY = {
    "manager": "kubectl-edit",
    "operation": "Update",
    "time": "2026-11-21T09:00:00Z",
    "fieldsV1": {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': {"f:image": {}}}}}},
    },
}


def present(**changes: Any) -> Object:
    """The Deployment in the cluster, its container changed."""
    found = copy.deepcopy(APPLIED)
    found["metadata"] = {"name": "api", "namespace": "slipway-dev", "managedFields": [PULUMI, SOMEBODY]}
    found["spec"] |= {"replicas": 4, "progressDeadlineSeconds": 600}
    container = found["spec"]["template"]["spec"]["containers"][0]
    container |= {"resources": {"requests": {"cpu": "1"}}, "terminationMessagePath": "/dev/termination-log", **changes}
    return found


def cluster(found: Object | None) -> StackCluster:
    """One that holds this Deployment and nothing else."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if found and request.url.path == "/apis/apps/v1/namespaces/slipway-dev/deployments/api":
            return httpx2.Response(200, json=found)
        if request.url.path.endswith("s"):
            return httpx2.Response(200, json={"items": []})
        return httpx2.Response(404, json={"message": "not found"})

    made = api_server.cluster(api_server.ApiServer())
    return StackCluster(made.stack, made.settings, made.access, httpx2.MockTransport(answer))


def drift_of(found: Object | None, applied: Object = APPLIED) -> list[drift.Drift]:
    state = {"deployment": {"resources": [{"type": "kubernetes:apps/v1:Deployment", "inputs": applied}]}}
    return list(drift.drifts(cluster(found), state))


def test_applied_fields_and_those_that_the_api_server_or_an_autoscaler_adds_are_no_drift():
    assert drift_of(present()) == []


@pytest.mark.feature("O1", part="the field and its manager")
def test_a_changed_field_is_told_with_both_values_and_who_owns_it_now():
    [change] = drift_of(present(image="r/api@sha256:2"))
    assert (change.object, change.field) == ("Deployment/api", "spec.template.spec.containers[0].image")
    assert (change.applied, change.found) == ("r/api@sha256:1", "r/api@sha256:2")
    assert change.managers == ["kubectl-edit (Update, 2026-11-21T09:00:00Z)"]


def test_a_list_that_is_owned_as_a_whole_names_its_owner():
    [change] = drift_of(present(args=["serve"]))
    assert change.field == "spec.template.spec.containers[0].args[0]"
    assert change.managers == ["pulumi-kubernetes (Apply, 2026-11-21T08:00:00Z)"]


def test_a_removed_field_is_reported():
    [change] = drift_of(present(args=None))
    assert (change.applied, change.found) == (["web"], None)


def test_a_deleted_object_is_reported():
    [change] = drift_of(None)
    assert (change.object, change.field, change.found) == ("Deployment/api", "", "gone")


def test_encrypted_values_are_not_compared():
    secret = {_special_sig_key: _special_secret_sig, "ciphertext": "v1:x"}
    applied = copy.deepcopy(APPLIED)
    applied["spec"]["template"]["spec"]["containers"][0]["image"] = secret
    assert drift_of(present(image="other"), applied) == []


def test_objects_that_the_engine_is_about_to_delete_are_left_out():
    resource = {"type": "kubernetes:apps/v1:Deployment", "inputs": APPLIED, "delete": True}
    assert list(drift.drifts(cluster(None), {"deployment": {"resources": [resource]}})) == []


@pytest.mark.parametrize(("found", "code"), [(present(), 0), (None, 2)], ids=["nothing", "something"])
def test_the_exit_code_says_whether_there_is_drift(found: Object | None, code: int):
    state = {"deployment": {"resources": [{"type": "kubernetes:apps/v1:Deployment", "inputs": APPLIED}]}}
    text, given = drift.command(cluster(found), state, as_json=True)
    assert given == code
    assert bool(json.loads(text)["drift"]) == bool(code)


def test_a_build_of_dev_is_told_with_what_puts_the_release_back():
    found = present()
    containers = found["spec"]["template"]["spec"]["containers"]
    containers[0]["image"] = "r/api@sha256:2"
    owned = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': {"f:image": {}}}}}}}
    entry = {"manager": "slipway-dev", "operation": "Apply", "time": "2026-11-21T10:00:00Z", "fieldsV1": owned}
    found["metadata"]["managedFields"].append(entry)
    state = {"deployment": {"resources": [{"type": "kubernetes:apps/v1:Deployment", "inputs": APPLIED}]}}
    text, _ = drift.command(cluster(found), state, as_json=False)
    changed, advice = text.splitlines()
    assert '"r/api@sha256:1" -> "r/api@sha256:2"   by slipway-dev (Apply, 2026-11-21T10:00:00Z)' in changed
    assert advice == "slipway-dev is ./slipway dev: Ctrl-C there puts the release back, or ./slipway up -s dev"


def test_the_section_of_an_issue_has_a_row_per_field_and_cannot_be_broken_by_a_value():
    changed = drift.Drift("ConfigMap/api", "data.notice", "hello", "a | b @all <img>", ["kubectl (Update, now)"])
    gone = drift.Drift("Service/web", "", "there", drift.GONE, [])
    orphan = drift.Drift("Secret/old", "", None, drift.ORPHAN, ["helm (Apply, then)"])
    assert drift.as_markdown("prod", [changed, gone, orphan]).splitlines() == [
        "### prod",
        "",
        "| object | field | applied | found | changed by |",
        "|---|---|---|---|---|",
        '| `ConfigMap/api` | data.notice | "hello" | "a \\| b &#64;all &lt;img>" | kubectl (Update, now) |',
        "| `Service/web` |  |  | gone |  |",
        "| `Secret/old` |  |  | nobody declares it | helm (Apply, then) |",
    ]


def test_the_section_of_an_issue_has_an_end():
    many = [drift.Drift(f"Secret/old-{number}", "", None, drift.ORPHAN, []) for number in range(1000)]
    text = drift.as_markdown("prod", many)
    assert text.endswith("\n\n960 more: `./slipway drift -s prod` lists all.")
    assert drift.as_markdown("dev", []) == "### dev\n\nThe cluster holds what was applied."


LABELS = {"app.kubernetes.io/instance": "slipway-dev", "app.kubernetes.io/managed-by": "pulumi"}


def labelled(name: str, **more: Any) -> Object:
    labels = {**LABELS, **more.pop("labels", {})}
    return {"metadata": {"name": name, "labels": labels, **more}, "immutable": True}


def test_objects_that_are_no_longer_declared_are_listed_as_orphans():
    replica_set = {"spec": {"template": {"spec": {"volumes": [{"secret": {"secretName": "api-secret-11111111"}}]}}}}
    objects = {
        "services": [labelled("api"), labelled("removed")],
        "secrets": [labelled("api-secret-11111111"), labelled("removed-secret-22222222")],
        "configmaps": [labelled("release-0a1b2c3d", labels={"app.kubernetes.io/component": "release"})],
        "jobs": [labelled("mysql-backup-1", ownerReferences=[{"kind": "CronJob", "name": "mysql-backup"}])],
        "replicasets": [replica_set],
    }
    known = {"type": "kubernetes:core/v1:Service", "urn": "urn:api", "id": "slipway-dev/api"}
    found = api_server.cluster(api_server.ApiServer(objects))
    orphans = list(drift.orphans(found, {"deployment": {"resources": [known]}}))
    assert [(orphan.object, orphan.found) for orphan in orphans] == [
        ("Secret/removed-secret-22222222", "orphan"),
        ("Service/removed", "orphan"),
    ]

"""At the end of an update the cluster has what the program declares, even where the engine saw no change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from slipway.rollout import completion, verification
from slipway.rollout.verification import DeclaredObject, missing
from tests.lightkube_server import NAMESPACE, LightkubeServer, named

API = DeclaredObject("v1", "Service", NAMESPACE, "api")
WEB = DeclaredObject("v1", "Service", NAMESPACE, "web")
DEPLOYED = DeclaredObject("apps/v1", "Deployment", NAMESPACE, "api")


@pytest.mark.parametrize(
    ("type_", "id_", "declared"),
    [
        ("kubernetes:core/v1:Service", "slipway-dev/api", API),
        ("kubernetes:apps/v1:Deployment", "slipway-dev/api", DEPLOYED),
        ("kubernetes:core/v1:Namespace", "slipway-dev", DeclaredObject("v1", "Namespace", "", "slipway-dev")),
        (
            "kubernetes:external-secrets.io/v1:ExternalSecret",
            "slipway-dev/api",
            DeclaredObject("external-secrets.io/v1", "ExternalSecret", NAMESPACE, "api"),
        ),
    ],
)
def test_an_object_is_identified_by_the_type_and_id_of_the_engine(type_: str, id_: str, declared: DeclaredObject):
    assert DeclaredObject.of(type_, id_) == declared


def test_an_object_that_somebody_deleted_is_missing():
    server = LightkubeServer({"services/api": named("api"), "deployments/api": named("api")})
    assert missing(server.client(), "dev", [API, WEB, DEPLOYED]) == ([WEB], [])


def test_a_complete_stack_is_verified_with_one_list_for_each_kind():
    server = LightkubeServer(
        {"services/api": named("api"), "services/web": named("web"), "deployments/api": named("api")}
    )
    missing(server.client(), "dev", [API, WEB, DEPLOYED])
    assert server.requests == [
        f"GET /api/v1/namespaces/{NAMESPACE}/services",
        f"GET /apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    ]


def test_a_deleted_job_is_not_missing():
    job = DeclaredObject("batch/v1", "Job", NAMESPACE, "api-migration-0a1b2c3d")
    assert missing(LightkubeServer().client(), "dev", [job]) == ([], [])


def test_an_object_that_has_lost_its_labels_is_not_missing():
    server = LightkubeServer({"services/api": {"metadata": {"name": "api", "namespace": NAMESPACE}}})
    assert missing(server.client(), "dev", [API]) == ([], [])


def test_custom_resources_and_cluster_wide_objects_are_verified_too():
    order = DeclaredObject("external-secrets.io/v1", "ExternalSecret", NAMESPACE, "api-secret")
    namespace = DeclaredObject("v1", "Namespace", "", NAMESPACE)
    server = LightkubeServer({"externalsecrets/api-secret": named("api-secret")})
    assert missing(server.client(), "dev", [order, namespace]) == ([namespace], [])


def test_all_objects_of_a_kind_that_was_removed_from_the_cluster_are_missing():
    order = DeclaredObject("external-secrets.io/v1", "ExternalSecret", NAMESPACE, "api-secret")
    assert missing(LightkubeServer(unknown=("externalsecrets",)).client(), "dev", [order]) == ([order], [])


def test_a_kind_that_may_not_be_listed_is_reported_and_not_missing():
    server = LightkubeServer({"deployments/api": named("api")}, forbidden=("services",))
    assert missing(server.client(), "dev", [API, DEPLOYED]) == ([], ["Service"])


def test_a_refused_connection_is_retried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("slipway.cluster.api_retry.RETRY_SECONDS", 0)
    server = LightkubeServer({"services/api": named("api")}, refused=2)
    assert missing(server.client(), "dev", [API]) == ([], [])


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return settings with one service, in stack dev."""
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    return cast("Any", SimpleNamespace(services={"api": SimpleNamespace(min_replicas=1, rollout_seconds=0)}))


@pytest.mark.feature("O1", part="an update does not end well with an object missing")
def test_an_update_that_lacks_an_object_fails_with_its_name_and_the_fix(settings: Any):
    with pytest.raises(pulumi.RunError, match=r"not in the cluster: Service/web\.(.|\n)*Fix: \./slipway up -s dev"):
        verification.verify(LightkubeServer({"services/api": named("api")}).client(), settings, [API, WEB])


def test_an_update_fails_if_a_service_it_did_not_change_does_not_run(settings: Any):
    selector = {"matchLabels": {"app": "api"}}
    spec = {"replicas": 1, "selector": selector, "template": {"spec": {"containers": []}}}
    crashed = named("api", spec=spec, status={"observedGeneration": 1, "replicas": 1})
    crashed["metadata"]["generation"] = 1
    server = LightkubeServer({"deployments/api": crashed})
    with pytest.raises(completion.IncompleteRolloutError, match="Deployment/api is not complete"):
        verification.verify(server.client(), settings, [])

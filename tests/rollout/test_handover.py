"""Handing over the number of pods to the autoscaler, or back, does not change the number."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import httpx2
import pulumi
import pytest
from lightkube import ApiError

from slipway.rollout import handover
from slipway.rollout.handover import disowned

FIXED, SCALED = {"spec": {"replicas": 3.0, "template": {}}}, {"spec": {"template": {}}}


def entry(manager: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": manager, "fieldsV1": {"f:spec": spec, **more}}


def test_only_the_ownership_of_the_number_of_pods_is_removed():
    entries = [
        entry("pulumi", {"f:replicas": {}, "f:template": {}}, **{"f:metadata": {"f:labels": {}}}),
        entry("kube-controller-manager", {"f:replicas": {}}),
        entry("kubectl", {"f:paused": {}}),
        {"manager": "status", "fieldsV1": {"f:status": {"f:replicas": {}}}},
    ]
    assert disowned(entries) == [
        entry("pulumi", {"f:template": {}}, **{"f:metadata": {"f:labels": {}}}),
        entries[2],
        entries[3],
    ]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """A client of an API server that has one Deployment, whose number of pods Pulumi owns."""
    deployment = {"metadata": {"resourceVersion": "7", "managedFields": [entry("pulumi", {"f:replicas": {}})]}}
    client = MagicMock()
    client.get.return_value.to_dict.return_value = deployment
    monkeypatch.setattr(handover, "client", lambda _: client)
    return client


def update(old: dict[str, Any], new: dict[str, Any]) -> None:
    _, hand_over = handover.before_update(cast("Any", SimpleNamespace(name="api", settings=MagicMock())))
    hand_over(cast("Any", SimpleNamespace(old_inputs=old, new_inputs=new)))


@pytest.mark.parametrize(("old", "new"), [(FIXED, SCALED), (SCALED, FIXED)], ids=["to the autoscaler", "back"])
def test_the_ownership_of_the_number_of_pods_is_removed_before_an_update_that_hands_it_over(
    client: MagicMock, old: dict[str, Any], new: dict[str, Any]
):
    update(old, new)
    _, name, patch = client.patch.call_args.args
    assert name == "api"
    # The API server refuses it if the Deployment has changed.
    assert patch == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "replace", "path": "/metadata/managedFields", "value": []},
    ]


def refusal(code: int) -> ApiError:
    return ApiError(response=httpx2.Response(code, json={"code": code, "message": "no"}))


def test_a_handover_is_retried_if_the_deployment_has_changed(client: MagicMock):
    client.patch.side_effect = [refusal(422), refusal(409), None]
    update(FIXED, SCALED)
    assert [call[0] for call in client.method_calls] == ["get", "patch"] * 3


@pytest.mark.parametrize(("code", "times"), [(403, 1), (409, 5)], ids=["not allowed", "changed again and again"])
def test_a_handover_that_keeps_failing_raises_the_error(client: MagicMock, code: int, times: int):
    client.patch.side_effect = refusal(code)
    with pytest.raises(ApiError):
        update(FIXED, SCALED)
    assert client.patch.call_count == times


class Keda:
    """An API server with KEDA: a deleted ScaledObject is gone after some questions, its autoscaler never by itself."""

    def __init__(
        self, *, questions: int = 2, owner: str | None = "slipway-dev", code: int = 404, is_owned: bool = True
    ) -> None:
        self.questions, self.owner, self.code = questions, owner, code
        self.deleted: list[str] = []
        self.autoscaler: dict[str, Any] | None = {
            "metadata": {"name": "api", "ownerReferences": [{"kind": "ScaledObject"}] if is_owned else []}
        }

    def get(self, kind: Any, name: str) -> dict[str, Any]:
        if kind._api_info.resource.kind != "ScaledObject":
            if self.autoscaler is None:
                raise refusal(404)
            return self.autoscaler
        if self.owner is None or self.questions < 0:
            raise refusal(self.code)
        metadata = {"name": name, "labels": {"app.kubernetes.io/instance": self.owner}}
        if "ScaledObject/api" in self.deleted:
            self.questions -= 1
            metadata["deletionTimestamp"] = "2026-11-30T12:00:00Z"
        return {"metadata": metadata}

    def delete(self, kind: Any, name: str) -> None:
        self.deleted.append(f"{kind._api_info.resource.kind}/{name}")


def run(server: Keda, hook: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a hook for the service `api` against this server. Return what it deleted."""
    monkeypatch.setattr(handover, "client", lambda _: server)
    monkeypatch.setattr(handover, "POLL_SECONDS", 0)
    monkeypatch.setattr("pulumi.get_stack", lambda: "dev")
    _, function = hook(SimpleNamespace(name="api", settings=MagicMock()))
    function(cast("Any", SimpleNamespace()))
    return server.deleted


def take_back(server: Keda, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return run(server, handover.before_autoscaler, monkeypatch)


@pytest.mark.feature("F6", part="from KEDA to an HPA")
@pytest.mark.parametrize("is_owned", [True, False], ids=["KEDA's", "not yet KEDA's"])
def test_keda_has_given_up_its_autoscaler_before_the_one_that_takes_its_name(
    monkeypatch: pytest.MonkeyPatch, is_owned: bool
):
    server = Keda(questions=3, is_owned=is_owned)
    assert take_back(server, monkeypatch) == ["ScaledObject/api", "HorizontalPodAutoscaler/api"]
    assert server.questions == -1


def test_an_autoscaler_whose_scaled_object_is_gone_does_not_take_its_successor_along(monkeypatch: pytest.MonkeyPatch):
    assert take_back(Keda(owner=None), monkeypatch) == ["HorizontalPodAutoscaler/api"]


@pytest.mark.parametrize("code", [403, 404], ids=["may not be read", "no KEDA"])
def test_a_cluster_without_keda_is_left_alone(monkeypatch: pytest.MonkeyPatch, code: int):
    assert take_back(Keda(owner=None, code=code, is_owned=False), monkeypatch) == []


def test_a_scaled_object_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    assert take_back(Keda(owner="slipway-prod"), monkeypatch) == []


def test_a_scaled_object_waits_for_one_that_is_being_deleted(monkeypatch: pytest.MonkeyPatch):
    server = Keda(questions=3)
    server.deleted.append("ScaledObject/api")
    run(server, handover.before_scaled_object, monkeypatch)
    assert server.questions == -1
    assert run(Keda(questions=0), handover.before_scaled_object, monkeypatch) == []


def test_an_operator_that_does_not_run_ends_the_update_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(handover, "RELEASE_SECONDS", 0)
    with pytest.raises(pulumi.RunError, match=r"KEDA has not given up .*/api .* repeat the update"):
        take_back(Keda(questions=10**6), monkeypatch)


@pytest.mark.parametrize("inputs", [FIXED, SCALED], ids=["the stack's", "the autoscaler's"])
def test_other_updates_send_no_request_to_the_cluster(client: MagicMock, inputs: dict[str, Any]):
    update(inputs, inputs)
    assert client.mock_calls == []

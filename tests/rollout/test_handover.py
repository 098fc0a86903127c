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
    """An API server with KEDA: a deleted ScaledObject takes its autoscaler along, after some questions."""

    def __init__(self, *, questions: int = 2, owner: str | None = "slipway-dev", code: int = 404) -> None:
        self.questions, self.owner, self.code = questions, owner, code
        self.deleted: list[str] = []

    def get(self, kind: Any, name: str) -> dict[str, Any]:
        if kind._api_info.resource.kind == "ScaledObject":
            if self.owner is None:
                raise refusal(self.code)
            return {"metadata": {"name": name, "labels": {"app.kubernetes.io/instance": self.owner}}}
        self.questions -= 1
        if self.questions < 0:
            raise refusal(404)
        return {"metadata": {"name": name}}

    def delete(self, kind: Any, name: str) -> None:
        self.deleted.append(f"{kind._api_info.resource.kind}/{name}")


def take_back(server: Keda, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(handover, "client", lambda _: server)
    monkeypatch.setattr(handover, "POLL_SECONDS", 0)
    monkeypatch.setattr("pulumi.get_stack", lambda: "dev")
    name, hook = handover.before_autoscaler(cast("Any", SimpleNamespace(name="api", settings=MagicMock())))
    assert name == "api-take-back"
    hook(cast("Any", SimpleNamespace()))
    return server.deleted


@pytest.mark.feature("F6", part="from KEDA to an HPA")
def test_an_autoscaler_of_keda_is_gone_before_the_one_that_takes_its_name(monkeypatch: pytest.MonkeyPatch):
    server = Keda(questions=3)
    assert take_back(server, monkeypatch) == ["ScaledObject/api"]
    assert server.questions == -1


@pytest.mark.parametrize("code", [403, 404], ids=["may not be read", "no KEDA"])
def test_a_cluster_without_keda_is_left_alone(monkeypatch: pytest.MonkeyPatch, code: int):
    server = Keda(owner=None, code=code)
    assert take_back(server, monkeypatch) == []
    assert server.questions == 2


def test_a_scaled_object_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    assert take_back(Keda(owner="slipway-prod"), monkeypatch) == []


def test_an_operator_that_does_not_run_ends_the_update_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(handover, "RELEASE_SECONDS", 0)
    with pytest.raises(pulumi.RunError, match=r"KEDA has not given up .*/api .* repeat the update"):
        take_back(Keda(questions=10**6), monkeypatch)


@pytest.mark.parametrize("inputs", [FIXED, SCALED], ids=["the stack's", "the autoscaler's"])
def test_other_updates_send_no_request_to_the_cluster(client: MagicMock, inputs: dict[str, Any]):
    update(inputs, inputs)
    assert client.mock_calls == []

"""Who sets the number of pods may change; the number itself does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import handover
import httpx2
import pytest
from handover import disowned
from lightkube import ApiError

FIXED, SCALED = {"spec": {"replicas": 3.0, "template": {}}}, {"spec": {"template": {}}}


def entry(manager: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": manager, "fieldsV1": {"f:spec": spec, **more}}


def test_nobody_owns_the_number_of_pods_then_and_everybody_what_else_is_theirs():
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
    """What is asked of the API server; it has one Deployment that Pulumi made with three pods."""
    found = {"metadata": {"resourceVersion": "7", "managedFields": [entry("pulumi", {"f:replicas": {}})]}}
    client = MagicMock()
    client.get.return_value.to_dict.return_value = found
    monkeypatch.setattr(handover, "client", lambda _: client)
    monkeypatch.setattr(handover.pulumi, "ResourceHook", lambda _, hook: hook)
    return client


def update(old: dict[str, Any], new: dict[str, Any]) -> None:
    hook = cast("Any", handover.before_update(cast("Any", SimpleNamespace(name="api", settings=MagicMock()))))
    hook(SimpleNamespace(old_inputs=old, new_inputs=new))


@pytest.mark.parametrize(("old", "new"), [(FIXED, SCALED), (SCALED, FIXED)], ids=["to the autoscaler", "back"])
def test_before_an_update_that_hands_it_over_the_number_is_made_nobody_s(
    client: MagicMock, old: dict[str, Any], new: dict[str, Any]
):
    update(old, new)
    _, name, patch = client.patch.call_args.args
    assert name == "api"
    # Refused if somebody has changed the Deployment meanwhile.
    assert patch == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "replace", "path": "/metadata/managedFields", "value": []},
    ]


def refusal(code: int) -> ApiError:
    return ApiError(response=httpx2.Response(code, json={"code": code, "message": "no"}))


def test_it_is_tried_again_when_somebody_has_changed_the_deployment_meanwhile(client: MagicMock):
    client.patch.side_effect = [refusal(422), refusal(409), None]
    update(FIXED, SCALED)
    assert [call[0] for call in client.method_calls] == ["get", "patch"] * 3


@pytest.mark.parametrize(("code", "times"), [(403, 1), (409, 5)], ids=["not allowed", "changed again and again"])
def test_who_is_refused_for_good_is_told_so(client: MagicMock, code: int, times: int):
    client.patch.side_effect = refusal(code)
    with pytest.raises(ApiError):
        update(FIXED, SCALED)
    assert client.patch.call_count == times


@pytest.mark.parametrize("inputs", [FIXED, SCALED], ids=["the stack's", "the autoscaler's"])
def test_other_updates_ask_nothing_of_the_cluster(client: MagicMock, inputs: dict[str, Any]):
    update(inputs, inputs)
    assert client.mock_calls == []

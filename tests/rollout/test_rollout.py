"""When a rollout is complete: by the status that Kubernetes reports for the current generation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from slipway.objects import has_rollout_failed, is_rolled_out
from slipway.rollout import completion
from slipway.rollout.completion import IncompleteRolloutError, wait

DONE, UNDER_WAY, OVER = (
    {"type": "Progressing", "status": status, "reason": reason}
    for status, reason in (
        ("True", "NewReplicaSetAvailable"),
        ("True", "ReplicaSetUpdated"),
        ("False", "ProgressDeadlineExceeded"),
    )
)


def deployment(progressing: dict[str, str] = DONE, *, generation: int = 2, **status: int) -> dict[str, Any]:
    """A Deployment of two pods, rolled out for the second time unless the arguments say otherwise."""
    reported = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status}
    spec = {"replicas": reported["replicas"]}
    return {"metadata": {"generation": generation}, "spec": spec, "status": {**reported, "conditions": [progressing]}}


def test_a_rollout_is_complete_when_all_pods_are_new_and_enough_are_available():
    assert is_rolled_out(deployment(), 2)


def test_more_pods_for_the_autoscaler_are_no_part_of_the_rollout():
    assert is_rolled_out(deployment(replicas=4, updatedReplicas=4), 2)


def test_more_pods_for_the_autoscaler_after_the_rollout_are_no_part_of_it_either():
    assert is_rolled_out(deployment(), 3)


@pytest.mark.parametrize(
    "state",
    [
        deployment(generation=3),
        deployment(UNDER_WAY),
        deployment(replicas=3, updatedReplicas=1),
        deployment(availableReplicas=1),
        {"metadata": {"generation": 1}},
    ],
    ids=[
        "the status is that of the rollout before",
        "Kubernetes says so",
        "pods of before are there",
        "too few serve",
        "nobody has looked at it",
    ],
)
def test_a_rollout_is_not_complete_while(state: dict[str, Any]):
    assert not is_rolled_out(state, 2)
    assert not has_rollout_failed(state)


def test_a_rollout_has_failed_when_kubernetes_says_so_of_the_current_generation():
    assert has_rollout_failed(deployment(OVER))
    assert not has_rollout_failed(deployment(OVER, generation=3))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that advances only during sleep."""
    now = [0.0]
    monkeypatch.setattr(completion.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(completion.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def server(*states: dict[str, Any]) -> MagicMock:
    """Return an API server that answers with these states in turn, and then with the last one."""
    left = list(states)
    client = MagicMock()
    client.get.return_value.to_dict.side_effect = lambda: left.pop(0) if len(left) > 1 else left[0]
    return client


SERVICE = cast("Any", SimpleNamespace(min_replicas=2, rollout_seconds=60))


def test_an_update_waits_for_its_rollout(clock: list[float]):
    wait(server(deployment(generation=3), deployment(UNDER_WAY, updatedReplicas=1), deployment()), "api", SERVICE)
    assert clock == [2]


def test_a_failure_of_the_previous_rollout_is_not_one_of_the_current(clock: list[float]):
    wait(server(*[deployment(OVER)] * 9, deployment(UNDER_WAY), *[deployment(OVER)] * 9, deployment()), "api", SERVICE)
    assert clock == [19]


@pytest.mark.parametrize(
    ("state", "seconds"),
    [(deployment(OVER, updatedReplicas=1), 11), (deployment(UNDER_WAY, updatedReplicas=1), 61)],
    ids=["given up by Kubernetes", "for ever under way"],
)
@pytest.mark.feature("D1", part="the provider is not taken at its word")
def test_a_rollout_that_does_not_complete_fails_the_update_by_name(
    clock: list[float], state: dict[str, Any], seconds: float
):
    with pytest.raises(
        IncompleteRolloutError, match=r"Deployment/api is not complete: 1 new pods, 2 pods serve in all"
    ):
        wait(server(state), "api", SERVICE)
    assert clock == [seconds]


def test_no_release_is_recorded_before_all_services_are_rolled_out(clock: list[float], monkeypatch: pytest.MonkeyPatch):
    waited_for: list[str] = []

    def client(_: object) -> MagicMock:
        api = server(deployment())
        api.get.side_effect = lambda _, name: waited_for.append(name) or api.get.return_value
        return api

    monkeypatch.setattr(completion, "client", client)
    settings = cast(
        "Any", SimpleNamespace(services={"api": SERVICE, "web": SERVICE}, cluster=MagicMock(), namespace="")
    )
    _, wait_for_all = completion.before_record(settings)
    wait_for_all(cast("Any", None))
    assert waited_for == ["api", "web"]

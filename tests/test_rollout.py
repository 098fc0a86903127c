"""When a rollout is complete: by what Kubernetes says of what is asked for now."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest
import rollout
from rollout import IncompleteRolloutError, is_complete, is_given_up, wait

DONE, UNDER_WAY, OVER = (
    {"type": "Progressing", "status": status, "reason": reason}
    for status, reason in (
        ("True", "NewReplicaSetAvailable"),
        ("True", "ReplicaSetUpdated"),
        ("False", "ProgressDeadlineExceeded"),
    )
)


def deployment(progressing: dict[str, str] = DONE, *, generation: int = 2, **status: int) -> dict[str, Any]:
    """One of two pods that has been rolled out for the second time."""
    told = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status}
    spec = {"replicas": told["replicas"]}
    return {"metadata": {"generation": generation}, "spec": spec, "status": {**told, "conditions": [progressing]}}


def test_all_pods_are_new_and_enough_of_them_serve():
    assert is_complete(deployment(), 2)


def test_more_pods_for_the_autoscaler_are_no_part_of_the_rollout():
    assert is_complete(deployment(replicas=4, updatedReplicas=4), 2)


def test_more_pods_that_the_autoscaler_will_ask_for_after_the_rollout_are_none_either():
    assert is_complete(deployment(), 3)


@pytest.mark.parametrize(
    "found",
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
def test_it_is_not_complete_as_long_as(found: dict[str, Any]):
    assert not is_complete(found, 2)
    assert not is_given_up(found)


def test_it_is_given_up_when_kubernetes_says_so_of_this_one():
    assert is_given_up(deployment(OVER))
    assert not is_given_up(deployment(OVER, generation=3))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """It goes on only while one waits."""
    now = [0.0]
    monkeypatch.setattr(rollout.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(rollout.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def server(*found: dict[str, Any]) -> MagicMock:
    """Answers with one after the other, and then with the last."""
    left = list(found)
    client = MagicMock()
    client.get.return_value.to_dict.side_effect = lambda: left.pop(0) if len(left) > 1 else left[0]
    return client


SERVICE = cast("Any", SimpleNamespace(fewest=2, rollout_seconds=60))


def test_it_is_waited_for(clock: list[float]):
    wait(server(deployment(generation=3), deployment(UNDER_WAY, updatedReplicas=1), deployment()), "api", SERVICE)
    assert clock == [2]


def test_what_was_said_of_the_rollout_before_is_no_reason_to_give_up(clock: list[float]):
    wait(server(*[deployment(OVER)] * 9, deployment(UNDER_WAY), *[deployment(OVER)] * 9, deployment()), "api", SERVICE)
    assert clock == [19]


@pytest.mark.parametrize(
    ("found", "seconds"),
    [(deployment(OVER, updatedReplicas=1), 11), (deployment(UNDER_WAY, updatedReplicas=1), 61)],
    ids=["given up by Kubernetes", "for ever under way"],
)
@pytest.mark.feature("D1", part="the provider is not taken at its word")
def test_one_that_does_not_come_to_its_end_fails_the_update_and_says_which(
    clock: list[float], found: dict[str, Any], seconds: float
):
    with pytest.raises(
        IncompleteRolloutError, match=r"Deployment/api is not complete: 1 new pods, 2 pods serve in all"
    ):
        wait(server(found), "api", SERVICE)
    assert clock == [seconds]


def test_no_release_is_recorded_before_all_services_are_rolled_out(clock: list[float], monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def client(_: object) -> MagicMock:
        found = server(deployment())
        found.get.side_effect = lambda _, name: asked.append(name) or found.get.return_value
        return found

    monkeypatch.setattr(rollout, "client", client)
    monkeypatch.setattr(rollout.pulumi, "ResourceHook", lambda _, hook: hook)
    settings = cast(
        "Any", SimpleNamespace(services={"api": SERVICE, "web": SERVICE}, cluster=MagicMock(), namespace="")
    )
    cast("Any", rollout.before_record(settings))(None)
    assert asked == ["api", "web"]

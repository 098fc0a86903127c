"""Look-ups of rules go through indexes, and find what a search through all objects would find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.objects import UNKNOWN, Object
from slipway.rules.parts import Part, UnknownValueError
from slipway.rules.stack import Stack, selects

BUDGET, LABELS = "PodDisruptionBudget", "spec.selector.matchLabels"


def deployment(name: str, /, **labels: Any) -> Object:
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"metadata": {"labels": labels}}}}


def budget(name: str, labels: Any) -> Object:
    return {"kind": BUDGET, "metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}}}


def scaler(name: str, target: Any) -> Object:
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}},
    }


def result(look_up: Callable[[], Any]) -> Any:
    """Return what a look-up returns, or that it meets a value that is not known yet."""
    try:
        return look_up()
    except UnknownValueError:
        return UNKNOWN


WORKLOADS = [
    deployment("a", name="a", part="shop"),
    deployment("b", name="b", part="shop"),
    deployment("odd", name="a", part=["a", "list"], number=1),
    deployment("bare"),
]
UNKNOWN_WORKLOAD = deployment("unknown", name=UNKNOWN, part="shop")
SELECTORS: list[Any] = [
    {"name": "a"},
    {"part": "shop"},
    {"name": "a", "part": "shop"},
    {"part": "shop", "name": "b"},
    {"name": "nobody"},
    {"name": "a", "part": ["a", "list"]},
    {"number": 1},
    {"absent": None},
    {"name": UNKNOWN},
    {"part": "other", "name": UNKNOWN},
    {},
    None,
    "no mapping",
]


@pytest.mark.parametrize("workloads", [WORKLOADS, [*WORKLOADS, UNKNOWN_WORKLOAD]], ids=["known", "unknown"])
@pytest.mark.parametrize("labels", SELECTORS, ids=str)
def test_labels_select_the_pods_that_a_search_through_all_pods_finds(workloads: list[Object], labels: Any):
    stack = Stack(workloads)
    searched = result(lambda: [pod.owner for pod in stack.pods if selects(labels, pod.labels)])
    assert result(lambda: [pod.owner for pod in stack.selected(labels)]) == searched


@pytest.mark.parametrize("workloads", [WORKLOADS, [*WORKLOADS, UNKNOWN_WORKLOAD]], ids=["known", "unknown"])
@pytest.mark.parametrize("selectors", [SELECTORS, SELECTORS[:8]], ids=["some are unknown", "all are known"])
def test_a_pod_has_the_budgets_that_a_search_through_all_budgets_finds(workloads: list[Object], selectors: list[Any]):
    stack = Stack([*workloads, *(budget(str(number), labels) for number, labels in enumerate(selectors))])
    for pod in stack.pods:
        searched = result(lambda pod=pod: [b.name for b in stack.of(BUDGET) if selects(b.get(LABELS), pod.labels)])
        assert result(lambda pod=pod: [b.name for b in stack.selecting(pod, BUDGET, LABELS)]) == searched


def name(part: Part | None) -> str | None:
    return part and part.name


def test_of_two_autoscalers_of_a_workload_the_first_one_counts():
    stack = Stack([scaler("second", "api"), scaler("first", "api")])
    assert name(stack.autoscaler("Deployment", "api")) == "first"
    assert stack.autoscaler("Deployment", "web") is None


def test_an_autoscaler_whose_target_is_not_known_may_be_that_of_any_workload():
    stack = Stack([scaler("a", "api"), scaler("b", UNKNOWN), scaler("c", "web")])
    assert name(stack.autoscaler("Deployment", "api")) == "a"
    with pytest.raises(UnknownValueError):
        stack.autoscaler("Deployment", "web")


def test_an_object_whose_name_is_not_known_may_be_the_one_asked_for():
    stack = Stack([deployment("api"), deployment(UNKNOWN)])
    assert name(stack.named("Deployment", "api")) == "api"
    assert stack.named("Service", "api") is None
    for asked in ("web", None, UNKNOWN):
        with pytest.raises(UnknownValueError):
            stack.named("Deployment", asked)

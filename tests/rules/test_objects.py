"""How Kubernetes objects are read."""

from __future__ import annotations

import subprocess
import sys

import pulumi.runtime.rpc
import pytest
from lightkube.utils.quantity import parse_quantity

from slipway.objects import UNKNOWN, condition, dig, items, mapping, quantity


def test_the_placeholder_for_unknown_values_is_the_engine_s():
    assert pulumi.runtime.rpc.UNKNOWN == UNKNOWN


def test_a_path_leads_to_a_value_and_to_none_where_there_is_none():
    pod = {"metadata": {"labels": {"app.kubernetes.io/name": "api"}}, "spec": {"replicas": 0, "volumes": [1]}}
    assert dig(pod, "spec.replicas") == 0
    assert dig(pod, "metadata.labels", "app.kubernetes.io/name") == "api"
    assert dig(pod, "spec.volumes.name") is None
    assert dig(pod, "status.phase") is None
    assert dig(None, "status") is None
    assert (mapping(pod, "spec.volumes"), items(pod, "spec.volumes"), items(pod, "spec")) == ({}, [1], [])


def test_everything_inside_an_unknown_value_is_unknown():
    assert dig({"metadata": UNKNOWN}, "metadata.name") == UNKNOWN


@pytest.mark.parametrize(
    ("text", "number"),
    [("64Mi", 67108864), ("250m", 0.25), ("1", 1), (2, 2), ("1.5e3", 1500), ("many", None), ("1 Gi", None), ({}, None)],
)
def test_quantities_are_read_as_kubernetes_does(text: object, number: float | None):
    assert quantity(text) == number


NUMBERS = [
    *("0", "1", "+1", "-1.5", "1.", ".5", "-.5", "0.0001", "1.5e3", "2e-4", "", "e3", "1.2.3", "1 "),
    *("9" * 40, "1e400", "9e999999", "1e9999999999999999999"),
]
UNITS = [*"mkMGTPEZY", *(f"{unit}i" for unit in "KMGTPEZY"), "", "K", "mi", "B"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("number", NUMBERS)
def test_the_client_reads_quantities_in_the_same_way(number: str, unit: str):
    try:
        parsed = parse_quantity(number + unit)
    except ValueError:
        parsed = None
    assert quantity(number + unit) == (None if parsed is None else float(parsed))


def test_a_condition_that_is_not_reported_is_empty():
    pod = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert condition(pod, "Ready") == {"type": "Ready", "status": "True"}
    assert condition(pod, "Initialized") == condition({}, "Ready") == {}


def test_reading_objects_does_not_load_the_kubernetes_client():
    code = "import sys, slipway.objects; print('lightkube' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"

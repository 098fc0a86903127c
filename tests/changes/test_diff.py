"""`./slipway diff`: what differs between two environments, and nothing that only follows from their names."""

from __future__ import annotations

import json

import pytest

from slipway.ops.changes import diff
from slipway.ops.program.recorder import UnknownStackError


@pytest.mark.feature("J4")
def test_staging_and_prod_differ_in_size_and_address_and_in_nothing_else():
    fields = {
        f"{change.name} {field.path}" for change in diff.differences("staging", "prod") for field in change.fields
    }
    assert "HorizontalPodAutoscaler/api spec.maxReplicas" in fields
    assert "Ingress/api spec.rules[0].host" in fields
    sizes = (
        "resources",
        "GOMEMLIMIT",
        "spec.hard",
        "maxReplicas",
        "host",
        "_HOST",
        "MYSQL_CONNECTIONS",
        "ipBlock.cidr",
    )
    assert [field for field in fields if not any(size in field for size in sizes)] == []


def test_a_stack_does_not_differ_from_itself():
    assert diff.differences("prod", "prod") == []


def test_objects_that_only_one_stack_has_are_named(capsys: pytest.CaptureFixture[str]):
    diff.command("local", "dev", as_json=True)
    objects = {found["object"]: found for found in json.loads(capsys.readouterr().out)["objects"]}
    assert objects["Secret/api-tls"]["in"] == ["left"]


def test_the_table_shows_both_values_side_by_side(capsys: pytest.CaptureFixture[str]):
    diff.command("staging", "prod", as_json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["HorizontalPodAutoscaler/api", "spec.maxReplicas", "4", "10"] in lines


def test_an_unknown_stack_is_refused():
    with pytest.raises(UnknownStackError, match="Stacks here"):
        diff.differences("staging", "qa")

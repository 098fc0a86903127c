"""Lightkube resources of built-in and custom kinds."""

from __future__ import annotations

import pytest

from slipway.cluster.kinds import plural, resource


@pytest.mark.parametrize(
    ("version", "kind"), [("v1", "ConfigMap"), ("apps/v1", "Deployment"), ("example.com/v1", "Own")]
)
def test_a_kind_has_one_resource_for_all_callers(version: str, kind: str):
    assert resource(version, kind) is resource(version, kind, is_namespaced=True)


@pytest.mark.parametrize(
    ("kind", "name"), [("Service", "services"), ("NetworkPolicy", "networkpolicies"), ("Ingress", "ingresses")]
)
def test_a_kind_is_found_in_the_api_by_its_plural(kind: str, name: str):
    assert plural(kind) == name

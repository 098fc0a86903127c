"""Kinds of objects, built in and custom, for a lightkube client."""

from __future__ import annotations

import pytest
from kinds import plural, resource


@pytest.mark.parametrize(
    ("version", "kind"), [("v1", "ConfigMap"), ("apps/v1", "Deployment"), ("example.com/v1", "Own")]
)
def test_a_kind_has_one_resource_however_often_and_in_whatever_form_it_is_asked_for(version: str, kind: str):
    assert resource(version, kind) is resource(version, kind, is_namespaced=True)


@pytest.mark.parametrize(
    ("kind", "name"), [("Service", "services"), ("NetworkPolicy", "networkpolicies"), ("Ingress", "ingresses")]
)
def test_a_kind_is_found_in_the_api_by_its_plural(kind: str, name: str):
    assert plural(kind) == name

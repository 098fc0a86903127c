"""How long superseded configuration and records of releases stay in the cluster."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import httpx2
import pulumi
import pytest

from slipway import engine, retention
from tests.conftest import Declare
from tests.lightkube_server import LightkubeServer, named

SPEC = {
    "containers": [
        {
            "envFrom": [{"configMapRef": {"name": "api-env-11111111"}}],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "api-secret-22222222", "key": "a"}}}],
        }
    ],
    "volumes": [
        {"secret": {"secretName": "api-secret-33333333"}},
        {"configMap": {"name": "mysql-files-44444444"}},
        {"projected": {"sources": [{"secret": {"name": "api-secret-55555555"}}]}},
    ],
}
READ = {"api-env-11111111", "mysql-files-44444444", *(f"api-secret-{digit * 8}" for digit in "235")}
KINDS = ("deployments", "replicasets", "statefulsets", "jobs", "pods")


def configuration(*names: str, immutable: bool = True) -> dict[str, Any]:
    """Return ConfigMaps and Secrets of stack dev by the path of the server."""
    plurals = {name: "secrets" if "-secret" in name else "configmaps" for name in names}
    return {f"{plural}/{name}": named(name, immutable=immutable) for name, plural in plurals.items()}


@pytest.mark.feature("B4", part="config of former revisions is kept")
def test_superseded_variables_and_secrets_stay_in_the_cluster_for_a_rollback(program: Declare):
    retained = {(r.kind, r.name) for r in program("dev").resources if r.options.get("retain_on_delete")}
    kept = {("ConfigMap", "api-env"), ("ConfigMap", "web-env"), ("Secret", "api-secret"), ("ConfigMap", "release")}
    kept |= {("ConfigMap", "api-migration-env"), ("Secret", "api-migration-secret")}
    assert retained == kept


@pytest.mark.parametrize("plural", KINDS)
def test_configuration_that_a_workload_refers_to_is_kept(plural: str):
    spec = SPEC if plural == "pods" else {"template": {"spec": SPEC}}
    server = LightkubeServer({**configuration(*READ), f"{plural}/any": {"metadata": {"name": "any"}, "spec": spec}})
    before = dict(server.objects)
    retention.collect(server.client(), "dev", set())
    assert server.objects == before


def test_configuration_that_a_schedule_refers_to_is_kept():
    spec = {"jobTemplate": {"spec": {"template": {"spec": SPEC}}}}
    server = LightkubeServer({**configuration(*READ), "cronjobs/any": {"metadata": {"name": "any"}, "spec": spec}})
    retention.collect(server.client(), "dev", set())
    assert server.objects.keys() >= configuration(*READ).keys()


def test_declared_configuration_is_kept_though_its_finished_job_is_gone(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
):
    """A deleted one would fail the next update: declared, but not in the cluster."""
    callbacks: dict[str, Any] = {}
    monkeypatch.setattr(engine, "observe", lambda **given: callbacks.update(given))
    server = LightkubeServer(configuration("api-migration-env-11111111", "api-migration-env-00000000"))
    monkeypatch.setattr(retention, "client", lambda _: server.client())
    retention.at_end(MagicMock())
    callbacks["registered"]("kubernetes:core/v1:ConfigMap", "slipway-dev/api-migration-env-11111111")
    callbacks["ended"]()
    assert list(server.objects) == ["configmaps/api-migration-env-11111111"]
    assert warned == []


def test_configuration_of_a_removed_service_is_deleted():
    server = LightkubeServer(
        configuration("removed-env-0000aaaa", "removed-secret-0000bbbb", "api-canary-env-0000cccc")
    )
    retention.collect(server.client(), "dev", set())
    assert server.objects == {}


def test_a_cluster_without_external_secrets_is_cleaned_up_too():
    server = LightkubeServer(configuration("removed-env-0000aaaa"), unknown=("externalsecrets",))
    retention.collect(server.client(), "dev", set())
    assert server.objects == {}
    assert server.requests[-1].endswith("/configmaps"), "the records of releases were not looked at"


def test_only_immutable_objects_of_this_stack_that_are_named_by_their_content_are_deleted():
    foreign = {"metadata": {"name": "theirs-env-0000aaaa", "labels": {}}, "immutable": True}
    kept = {
        "configmaps/theirs-env-0000aaaa": foreign,
        **configuration("api-file", "api-tls", "by-hand-env"),
        **configuration("edited-env-0000aaaa", immutable=False),
    }
    server = LightkubeServer(dict(kept))
    retention.collect(server.client(), "dev", set())
    assert server.objects == kept


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the warnings of an update of stack dev on a real engine."""
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warnings.append)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    monkeypatch.setattr(engine, "is_updating", lambda: True)
    monkeypatch.setattr(retention, "client", lambda _: MagicMock())
    return warnings


@pytest.mark.parametrize("error", [httpx2.ConnectError("Connection refused"), OSError("no route"), KeyError("name")])
def test_a_failed_clean_up_is_a_warning_and_never_fails_the_update(
    monkeypatch: pytest.MonkeyPatch, warned: list[str], error: Exception
):
    callbacks: dict[str, Any] = {}
    monkeypatch.setattr(engine, "observe", lambda **given: callbacks.update(given))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(retention, "collect", fail)
    retention.at_end(MagicMock())
    callbacks["ended"]()
    [warning] = warned
    assert str(error) in warning and "The update is complete" in warning

"""Configuration that rolls the pods, configuration they read again, and how long a superseded one is kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest
import retention
from retention import superseded

from ops.recorder import Program
from tests.conftest import WITHOUT_STORES, Changed, Declare

STORE = {"secretStore": {"name": "vault", "path": "slipway/dev"}}
TWO = {"services.web": {"secrets": ["session-key"]}}


def mounted_secret(program: Program, service: str = "api") -> str:
    volumes = program.manifests()["Deployment", service]["spec"]["template"]["spec"]["volumes"]
    return next(volume["secret"]["secretName"] for volume in volumes if "secret" in volume)


@pytest.mark.feature("B4", part="config of former revisions is kept")
def test_superseded_variables_and_secrets_are_left_in_the_cluster_for_a_rollback(program: Declare):
    retained = {(r.kind, r.name) for r in program("dev").resources if r.options.get("retain_on_delete")}
    kept = {("ConfigMap", "api-env"), ("ConfigMap", "web-env"), ("Secret", "api-secret"), ("ConfigMap", "release")}
    assert retained == kept


def test_of_the_superseded_ones_those_no_revision_names_are_forgotten():
    present = ["api-env-0000aaaa", "api-env-1111bbbb", "api-secret-2222cccc", "api-file", "api-tls", "web-env-0000aaaa"]
    assert superseded("api", present, named={"api-env-1111bbbb"}) == ["api-env-0000aaaa", "api-secret-2222cccc"]


def test_revisions_are_found_by_the_label_that_no_selector_from_before_the_stack_takes_away(
    monkeypatch: pytest.MonkeyPatch,
):
    asked: dict[str, Any] = {}

    class Client:
        def list(self, kind: Any, labels: Any) -> list[Any]:
            asked[kind.__name__] = labels
            return []

    stand_ins: dict[str, Any] = {
        "selector": lambda _: {},
        "client": lambda _: Client(),
        "pulumi": MagicMock(),
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(retention, name, stand_in)
    retention.after_update(cast("Any", SimpleNamespace(name="api", settings=MagicMock())))
    _, forget = stand_ins["pulumi"].ResourceHook.call_args.args
    forget(None)
    assert asked["ReplicaSet"] == {"slipway/service": "api"}


@pytest.mark.feature("B7", part="rendered")
def test_with_an_external_store_the_stack_orders_its_secrets_and_holds_none(changed: Changed):
    program = changed("dev", {**WITHOUT_STORES, **STORE})
    assert ("Secret", "api-secret") not in program.manifests()
    order = program.manifests()["ExternalSecret", "api-secret"]
    assert order["spec"]["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "vault"}
    assert order["spec"]["data"] == [{"secretKey": "signing-key", "remoteRef": {"key": "slipway/dev/signing-key"}}]
    assert order["spec"]["target"]["name"] == mounted_secret(program)


def test_the_version_of_an_external_secret_rolls_the_services_that_read_it(changed: Changed):
    def names(versions: dict[str, Any]) -> tuple[str, str]:
        program = changed("dev", {**STORE, **TWO, "secretStore.versions": versions})
        return mounted_secret(program), mounted_secret(program, "web")

    before, after = names({"signing-key": "1"}), names({"signing-key": "2"})
    assert before[0] != after[0]
    assert before[1] == after[1]

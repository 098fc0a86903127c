"""Configuration that rolls the pods, and configuration that they reload."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.ops.program.recorder import Program
from tests.conftest import WITHOUT_STORES, Changed

STORE = {"secretStore": {"name": "vault", "entries": "values", "path": "slipway/dev"}}
TWO = {"services.web": {"secrets": ["session-key"]}}


def mounted_secret(program: Program, service: str = "api") -> str:
    volumes = program.manifests()["Deployment", service]["spec"]["template"]["spec"]["volumes"]
    return next(volume["secret"]["secretName"] for volume in volumes if "secret" in volume)


@pytest.mark.feature("B7", part="rendered")
def test_with_an_external_store_the_stack_declares_external_secrets_and_no_secret(changed: Changed):
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

"""The Kyverno policy of a stack: what it demands of which images, in a form that Kyverno's schema accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from slipway import schemas
from slipway.__main__ import app
from slipway.ops.supply_chain import admission, evidence
from slipway.ops.supply_chain.cosign import EvidenceError
from tests.api_server import settings

KEY, MAKERS = "-----BEGIN PUBLIC KEY-----\nproject\n", "-----BEGIN PUBLIC KEY-----\nmakers\n"
EVIDENCE = {
    "publicKey": "cosign.pub",
    "keys": {"docker.io/library/mysql": "makers.pub"},
    "waivers": [
        {
            "repository": "docker.io/library/redis",
            "lacks": ["signature"],
            "reason": "its makers sign with no key",
            "until": "2999-12-31",
        }
    ],
}


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cosign.pub").write_text(KEY)
    (tmp_path / "makers.pub").write_text(MAKERS)
    monkeypatch.setattr(evidence, "ROOT", tmp_path)


def policy(changes: dict[str, Any] | None = None) -> Any:
    return admission.policy("dev", settings("dev", {"evidence": EVIDENCE, **(changes or {})}))


@pytest.mark.feature("A10", part="a Kyverno policy, by Kyverno's own schema")
def test_the_policy_is_valid_and_holds_for_the_namespace_of_the_stack():
    made = policy()
    assert schemas.is_custom(made)
    assert schemas.errors(made, schemas.NEWEST) == []
    assert made["metadata"]["namespace"] == "slipway-dev"
    assert made["spec"]["validationActions"] == ["Deny"]


def test_each_repository_is_verified_by_its_own_key_and_our_images_have_a_provenance():
    made = policy()
    names = {attestor["cosign"]["key"]["data"]: attestor["name"] for attestor in made["spec"]["attestors"]}
    assert set(names) == {KEY, MAKERS}
    _, *verified = made["spec"]["validations"]
    checks = [(rule["message"].split()[0], rule["expression"].rpartition(".all(image, ")[2]) for rule in verified]
    assert checks == [
        ("docker.io/library/mysql", f"verifyImageSignatures(image, [attestors.{names[MAKERS]}]) > 0)"),
        ("registry.example.com/slipway/api", f"verifyImageSignatures(image, [attestors.{names[KEY]}]) > 0)"),
        (
            "registry.example.com/slipway/api",
            f"verifyAttestationSignatures(image, attestations.provenance, [attestors.{names[KEY]}]) > 0)",
        ),
    ]


@pytest.mark.parametrize(
    ("image", "is_known"),
    [
        ("registry.example.com/slipway/api:src-1@sha256:77", True),
        ("registry.example.com/slipway/api@sha256:77", True),
        ("registry.example.com/slipway/api:src-1", False),
        ("registry.example.com/slipway/api-debug@sha256:77", False),
        ("registryxexample.com/slipway/api@sha256:77", False),
        ("docker.io/library/redis:7@sha256:77", True),
        ("docker.io/library/busybox@sha256:77", False),
    ],
)
def test_an_image_by_tag_or_of_another_repository_does_not_start(image: str, is_known: bool):
    expression = policy()["spec"]["validations"][0]["expression"]
    patterns = re.findall(r"image\.matches\(r'([^']+)'\)", expression)
    assert any(re.search(pattern, image) for pattern in patterns) == is_known


def test_cert_manager_may_answer_challenges_where_it_has_to():
    def expression(made: Any) -> str:
        return made["spec"]["validations"][0]["expression"]

    assert f"image.startsWith('{admission.CHALLENGES}:')" in expression(policy())
    without = policy({"services.api.ingress.tls": None})
    assert admission.CHALLENGES not in expression(without)


def test_a_repository_without_a_key_is_refused_by_name():
    with pytest.raises(EvidenceError, match=r"names no key that verifies registry\.example\.com/slipway/api"):
        policy({"evidence": {}})


def test_the_verb_prints_yaml_that_kubectl_applies(monkeypatch: pytest.MonkeyPatch):
    given = settings("dev", {"evidence": EVIDENCE})
    monkeypatch.setattr("slipway.ops.program.config.settings", lambda _: given)
    result = CliRunner().invoke(app, ["verify", "-s", "dev", "--as-policy"])
    assert yaml.safe_load(result.stdout) == policy()
    assert "-----BEGIN PUBLIC KEY-----\n" in result.stdout

"""Secrets: named before anything changes, encrypted in the stack file, strong, and rolled by their own content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest

from slipway.ops.program import recorder
from slipway.ops.program.recorder import declare
from tests.conftest import with_changes
from tests.settings.conftest import BASE, STRICT, Put, edited, refusal


@pytest.fixture
def stored(given: dict[str, str]) -> dict[str, str]:
    """The secrets that stack dev has: the passwords of its stores, and no signing key."""
    given |= {"mysql-password": "m", "mysql-migration-password": "mm", "redis-password": "r"}
    return given


def test_a_missing_secret_is_named_with_the_command_that_sets_it(stored: dict[str, str]):
    with pytest.raises(
        pulumi.RunError,
        match="signing-key: secret is missing or empty; set it: pulumi config set --secret signing-key -s dev",
    ):
        declare("dev")


def test_a_missing_secret_is_told_together_with_every_other_mistake(stored: dict[str, str]):
    with pytest.raises(pulumi.RunError) as refused:
        declare("dev", with_changes("dev", {"servces": {}, "services.api.autoscaling.max": "2", "namespace": "A"}))
    message = str(refused.value)
    assert "has 4 mistakes" in message
    for key in ("servces", "services.api.autoscaling.max", "namespace", "signing-key"):
        assert f"slipway:{key}: " in message


def test_a_missing_secret_file_of_the_local_stack_is_named(stored: dict[str, str]):
    with pytest.raises(pulumi.RunError, match=r"signing-key is missing or empty; `make up` makes it"):
        declare("local")


@pytest.mark.feature("B9")
def test_an_empty_secret_is_as_good_as_none(stored: dict[str, str]):
    stored["signing-key"] = ""
    with pytest.raises(pulumi.RunError, match="missing or empty"):
        declare("dev")


def test_a_secret_nobody_reads_is_an_unknown_key(stored: dict[str, str]):
    stored |= {"signing-key": "a", "sining-key": "b"}
    with pytest.raises(pulumi.RunError, match='sining-key: unknown key; did you mean "signing-key"'):
        declare("dev")


def test_a_secret_in_clear_is_refused_and_not_repeated():
    with pytest.raises(pulumi.RunError, match="stands there in clear; encrypt it") as refused:
        declare("dev", with_changes("dev", {"signing-key": "hunter2"}))
    assert "hunter2" not in str(refused.value)


def test_a_new_value_makes_a_new_secret_and_so_rolls_the_pods(stored: dict[str, str]):
    def names() -> tuple[Any, Any]:
        manifests = declare("dev").manifests()
        spec = manifests["Deployment", "api"]["spec"]["template"]["spec"]
        [mounted] = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
        return manifests["Secret", "api-secret"]["metadata"]["name"], mounted

    stored["signing-key"] = "one" * 11
    before = names()
    stored["signing-key"] = "two" * 11
    after = names()
    assert before[0] == before[1]
    assert after[0] == after[1]
    assert before != after


@pytest.mark.feature("B10", part="program")
def test_no_value_of_a_secret_is_declared_outside_of_secret_inputs(stored: dict[str, str]):
    stored["signing-key"] = "canary-4711" * 3
    program = declare("dev")
    assert "canary" not in repr([resource.inputs for resource in program.resources])
    assert "canary" not in repr(program.outputs)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", "is missing or empty"),
        (" \n", "is missing or empty"),
        ("changeme", "is a placeholder"),
        ("Change-Me-1234567890!", "is a placeholder"),
        ("password", "is a placeholder"),
        ("your-secret-key-123", "is a placeholder"),
        ("xxxxxxxxxxxxxxxxxxxxxxxx", "is a placeholder"),
        ("***", "is a placeholder"),
        ("TODO", "is a placeholder"),
        ("1234567890123456", "is a placeholder"),
        ("kT9-vQ2_mR7+zL4", "is shorter than 32 characters"),
        ("kT9-vQ2_mR7+zL4wkT9-vQ2_mR7+zL4", "is shorter than 32 characters"),
    ],
)
@pytest.mark.feature("J3", part="no default secret")
@pytest.mark.feature("B9")
def test_a_secret_that_keeps_nothing_secret_is_refused_where_it_matters(
    put: Put, given: dict[str, str], secret: str, words: str
):
    given["signing-key"] = secret
    message = refusal(put, STRICT, "prod")
    assert f"slipway:signing-key: secret {words}; set" in message
    assert "pulumi config set --secret signing-key -s prod" in message
    assert len(secret.strip()) < 4 or secret not in message


@pytest.mark.parametrize("stack", ["staging", "prod-eu"])
@pytest.mark.feature("J3", part="no default secret")
def test_only_local_and_dev_may_have_a_placeholder(put: Put, given: dict[str, str], stack: str):
    given["signing-key"] = "changeme"
    assert "secret is a placeholder" in refusal(put, STRICT, stack)


def test_a_real_secret_is_accepted_in_prod_and_any_in_dev(put: Put, given: dict[str, str]):
    given["signing-key"] = "kT9-vQ2_mR7+zL4w" * 2
    assert put(STRICT, "prod").resources
    given["signing-key"] = "changeme" * 4
    assert put(BASE, "dev").resources


@pytest.mark.parametrize(("stack", "text"), [("dev", BASE), ("prod", STRICT)])
def test_a_secret_that_the_app_refuses_is_refused_in_every_environment(
    put: Put, given: dict[str, str], stack: str, text: str
):
    """With a shorter one the app does not start: dev may have a weak one, not one that keeps its pods from running."""
    given["signing-key"] = "kT9-vQ2_mR7+zL4w" * 2
    assert put(text, stack).resources
    given["signing-key"] = given["signing-key"][1:]
    assert "slipway:signing-key: secret is shorter than 32 characters; set another" in refusal(put, text, stack)


def test_a_secret_without_a_length_of_its_own_has_sixteen_characters_where_it_matters(put: Put, given: dict[str, str]):
    text = STRICT.replace("secrets: [signing-key]", "secrets: [signing-key, mail-token]")
    given |= {"signing-key": "kT9-vQ2_mR7+zL4w" * 2, "mail-token": "kT9-vQ2_mR7+zL4"}
    assert "slipway:mail-token: secret is shorter than 16 characters" in refusal(put, text, "prod")


def test_files_of_secrets_are_judged_as_well(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A short one keeps the app from starting, and a Secret of more than 1 MiB is refused by the API server."""
    monkeypatch.setattr(recorder, "STAND_IN", "short")
    monkeypatch.setattr(recorder, "min_secret_length", lambda *_: 0)
    text = edited("  slipway:image:", "  slipway:secretFiles: folder\n  slipway:image:")
    assert "signing-key is shorter than the 32 characters the app demands" in refusal(put, text)
    monkeypatch.setattr(recorder, "STAND_IN", "x" * (2**20 + 1))
    assert "signing-key has 1048577 bytes; a Secret holds 1048576" in refusal(put, text)

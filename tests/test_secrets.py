"""Secrets: named before anything changes, encrypted in the stack file, rolled by their own content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pulumi
import pytest

from ops import recorder
from ops.recorder import declare
from tests.conftest import with_changes


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The secrets the stack really has, by name, instead of a placeholder for each one it needs: no signing key."""
    secrets = {"mysql-password": "m", "mysql-migration-password": "mm", "redis-password": "r"}
    monkeypatch.setattr(recorder, "_secret_values", Mock(return_value=secrets))
    yield secrets


def test_a_missing_secret_is_named_with_the_command_that_sets_it(given: dict[str, str]):
    with pytest.raises(
        pulumi.RunError,
        match="signing-key: secret is missing or empty; set it: pulumi config set --secret signing-key -s dev",
    ):
        declare("dev")


def test_a_missing_secret_is_told_together_with_every_other_mistake(given: dict[str, str]):
    with pytest.raises(pulumi.RunError) as refused:
        declare("dev", with_changes("dev", {"servces": {}, "services.api.autoscaling.max": "2", "namespace": "A"}))
    told = str(refused.value)
    assert "has 4 mistakes" in told
    for key in ("servces", "services.api.autoscaling.max", "namespace", "signing-key"):
        assert f"slipway:{key}: " in told


def test_a_missing_secret_file_of_the_local_stack_is_named(given: dict[str, str]):
    with pytest.raises(pulumi.RunError, match=r"signing-key is missing or empty; `make up` makes it"):
        declare("local")


@pytest.mark.feature("B9")
def test_an_empty_secret_is_as_good_as_none(given: dict[str, str]):
    given["signing-key"] = ""
    with pytest.raises(pulumi.RunError, match="missing or empty"):
        declare("dev")


def test_a_secret_nobody_reads_is_an_unknown_key(given: dict[str, str]):
    given |= {"signing-key": "a", "sining-key": "b"}
    with pytest.raises(pulumi.RunError, match='sining-key: unknown key; did you mean "signing-key"'):
        declare("dev")


def test_a_secret_in_clear_is_refused_and_not_repeated():
    with pytest.raises(pulumi.RunError, match="stands there in clear; encrypt it") as refused:
        declare("dev", with_changes("dev", {"signing-key": "hunter2"}))
    assert "hunter2" not in str(refused.value)


def test_a_new_value_makes_a_new_secret_and_so_rolls_the_pods(given: dict[str, str]):
    def names() -> tuple[Any, Any]:
        manifests = declare("dev").manifests()
        spec = manifests["Deployment", "api"]["spec"]["template"]["spec"]
        [mounted] = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
        return manifests["Secret", "api-secret"]["metadata"]["name"], mounted

    given["signing-key"] = "one" * 11
    before = names()
    given["signing-key"] = "two" * 11
    after = names()
    assert before[0] == before[1]
    assert after[0] == after[1]
    assert before != after


@pytest.mark.feature("B10", part="program")
def test_no_value_of_a_secret_is_declared_outside_of_secret_inputs(given: dict[str, str]):
    given["signing-key"] = "canary-4711" * 3
    program = declare("dev")
    assert "canary" not in repr([resource.inputs for resource in program.resources])
    assert "canary" not in repr(program.outputs)

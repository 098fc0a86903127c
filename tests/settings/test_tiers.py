"""Another environment is one file: a copy of a stack file under a new name is all that its tier is, and no less."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pulumi
import pytest
import yaml

from slipway import releases
from slipway.ops.changes import preview, stack_models
from slipway.ops.changes.comparison import compare
from slipway.ops.drills import drill
from slipway.ops.program import config, policies, recorder
from slipway.ops.program.recorder import Program, declare, stacks
from slipway.ops.program.schema import schema
from slipway.ops.releases import rollback
from slipway.releases import Release
from slipway.service import container
from slipway.settings import source_files
from slipway.settings.stack_file import candidate_in, stack_tier
from slipway.settings.tiers import TIERS
from tests.conftest import API_ONLY, with_changes
from tests.paths import PROJECT, REPOSITORY

MYSQL = {"source": "cluster", "image": "registry.example.com/mysql@sha256:" + "0" * 64}
Copy = Callable[..., str]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """`copied("prod", "prod-eu", tier="prod")` copies a stack file to a new name, and returns that name."""
    shutil.copytree(PROJECT / "stacks", tmp_path / "stacks")
    monkeypatch.setattr(source_files, "STACKS", tmp_path / "stacks")
    for module in (recorder, stack_models, rollback):
        monkeypatch.setattr(module, *(("STACKS", tmp_path / "stacks") if module is rollback else ("ROOT", tmp_path)))

    def copy(stack: str, name: str, tier: str | None = None) -> str:
        text = (tmp_path / "stacks" / f"Pulumi.{stack}.yaml").read_text()
        line = f"config:\n  slipway:tier: {tier}\n" if tier else "config:\n"
        (tmp_path / "stacks" / f"Pulumi.{name}.yaml").write_text(text.replace("config:\n", line, 1))
        return name

    return copy


def protection(program: Program) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Which objects the engine does not delete, or leaves in the cluster."""
    return {
        (found.kind, found.name): (found.options.get("protect"), found.options.get("retain_on_delete"))
        for found in program.resources
        if found.is_manifest
    }


def error_of(stack: str, changes: dict[str, Any]) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        declare(stack, with_changes(stack, changes))
    return str(refused.value)


@pytest.mark.parametrize("tier", TIERS)
def test_a_copy_of_a_stack_file_is_rendered_as_the_original_is(copied: Copy, tier: str):
    copy = declare(copied(tier, f"{tier}-eu", tier))
    assert protection(copy) == protection(declare(tier))


def test_a_copy_that_does_not_say_its_tier_is_refused_with_one_error(copied: Copy):
    with pytest.raises(pulumi.RunError) as refused:
        declare(copied("prod", "prod-eu"))
    assert str(refused.value) == (
        "stacks/Pulumi.prod-eu.yaml has 1 mistake; nothing was changed.\n  stacks/Pulumi.prod-eu.yaml:3: slipway:tier: "
        "is required: the name prod-eu does not say which of local, dev, staging, prod this environment is. "
        "Example: tier: prod"
    )


def test_an_unknown_tier_is_refused(copied: Copy):
    assert "slipway:tier: " in error_of(copied("prod", "prod-eu", "production"), {})


def test_a_stack_named_like_a_tier_is_of_no_other(copied: Copy):
    copied("prod", "prod-eu", "prod")
    message = error_of("prod", {"tier": "dev", "services.api.autoscaling.min": 1})
    assert "slipway:tier: a stack named prod is always of tier prod; leave it out (found: 'dev')" in message
    assert "prod needs at least 2 replicas" in message


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"image": {"source": "build", "repository": "registry.example.com/slipway/api"}}, "prod never builds"),
        ({"services.api.autoscaling.min": 1}, "prod needs at least 2 replicas"),
        ({"services.api.ingress.tls": None}, "prod needs TLS"),
    ],
)
def test_a_copy_of_prod_demands_what_prod_does(copied: Copy, changes: dict[str, Any], rule: str):
    assert rule in error_of(copied("prod", "prod-eu", "prod"), changes)


def test_the_namespace_and_the_volumes_of_a_copy_of_prod_are_protected(copied: Copy):
    copy = copied("prod", "prod-eu", "prod")
    found = protection(declare(copy, with_changes(copy, {"mysql": MYSQL})))
    assert found["Namespace", "slipway-prod"][0] is True
    assert found["PersistentVolumeClaim", "mysql-data"] == (True, True)


def test_a_weak_secret_is_enough_in_a_copy_of_dev_only(copied: Copy, monkeypatch: pytest.MonkeyPatch):
    weak = dict.fromkeys(
        ("mysql-password", "mysql-migration-password", "redis-password", "signing-key"), "changeme" * 4
    )
    names = copied("dev", "test", "dev"), copied("prod", "prod-eu", "prod")
    monkeypatch.setattr(recorder, "_secret_values", lambda _: weak)
    assert declare(names[0]).manifests()
    assert "signing-key: secret is a placeholder" in error_of(names[1], {})


def test_house_rules_are_mandatory_in_a_copy_of_prod_and_advice_in_one_of_dev(
    copied: Copy, monkeypatch: pytest.MonkeyPatch
):
    hardened = vars(container)["_shared"]

    def weakened(*args: Any) -> dict[str, Any]:
        fields = hardened(*args)
        fields["security_context"].privileged = True
        return fields

    monkeypatch.setattr(container, "_shared", weakened)
    names = copied("dev", "test", "dev"), copied("prod", "prod-eu", "prod")
    program = declare(names[0], with_changes(names[0], API_ONLY))
    assert {finding.level for finding in policies.findings(program)} == {"advisory"}
    assert "house rule is broken in stack prod-eu" in error_of(names[1], {**API_ONLY, "services.api.migration": None})


@pytest.mark.parametrize("tier", TIERS)
def test_preview_forbids_in_a_copy_what_it_forbids_in_the_original(copied: Copy, tier: str):
    before = stack_models.of_program(declare(tier))
    after = {name: found for name, found in before.items() if not name.startswith(("Namespace/", "NetworkPolicy/"))}
    changes = compare(before, after)
    copy, original = (preview.preview_of(name, "", changes, frozenset()) for name in (copied(tier, "copy", tier), tier))
    assert copy.data() | {"stack": tier} == original.data()
    assert bool(copy.forbidden) == (tier in ("staging", "prod"))


def test_a_copy_of_prod_is_spared_by_drills_and_one_of_dev_is_not(copied: Copy):
    names = copied("dev", "test", "dev"), copied("prod", "prod-eu", "prod")
    with pytest.raises(drill.DrillError, match="no drill 'pull-plug'"):
        drill.command("pull-plug", names[0], as_json=False)
    with pytest.raises(
        drill.DrillError, match=r"stack prod-eu is of tier prod; drills .* only these tiers take them: local, dev"
    ):
        drill.command("pull-plug", names[1], as_json=False)


def test_a_copy_is_valid_by_the_schema_and_another_word_for_its_tier_is_not(copied: Copy):
    text = (source_files.STACKS / f"Pulumi.{copied('prod', 'prod-eu', 'prod')}.yaml").read_text()
    validator = jsonschema.Draft7Validator(schema())
    assert validator.is_valid(yaml.safe_load(text))
    assert not validator.is_valid(yaml.safe_load(text.replace("tier: prod", "tier: production")))


def test_stacks_are_listed_in_the_order_of_their_tiers(copied: Copy):
    for stack, name in (("dev", "a"), ("prod", "prod.eu"), ("staging", "qa")):
        copied(stack, name, stack)
    copied("dev", "untold")
    assert stacks() == ["local", "dev", "a", "staging", "qa", "prod", "prod.eu", "untold"]


def test_without_a_valid_tier_the_strictest_holds(copied: Copy):
    assert stack_tier(copied("dev", "test")) == stack_tier(copied("dev", "other", "none")) == TIERS["prod"]


def test_a_release_is_taken_back_under_today_s_tier(copied: Copy):
    copy = copied("prod", "prod-eu", "prod")
    recorded = releases.content(config.settings(copy))
    assert "tier" not in recorded
    release = Release("0a1b2c3d", recorded, "registry.example.com/slipway/api@sha256:" + "0" * 64)
    assert rollback.stack_file_of(copy, release)["config"]["slipway:tier"] == "prod"


def test_a_candidate_is_of_the_tier_of_its_stack():
    candidate = candidate_in({"candidate": {"namespace": "x"}, "tier": "staging"})
    assert candidate and candidate.nearest(("tier",)).value == "staging"


def test_no_code_asks_for_the_name_of_a_stack():
    by_name = re.compile(r"""(==|\bin|!=) *[(\[{]?["'](local|dev|staging|prod)["']""")
    sources = [file for folder in ("infra", "policy") for file in (REPOSITORY / folder).rglob("*.py")]
    assert [str(file) for file in sources if by_name.search(file.read_text())] == []

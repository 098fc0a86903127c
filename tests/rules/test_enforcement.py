"""The program checks the house rules in each run."""

from __future__ import annotations

import dataclasses
from typing import Any

import pulumi
import pytest

from slipway.ops.program import policies, recorder
from slipway.service import container
from tests.conftest import API_ONLY, Changed

CONTAINER = "spec.template.spec.containers[0]"


# A job, or another service, would break the same rules once more.
PODS_ONLY: dict[str, Any] = {**API_ONLY, "services.api.migration": None}


@pytest.fixture
def privileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pod privileged, and have it query the registry at each start."""
    hardened = vars(container)["_shared"]

    def weakened(*args: Any) -> dict[str, Any]:
        fields = hardened(*args)
        fields["security_context"].privileged = True
        return {**fields, "image_pull_policy": "Always"}

    monkeypatch.setattr("slipway.service.container._shared", weakened)


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the warnings of the run, with the stack."""
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text: warnings.append(f"{pulumi.get_stack()}: {text}"))
    return warnings


@pytest.mark.feature("I4", part="the program itself, under mocks")
def test_a_run_that_breaks_rules_ends_with_all_of_them_in_one_message(privileged: None, changed: Changed):
    with pytest.raises(pulumi.RunError) as refused:
        changed("prod", PODS_ONLY)
    first, *findings = str(refused.value).splitlines()
    assert first == "2 house rules are broken in stack prod (docs/reference/policies.md)."
    assert findings == [
        f"  SW013 Deployment/api: {CONTAINER}.imagePullPolicy is Always; set it to IfNotPresent "
        "(a digest never changes: asking again makes a restart need the registry)",
        f"  SW001 Deployment/api: {CONTAINER}.securityContext.privileged is true; take it out "
        "(it could do anything on its node)",
    ]


@pytest.mark.feature("I4", part="advice in dev, under mocks")
def test_in_dev_the_same_is_a_warning(privileged: None, changed: Changed, warned: list[str]):
    program = changed("dev", PODS_ONLY)
    assert ("Deployment", "api") in program.manifests()
    warnings = [text for text in warned if text.startswith("dev: SW")]
    assert len(warnings) == 2
    assert "imagePullPolicy is Always" in warnings[0]
    assert "privileged is true" in warnings[1]


def test_a_recorded_program_has_the_findings_of_its_own_check(
    privileged: None, changed: Changed, monkeypatch: pytest.MonkeyPatch
):
    program = changed("dev", PODS_ONLY)
    monkeypatch.setattr("slipway.rules.house_rules.check", lambda *_, **__: pytest.fail("checked once more"))
    found = policies.findings(program)
    assert [(finding.rule, finding.object, finding.level) for finding in found] == [
        ("SW013", "Deployment/api", "advisory"),
        ("SW001", "Deployment/api", "advisory"),
    ]


def test_a_program_that_does_not_check_its_objects_is_checked_after_it(privileged: None, changed: Changed):
    program = changed("dev", PODS_ONLY)
    assert policies.findings(dataclasses.replace(program, findings=None)) == program.findings


def test_a_waiver_in_the_stack_file_lets_the_run_pass(privileged: None, changed: Changed):
    waivers = [
        {"rule": rule, "object": "Deployment/api", "reason": "the vendor asks for it", "until": "2999-12-31"}
        for rule in ("SW001", "SW013")
    ]
    assert ("Deployment", "api") in changed("prod", {**PODS_ONLY, "waivers": waivers}).manifests()


def test_an_expired_waiver_ends_the_run(changed: Changed):
    waiver = {"rule": "SW001", "reason": "the vendor asks for it", "until": "2020-01-31"}
    with pytest.raises(pulumi.RunError, match=r"SW903 slipway:waivers\[0\]: until was 2020-01-31"):
        changed("prod", {"waivers": [waiver]})


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the run an update, and return what the engine gets to create."""
    created: list[str] = []
    monitor = vars(recorder)["_Recorder"]
    register = monitor.RegisterResource

    def registered(self: Any, request: Any) -> Any:
        created.append(f"{request.type.rpartition(':')[2]}/{request.name}")
        return register(self, request)

    monkeypatch.setattr(monitor, "RegisterResource", registered)
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: False)
    monkeypatch.setattr("slipway.cluster.connection.check_context", lambda _: None)
    return created


def test_an_update_without_a_preview_makes_no_object_that_breaks_a_rule(
    privileged: None, changed: Changed, handed_over: list[str]
):
    with pytest.raises(pulumi.RunError, match="2 house rules are broken in stack prod"):
        changed("prod", PODS_ONLY)
    assert "ConfigMap/api-env" in handed_over
    assert "Deployment/api" not in handed_over


def test_an_update_that_keeps_every_rule_makes_all_objects(changed: Changed, handed_over: list[str]):
    changed("prod", {})
    assert {"Namespace/slipway-prod", "Deployment/api", "Ingress/api"} <= set(handed_over)


def test_what_shows_only_in_all_objects_ends_an_update_too(
    changed: Changed, handed_over: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("slipway.service.scaling.disruption_budget", lambda _: None)
    with pytest.raises(pulumi.RunError, match=r"SW306 Deployment/api: .*belong to these PodDisruptionBudgets: none"):
        changed("prod", {})
    assert "Deployment/api" in handed_over

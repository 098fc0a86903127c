"""The program holds itself to the house rules, in each run."""

from __future__ import annotations

from typing import Any

import enforcement
import pod
import pulumi
import pytest
from rules import UNKNOWN

from ops import recorder
from tests.conftest import API_ONLY, Changed

CONTAINER = "spec.template.spec.containers[0]"


# A job, or another service, would break the same rules once more.
PODS_ONLY: dict[str, Any] = {**API_ONLY, "services.api.migration": None}


@pytest.fixture
def privileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody makes every pod privileged, and asks the registry at each start."""
    hardened = vars(pod)["_container"]

    def weakened(*args: Any) -> dict[str, Any]:
        container = hardened(*args)
        container["security_context"].privileged = True
        return {**container, "image_pull_policy": "Always"}

    monkeypatch.setattr("pod._container", weakened)


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the run warns of, and in which stack."""
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text: said.append(f"{pulumi.get_stack()}: {text}"))
    return said


@pytest.mark.feature("I4", part="the program itself, under mocks")
def test_a_run_that_breaks_rules_ends_with_all_of_them_in_one_message(privileged: None, changed: Changed):
    with pytest.raises(pulumi.RunError) as refused:
        changed("prod", PODS_ONLY)
    first, *findings = str(refused.value).splitlines()
    assert first == "2 house rules are broken in stack prod (docs/policies.md)."
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
    told = [text for text in warned if text.startswith("dev: SW")]
    assert len(told) == 2
    assert "imagePullPolicy is Always" in told[0]
    assert "privileged is true" in told[1]


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
    """The run is an update, with its cluster at hand; what the engine gets to make."""
    made: list[str] = []
    monitor = vars(recorder)["_Recorder"]
    register = monitor.RegisterResource

    def seen(self: Any, request: Any) -> Any:
        made.append(f"{request.type.rpartition(':')[2]}/{request.name}")
        return register(self, request)

    monkeypatch.setattr(monitor, "RegisterResource", seen)
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: False)
    monkeypatch.setattr("connection.check_context", lambda _: None)
    return made


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
    monkeypatch.setattr("scaling.disruption_budget", lambda _: None)
    with pytest.raises(pulumi.RunError, match=r"SW306 Deployment/api: .*none of the PodDisruptionBudgets fits"):
        changed("prod", {})
    assert "Deployment/api" in handed_over


def test_secrets_are_masked_before_a_rule_looks():
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": {"key": "hunter2"}}
    wire = {"data": secret, "later": {**secret, "value": UNKNOWN}, "port": 8080.0, "share": 0.5, "list": [1.0]}
    seen = {"data": {"key": "***"}, "later": UNKNOWN, "port": 8080, "share": 0.5, "list": [1]}
    assert enforcement.plain(wire) == seen

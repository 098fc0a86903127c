"""A change weakens security when a security rule held before and does not after, or when a guard is lifted."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from slipway.objects import Object
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import Change, Model, compare
from slipway.ops.changes.verdict import Class, Verdict
from slipway.rules.house_rules import RULES
from tests.faults import Fault, both, objects, put
from tests.rule_faults import CONTAINER, POD, RULE_FAULTS

SECURITY_FAULTS = [(rule, fault) for rule, fault in RULE_FAULTS if RULES[rule].security]


def test_what_was_once_seen_by_a_rule_and_missed_by_the_verdict_is_in_the_table():
    """The group 0, procMount, AppArmor, sysctls, the account `default`, a secret's mode 0444."""
    assert {"SW006", "SW011", "SW015", "SW125"} <= {rule for rule, _ in SECURITY_FAULTS}
    assert len({rule for rule, _ in SECURITY_FAULTS}) == 31


def model(found: list[Object]) -> Model:
    return {f"{obj['kind']}/{obj['metadata']['name']}": obj for obj in found}


def verdicts(fault: Fault, earlier: Fault = lambda _: None) -> list[Verdict]:
    """Return what a preview says of planting a fault, on top of an earlier one."""
    before = objects()
    earlier(before)
    after = copy.deepcopy(before)
    fault(after)
    return classify_all(compare(model(before), model(after)))


def weakened(found: list[Verdict]) -> list[str]:
    return [text for verdict in found for class_, text in verdict.reasons if class_ is Class.WEAKENS_SECURITY]


@pytest.mark.feature("K3", part="security rules and verdict agree")
@pytest.mark.parametrize(
    ("rule", "fault"), SECURITY_FAULTS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(SECURITY_FAULTS)]
)
def test_a_fault_that_a_security_rule_finds_weakens_security(rule: str, fault: Fault):
    texts = weakened(verdicts(fault))
    assert texts
    # What all objects break together is told of the object that has changed, in its own words.
    assert any(f"({rule}: " in text for text in texts) or not RULES[rule].single


def test_the_reason_names_the_container_the_value_and_the_rule():
    [text] = weakened(verdicts(put(f"{CONTAINER}.securityContext.procMount", "Unmasked")))
    assert text == (
        "containers[api].securityContext.procMount is Unmasked; take it out "
        "(SW011: Pod Security `restricted` refuses the pod)"
    )


def test_what_was_broken_before_weakens_nothing():
    privileged = put(f"{CONTAINER}.securityContext.privileged", True)
    assert weakened(verdicts(put(f"{POD}.priorityClassName", "high"), earlier=privileged)) == []


def test_containers_are_told_apart_by_their_names_not_by_their_order():
    sidecar = put(f"{CONTAINER[:-3]}[1]", {"name": "proxy", "securityContext": {"privileged": True}})

    def swapped(found: list[Object]) -> None:
        [deployment] = [o for o in found if (o["kind"], o["metadata"]["name"]) == ("Deployment", "api")]
        deployment["spec"]["template"]["spec"]["containers"].reverse()

    assert weakened(verdicts(swapped, earlier=sidecar)) == []


def test_hardening_weakens_nothing():
    weak = both(put(f"{POD}.hostNetwork", True), put(f"{POD}.securityContext.runAsUser", 0))
    before = objects()
    weak(before)
    assert weakened(classify_all(compare(model(before), model(objects())))) == []


BARE: dict[str, Any] = {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "api"}]}}}}


def test_of_a_new_object_only_what_it_asks_for_counts():
    assert classify_all([Change("Deployment/api", None, BARE)])[0].primary is Class.ADDS
    asks = copy.deepcopy(BARE)
    asks["spec"]["template"]["spec"]["hostNetwork"] = True
    [text] = weakened(classify_all([Change("Deployment/api", None, asks)]))
    assert text.startswith("hostNetwork is true; take it out (SW008: ")


ANNOTATIONS = "Deployment/api spec.template.metadata.annotations"


def test_a_secret_variable_that_the_stack_file_declares_still_weakens_security():
    variable = {"name": "B", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}
    declared = both(put(ANNOTATIONS, {"slipway/secret-variables": "B"}), put(f"{CONTAINER}.env[2]", variable))
    assert weakened(verdicts(declared)) == [
        "containers[api].env[B].valueFrom.secretKeyRef makes B a secret variable, as secretEnv allows "
        "(SW132: variables show in dumps, child processes and /proc)"
    ]


def test_a_probe_that_is_shared_by_name_is_said_beside_what_rolls_the_pods():
    shared = both(put(ANNOTATIONS, {"slipway/shared-probe": "true"}), put(f"{CONTAINER}.args", ["web"]))
    [deployment] = [verdict for verdict in verdicts(shared) if verdict.change.name == "Deployment/api"]
    assert deployment.primary is Class.ROLLS_PODS
    assert any("SW131: a pod that is only busy" in text for _, text in deployment.reasons)

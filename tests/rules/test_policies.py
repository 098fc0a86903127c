"""Every house rule, with what keeps it and what breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from slipway.objects import UNKNOWN, Object
from slipway.ops.program.recorder import stacks
from slipway.rules import api_server, house_rules, references, required
from slipway.rules.house_rules import RULES, Finding, check
from slipway.settings.stack_file import stack_tier
from slipway.settings.tiers import TierName
from tests.conftest import API_ONLY, Changed, Declare
from tests.faults import Fault, objects, put
from tests.rule_faults import CONTAINER, RULE_FAULTS, SCALER


@pytest.mark.feature("J3", part="house rules")
@pytest.mark.feature("N2")
@pytest.mark.parametrize("stack", stacks())
def test_each_environment_keeps_every_rule(program: Declare, stack: str):
    manifests = list(program(stack).manifests().values())
    assert len(manifests) > 10
    assert check(manifests, stack_tier(stack).name) == []


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize("external", [False, True])
def test_jobs_routes_connections_and_an_external_store_keep_every_rule(stack: TierName, external: bool):
    found = objects(stack, external=external)
    assert {"Job", "CronJob", "HTTPRoute", "ExternalSecret" if external else "Secret"} <= {o["kind"] for o in found}
    assert check(found, stack) == []


@pytest.mark.feature("I4", part="each rule finds what breaks it")
@pytest.mark.feature("C5", part="house rule")
@pytest.mark.parametrize(("rule", "fault"), RULE_FAULTS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(RULE_FAULTS)])
def test_a_fault_is_found_by_its_rule(rule: str, fault: Fault):
    found = objects()
    fault(found)
    reported = [finding.text for finding in check(found, "prod", rules=[RULES[rule]])]
    assert reported, f"nothing found; others: {[f.rule for f in check(found, 'prod')]}"
    assert "hunter2" not in "".join(reported)


def test_each_rule_has_a_fault_that_breaks_it():
    registered = [rule.id for rule in required.RULES]
    assert registered
    assert sorted({rule for rule, _ in RULE_FAULTS}) == sorted(registered)


def test_a_rule_has_an_id_of_its_own_and_says_what_it_is_for():
    assert len(RULES) == sum(len(package.RULES) for package in (required, references, api_server))
    assert [rule.id for rule in RULES.values() if not rule.title or not rule.reason] == []


def privileged(stack: str) -> list[Object]:
    found = objects(stack)
    put(f"{CONTAINER}.securityContext.privileged", True)(found)
    return found


@pytest.mark.feature("I4", part="advice in local and dev, mandatory elsewhere")
@pytest.mark.parametrize(
    ("tier", "level"), [("local", "advisory"), ("dev", "advisory"), ("staging", "mandatory"), ("prod", "mandatory")]
)
def test_a_finding_is_advice_in_local_and_dev_and_mandatory_everywhere_else(tier: TierName, level: str):
    [finding] = check(privileged("prod"), tier)
    assert finding.level == level
    assert (finding.rule, finding.object) == ("SW001", "Deployment/api")
    assert finding.path == "spec.template.spec.containers[0].securityContext.privileged"
    assert (
        finding.text == f"SW001 Deployment/api: {finding.path} is true; take it out (it could do anything on its node)"
    )


def test_one_pod_is_enough_where_findings_are_advice():
    found = objects()
    put(f"{SCALER}.minReplicas", 1)(found)
    assert check(found, "dev") == []
    assert [finding.rule for finding in check(found, "staging")] == ["SW302"]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every path in an object, from the outside in."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


def replaced(found: list[Object], number: int, at: tuple[Any, ...], value: Any) -> list[Object]:
    """Return the objects with another value at one path, sharing everything else."""

    def copied(part: Any, path: tuple[Any, ...]) -> Any:
        if not path:
            return value
        changed = part.copy()
        changed[path[0]] = copied(part[path[0]], path[1:])
        return changed

    return [copied(o, at) if index == number else o for index, o in enumerate(found)]


def test_a_value_that_only_the_update_computes_breaks_no_rule(changed: Changed):
    found = list(changed("prod", API_ONLY).manifests().values())
    texts = [
        (number, at)
        for number, o in enumerate(found)
        for at in places(o)
        if at[-1] not in ("kind", "apiVersion") and isinstance(value_at(o, at), str)
    ]
    assert len(texts) > 200
    reported = [
        finding.text for number, at in texts for finding in check_one(replaced(found, number, at, UNKNOWN), number)
    ]
    assert reported == []


def check_one(found: list[Any], number: int) -> list[Finding]:
    """Return what a change of this object breaks: rules about single objects need no other one."""
    alone = [rule for rule in RULES.values() if rule.single]
    together = [rule for rule in RULES.values() if not rule.single]
    return check([found[number]], "prod", rules=alone) + check(found, "prod", rules=together)


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def test_no_object_is_so_broken_that_it_cannot_be_checked(changed: Changed):
    found = list(changed("dev", API_ONLY).manifests().values())
    everywhere = [(number, at) for number, o in enumerate(found) for at in places(o)]
    nonsense = itertools.cycle([None, "text", 7, [], {}, [None], {"a": 1}])
    # Each third place: all of them would take longer than all other tests.
    broken = [check_one(replaced(found, number, at, next(nonsense)), number) for number, at in everywhere[::3]]
    assert sum(map(bool, broken)) > 100


@dataclass(frozen=True)
class Waiver:
    rule: str = "SW001"
    object: str | None = None
    reason: str = "the vendor's agent needs it, ticket 1234"
    until: date = date(2030, 1, 31)


@pytest.mark.parametrize("today", [date(2030, 1, 1), date(2030, 1, 31)])
@pytest.mark.parametrize("waived", [None, "Deployment/api"])
def test_a_waived_rule_is_not_reported_until_its_last_day_is_over(today: date, waived: str | None):
    assert check(privileged("prod"), "prod", [Waiver(object=waived)], today) == []


def test_a_waiver_holds_for_its_object_and_rule_only():
    waivers = [Waiver(object="Deployment/web"), Waiver(rule="SW002")]
    assert [finding.rule for finding in check(privileged("prod"), "prod", waivers)] == ["SW001"]


def test_an_expired_waiver_is_reported_and_the_rule_holds_again():
    findings = check(privileged("prod"), "prod", [Waiver()], today=date(2030, 2, 1))
    assert [finding.rule for finding in findings] == ["SW001", "SW903"]
    assert "slipway:waivers[0]: until was 2030-01-31" in findings[1].text


@pytest.mark.parametrize(
    ("waiver", "rule", "words"),
    [
        (Waiver(rule="SW999"), "SW901", "rule is SW999; there is no such rule"),
        (Waiver(reason=" "), "SW902", "reason is empty"),
    ],
)
def test_a_waiver_names_a_rule_and_a_reason(waiver: Waiver, rule: str, words: str):
    [finding] = check(objects(), "prod", [waiver], date(2030, 1, 1))
    assert (finding.rule, finding.level) == (rule, "mandatory")
    assert words in finding.text


def test_a_waiver_of_the_stack_file_reaches_the_rules(changed: Changed):
    waiver = {"rule": "SW302", "reason": "one pod is enough for a week", "until": "2999-12-31"}
    one_pod = {"services.api.autoscaling.min": 1}
    program = changed("staging", {**one_pod, "waivers": [waiver]})
    assert program.manifests()["HorizontalPodAutoscaler", "api"]["spec"]["minReplicas"] == 1


def test_the_table_of_rules_is_up_to_date():
    document = Path(__file__).parents[2] / "docs" / "reference" / "policies.md"
    assert document.read_text() == house_rules.document(), "run `./slipway policies --write`"

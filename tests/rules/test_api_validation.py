"""What the API server would refuse is refused before anything changes, in every environment, once for each cause."""

from __future__ import annotations

from datetime import date

import pulumi
import pytest

from slipway.ops.changes import stack_models
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import compare
from slipway.ops.changes.preview import preview_of
from slipway.ops.changes.verdict import Class
from slipway.ops.program.recorder import declare, stacks
from slipway.rules import api_server, house_rules
from slipway.settings.sections.stack import Waiver
from slipway.settings.stack_file import stack_tier
from tests.api_faults import ACCEPTED, REFUSED, REFUSED_LATER, planted
from tests.conftest import Changed, Declare, with_changes
from tests.edges import cases
from tests.faults import Fault, objects

ALL = [*REFUSED, *REFUSED_LATER]


@pytest.mark.parametrize(("rule", "fault"), ALL, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(ALL)])
def test_what_the_api_server_refuses_ends_the_run_in_dev_too(rule: str, fault: Fault):
    found = house_rules.check(planted(fault, objects()), "dev", rules=api_server.RULES)
    assert rule in {finding.rule for finding in found}
    assert {finding.level for finding in found} == {"mandatory"}


@pytest.mark.parametrize("fault", [fault for _, fault in ACCEPTED], ids=[words for words, _ in ACCEPTED])
def test_what_the_api_server_takes_is_no_fault(fault: Fault):
    assert house_rules.check(planted(fault, objects()), "dev", rules=api_server.RULES) == []


def test_every_rule_is_broken_by_some_fault():
    assert {rule for rule, _ in ALL} == {rule.id for rule in api_server.RULES}


@pytest.mark.parametrize("stack", stacks())
def test_no_stack_declares_what_the_api_server_refuses(program: Declare, stack: str):
    assert (
        house_rules.check(list(program(stack).manifests().values()), stack_tier(stack).name, rules=api_server.RULES)
        == []
    )


def test_no_waiver_lets_pass_what_the_api_server_refuses():
    """A waiver would only move the failure from the preview into the middle of an update."""
    values = {"rule": "SA031", "reason": "the port is given twice", "until": "2099-01-01"}
    with pytest.raises(ValueError, match="the id of a rule such as SW012"):
        Waiver.model_validate(values)
    lets_all_pass = Waiver.model_construct(rule="SA031", reason=values["reason"], until=date(2099, 1, 1), object=None)
    faulty = planted(dict(REFUSED)["SA031"], objects())
    assert house_rules.check(faulty, "dev", [lets_all_pass], rules=api_server.RULES)


def test_one_cause_in_many_objects_is_told_once():
    found = objects()
    for one in found:
        one["metadata"]["labels"] = {**one["metadata"]["labels"], "app.kubernetes.io/instance": "a" * 64}
    [line] = house_rules.grouped(house_rules.check(found, "dev", rules=api_server.RULES))
    assert line.startswith("SA003 ")
    named = line.partition("; the same in ")[2].split(", ")
    assert len(named) == 6
    assert named[-1] == f"{len(found) - 6} more objects"


def test_settings_at_their_edges_are_refused_in_words_or_declare_what_the_api_server_takes():
    """No case ends in a rule about objects: that would be a mistake of the stack file told in words of the program."""
    refused = 0
    for changes in cases(combined=0):
        try:
            declare("dev", with_changes("dev", changes))
        except pulumi.RunError as error:
            assert "nothing was changed" in str(error), changes
            assert " SA" not in str(error), changes
            refused += 1
    assert 10 < refused < len(cases(combined=0)) / 2


# --- what cannot be changed ---


def test_a_claim_that_shrinks_is_refused_in_every_environment_and_by_no_option_let_pass(changed: Changed):
    """Volumes only grow: the API server refuses the claim, after other objects have changed."""
    before, after = (stack_models.of_program(changed("dev", {"mysql.storage": size})) for size in ("5Gi", "1Gi"))
    changes = compare(before, after)
    [verdict] = [
        verdict for verdict in classify_all(changes) if verdict.change.name == "PersistentVolumeClaim/mysql-data"
    ]
    assert verdict.primary is Class.REFUSED
    assert "spec.resources.requests.storage: 5Gi -> 1Gi" in verdict.reasons[0][1]
    for stack in stacks():
        preview = preview_of(stack, "revision main", changes, frozenset(Class))
        assert [barred.change.name for barred, _ in preview.forbidden] == ["PersistentVolumeClaim/mysql-data"]


@pytest.mark.parametrize(("before", "after"), [("1Gi", "5Gi"), ("1Gi", "1024Mi"), ("1024Mi", "2Gi")])
def test_a_claim_that_grows_or_stays_is_not_refused(changed: Changed, before: str, after: str):
    sides = [stack_models.of_program(changed("dev", {"mysql.storage": size})) for size in (before, after)]
    verdicts = {verdict.change.name: verdict.classes for verdict in classify_all(compare(*sides))}
    assert Class.REFUSED not in verdicts["PersistentVolumeClaim/mysql-data"]

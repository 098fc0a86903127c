"""Runs the house rules on the objects of a stack, in each run of the program.

Whether a finding is advice or ends the run depends on the stack's tier. The stack file can waive a rule, with a reason
and a last day (`slipway:waivers`). What the API server would refuse (SA...) ends the run everywhere, and cannot be
waived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

from slipway.objects import UNKNOWN, Object
from slipway.rules import api_server, references, required
from slipway.rules.parts import Part
from slipway.rules.rule import Rule
from slipway.rules.stack import Stack, Variables
from slipway.settings.tiers import TIERS, TierName

Level = Literal["advisory", "mandatory"]

RULES: dict[str, Rule] = {rule.id: rule for rule in (*api_server.RULES, *required.RULES, *references.RULES)}

# Ids of vulnerabilities, which the same list waives, begin with this (ops/supply_chain/waivers.py).
VULNERABILITY = "GO-"


class Waiver(Protocol):
    """One entry of `slipway:waivers`: a rule that need not hold until a day."""

    @property
    def rule(self) -> str:
        """Id of the rule."""
        ...

    @property
    def object(self) -> str | None:
        """`Kind/name` of the object; None for all of them."""
        ...

    @property
    def reason(self) -> str:
        """Why."""
        ...

    @property
    def until(self) -> date:
        """Last day on which it holds."""
        ...


@dataclass(frozen=True, order=True)
class Finding:
    """One rule broken at one place."""

    object: str
    """`Deployment/api`."""
    path: str
    """Where in the object."""
    rule: str
    """Id of the rule."""
    level: Level
    """Whether this ends the run."""
    message: str
    """What is wrong, and what to do."""

    @property
    def text(self) -> str:
        """The finding in one line: rule, place, problem and reason."""
        why = f" ({RULES[self.rule].reason})" if self.rule in RULES else ""
        return f"{self.rule} {self.object}: {self.path} {self.message}{why}"


def check(
    objects: Sequence[Object],
    tier: TierName,
    waivers: Sequence[Waiver] = (),
    today: date | None = None,
    rules: Iterable[Rule] | None = None,
    *,
    variables: Variables | None = None,
) -> list[Finding]:
    """Return what is wrong with the objects of a stack, without what is waived today.

    `rules`: check only those. `variables`: those that apps state they read.
    """
    stack, level = Stack(objects, variables), level_in(tier)
    checked = RULES.values() if rules is None else rules
    today = today or date.today()
    valid = [waiver for waiver in waivers if waiver.until >= today]
    findings = {
        Finding(label(violation.object), violation.path, rule.id, level_in(tier, rule), violation.message)
        for rule in checked
        if level == "mandatory" or not rule.only_mandatory
        for violation in rule.find(stack)
    }
    waivable = {rule.id for rule in RULES.values() if not rule.always}
    kept = [
        finding
        for finding in findings
        if finding.rule not in waivable or not any(_waives(waiver, finding) for waiver in valid)
    ]
    return sorted([*kept, *(_stale_waivers(waivers, level, today) if rules is None else ())])


def level_in(tier: TierName, rule: Rule | None = None) -> Level:
    """Return the level of findings in a tier, of this rule or of rules in general."""
    if rule and (rule.always or rule.advice):
        return "mandatory" if rule.always else "advisory"
    return TIERS[tier].rules


NAMED_OBJECTS = 5
"""How many objects a grouped line names besides the first."""


def grouped(findings: Iterable[Finding]) -> list[str]:
    """Return one line for findings that say the same of several objects."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.message), []).append(finding)
    return [_line(*group) for group in groups.values()]


def _line(first: Finding, *others: Finding) -> str:
    names = list(dict.fromkeys(finding.object for finding in others if finding.object != first.object))
    if len(names) > NAMED_OBJECTS:
        names = [*names[:NAMED_OBJECTS], f"{len(names) - NAMED_OBJECTS} more objects"]
    return f"{first.text}; the same in {', '.join(names)}" if names else first.text


def label(obj: Object) -> str:
    """Return kind and name: `Deployment/api`."""
    name = Part(obj, "", obj).name
    return f"{obj.get('kind')}/{'(named by the update)' if name == UNKNOWN else name}"


def _waives(waiver: Waiver, finding: Finding) -> bool:
    return waiver.rule == finding.rule and waiver.object in (None, finding.object)


def _stale_waivers(waivers: Sequence[Waiver], level: Level, today: date) -> Iterator[Finding]:
    """Yield what is wrong with waivers: each has to name a rule, give a reason and end."""
    for index, waiver in enumerate(waivers):
        at = f"slipway:waivers[{index}]"
        if waiver.rule not in RULES and not waiver.rule.startswith(VULNERABILITY):
            yield Finding(at, "rule", "SW901", level, f"is {waiver.rule}; there is no such rule")
        if not waiver.reason.strip():
            yield Finding(at, "reason", "SW902", level, "is empty; say why the rule need not hold")
        if waiver.until < today:
            yield Finding(at, "until", "SW903", level, f"was {waiver.until}; keep the rule, or decide again")


_HEAD = """<!-- Written by `./slipway policies --write`. -->
# House rules

What holds for every object of every stack. Each run of the program checks it, and so does
`pulumi preview --policy-pack policy`, from outside. A rule is waived by an entry of `slipway:waivers`,
unless it is about what the API server would refuse (SA...).
"""


def _advice(rule: Rule) -> str:
    return "-" if rule.only_mandatory else "mandatory" if rule.always else "advisory"


def document() -> str:
    """Return docs/reference/policies.md: all rules as Markdown."""
    advised = ", ".join(name for name, tier in TIERS.items() if tier.rules == "advisory")
    rows = [
        f"| {rule.id} | {rule.title} | {rule.reason} | {_advice(rule)} | {'advisory' if rule.advice else 'mandatory'} |"
        for rule in RULES.values()
    ]
    table = [f"| id | what holds | or else | {advised} | elsewhere |", "|---|---|---|---|---|", *rows]
    return "\n".join([_HEAD, *table]) + "\n"

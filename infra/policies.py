"""House rules: what holds for every object of every stack, in each run of the program.

`check` holds the objects of a stack against all rules. In local and dev a finding is advice; everywhere else it ends
the run. A rule can be waived in the stack file, for a reason and until a day (`slipway:waivers`). What the API server
would refuse (api_validation.py, SA...) ends the run everywhere, and cannot be waived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

import api_validation
import connections
import pod_rules
import references
import stack_rules
from rules import UNKNOWN, Object, Part, Rule, Stack

Level = Literal["advisory", "mandatory"]
ADVISED = ("local", "dev")
"""Environments in which a finding is advice only."""

RULES: dict[str, Rule] = {
    rule.id: rule
    for module in (api_validation, pod_rules, stack_rules, connections, references)
    for rule in module.RULES
}


class Waiver(Protocol):
    """A rule that need not hold for a while; one entry of `slipway:waivers`."""

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
    """What was found, and what to do."""

    @property
    def told(self) -> str:
        """One line: which rule, where, what, and what it is for."""
        why = f" ({RULES[self.rule].reason})" if self.rule in RULES else ""
        return f"{self.rule} {self.object}: {self.path} {self.message}{why}"


def check(
    objects: Sequence[Object],
    environment: str,
    waivers: Sequence[Waiver] = (),
    today: date | None = None,
    rules: Iterable[Rule] | None = None,
) -> list[Finding]:
    """Every rule the objects of one stack break, but for those waived today. `rules`: those only, not all."""
    stack, level = Stack(objects), level_in(environment)
    judging = RULES.values() if rules is None else rules
    today = today or date.today()
    valid = [waiver for waiver in waivers if waiver.until >= today]
    found = {
        Finding(label(problem.object), problem.path, rule.id, level_in(environment, rule), problem.message)
        for rule in judging
        if level == "mandatory" or not rule.guarded
        for problem in rule.find(stack)
    }
    waivable = {rule.id for rule in RULES.values() if not rule.always}
    kept = [
        finding
        for finding in found
        if finding.rule not in waivable or not any(_waives(waiver, finding) for waiver in valid)
    ]
    return sorted([*kept, *(_stale_waivers(waivers, level, today) if rules is None else ())])


def level_in(environment: str, rule: Rule | None = None) -> Level:
    """Return how much a finding weighs there, of this rule or of most."""
    return "advisory" if environment in ADVISED and not (rule and rule.always) else "mandatory"


NAMED_OBJECTS = 5
"""Objects that a line about one cause names besides the first."""


def grouped(findings: Iterable[Finding]) -> list[str]:
    """Return one line for each cause, with the names of the objects it is found in."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.message), []).append(finding)
    return [_line(*group) for group in groups.values()]


def _line(first: Finding, *others: Finding) -> str:
    names = list(dict.fromkeys(finding.object for finding in others if finding.object != first.object))
    if len(names) > NAMED_OBJECTS:
        names = [*names[:NAMED_OBJECTS], f"{len(names) - NAMED_OBJECTS} more objects"]
    return f"{first.told}; the same in {', '.join(names)}" if names else first.told


def label(found: Object) -> str:
    """`Deployment/api`."""
    name = Part(found, "", found).name
    return f"{found.get('kind')}/{'(named by the update)' if name == UNKNOWN else name}"


def _waives(waiver: Waiver, finding: Finding) -> bool:
    return waiver.rule == finding.rule and waiver.object in (None, finding.object)


def _stale_waivers(waivers: Sequence[Waiver], level: Level, today: date) -> Iterator[Finding]:
    """A waiver has to name a rule, give a reason and end."""
    for index, waiver in enumerate(waivers):
        at = f"slipway:waivers[{index}]"
        if waiver.rule not in RULES:
            yield Finding(at, "rule", "SW901", level, f"is {waiver.rule}; there is no such rule")
        if not waiver.reason.strip():
            yield Finding(at, "reason", "SW902", level, "is empty; say why the rule need not hold")
        if waiver.until < today:
            yield Finding(at, "until", "SW903", level, f"was {waiver.until}; keep the rule, or decide anew")


def _advice(rule: Rule) -> str:
    return "-" if rule.guarded else "mandatory" if rule.always else "advisory"


def document() -> str:
    """docs/policies.md: all rules as Markdown."""
    advised = ", ".join(ADVISED)
    lines = [
        "<!-- Written by `./slipway policies --write`. -->",
        "# House rules",
        "",
        "What holds for every object of every stack. Each run of the program looks (infra/enforcement.py), and so does",
        "`pulumi preview --policy-pack policy`, from outside. A rule is waived by an entry of `slipway:waivers`,",
        "unless it is about what the API server would refuse (SA...).",
        "",
        f"| id | what holds | or else | {advised} | elsewhere |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {rule.id} | {rule.title} | {rule.reason} | {_advice(rule)} | mandatory |" for rule in RULES.values()]
    return "\n".join(lines) + "\n"

"""Checks the house rules in each run of the program: there is no flag to forget, and nothing to call at its end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import pulumi

from slipway import engine
from slipway.objects import Object
from slipway.rules.house_rules import RULES, Finding, Waiver, check, grouped
from slipway.rules.stack import Variables
from slipway.settings.tiers import TierName

SINGLE = [rule for rule in RULES.values() if rule.single]

Report = Callable[[list[Finding]], None]
_report: ContextVar[Report | None] = ContextVar("report", default=None)


@contextmanager
def reported(report: Report) -> Generator[None]:
    """Hand over what a run of the program finds, so that nobody has to check its objects again."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def watch(
    tier: TierName, waivers: Sequence[Waiver], *, variables: Variables | None = None, refuses: bool = True
) -> None:
    """Observe each Kubernetes object as the engine gets it, and check them all when the program ends.

    A preview, and with it `pulumi up`, then fails with one `pulumi.RunError` that lists every mandatory finding, before
    anything has changed. An update checks again with the values that no preview knows: an object that breaks a rule by
    itself does not get to the engine. With `pulumi up --skip-preview`, rules about all objects together are checked
    only after the update. With `refuses=False` every finding is a warning.
    `variables`: those that apps state they read.
    """
    stack, updates = pulumi.get_stack(), not pulumi.runtime.is_dry_run()
    declared: list[Object] = []

    def registering(type_: str, inputs: Object) -> None:
        if type_.startswith("kubernetes:"):
            declared.append(inputs)
            if updates and refuses:
                _refuse(stack, check([inputs], tier, waivers, rules=SINGLE))

    def ending() -> None:
        findings = check(declared, tier, waivers, variables=variables)
        if report := _report.get():
            report(findings)
        if refuses:
            _refuse(stack, findings)
        for line in grouped(findings):
            pulumi.log.warn(line)

    engine.observe(registering=registering, ending=ending)


def _refuse(stack: str, findings: Sequence[Finding]) -> None:
    lines = [f"  {line}" for line in grouped(finding for finding in findings if finding.level == "mandatory")]
    if lines:
        broken = "1 house rule is" if len(lines) == 1 else f"{len(lines)} house rules are"
        raise pulumi.RunError("\n".join([f"{broken} broken in stack {stack} (docs/reference/policies.md).", *lines]))

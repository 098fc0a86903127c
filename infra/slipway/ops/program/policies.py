"""`./slipway policies`: the house rules, and what a stack declares against them."""

from __future__ import annotations

from slipway.ops.program.recorder import Program
from slipway.project import ROOT
from slipway.rules import house_rules

DOCUMENT = ROOT / "docs" / "reference" / "policies.md"


def findings(program: Program) -> list[house_rules.Finding]:
    """Return the advisory rules that a recorded stack breaks, without those it waives.

    A broken mandatory rule has ended the recording before.
    """
    if program.findings is not None:
        return program.findings
    from slipway.ops.program import config  # noqa: PLC0415 - for programs that do not check their objects

    settings = config.settings(program.stack)
    declared, variables = list(program.manifests().values()), settings.stated_variables()
    return house_rules.check(declared, settings.tier, settings.waivers, variables=variables)

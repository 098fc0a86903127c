"""`./slipway policies`: the house rules, and what a stack declares against them."""

from __future__ import annotations

import policies

from ops import config
from ops.recorder import ROOT, Program

DOCUMENT = ROOT / "docs" / "policies.md"


def findings(program: Program) -> list[policies.Finding]:
    """The rules a recorded stack breaks, without those it waives; mandatory ones have ended the recording before."""
    waivers = config.settings(program.stack).waivers
    return policies.check(list(program.manifests().values()), program.stack, waivers)

"""Vulnerabilities that a stack accepts until a day: entries of `slipway:waivers` whose rule is their id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from slipway.ops.supply_chain.govulncheck import Vulnerability
from slipway.settings.sections.stack import Waiver


@dataclass
class Verdict:
    """What is to be said of the vulnerabilities of an image, one line for each."""

    refused: list[str] = field(default_factory=list[str])
    waived: list[str] = field(default_factory=list[str])


def verdict_on(
    image: str, found: Sequence[Vulnerability], waivers: Sequence[Waiver], today: date | None = None
) -> Verdict:
    """Return which vulnerabilities of an image of this name are refused, and which are waived today."""
    verdict, today = Verdict(), today or date.today()
    for vulnerability in found:
        fitting = [waiver for waiver in waivers if _covers(waiver, vulnerability, image)]
        last = max(fitting, key=lambda waiver: waiver.until, default=None)
        if last is None:
            verdict.refused.append(vulnerability.text)
        elif last.until < today:
            verdict.refused.append(f"{vulnerability.text} (its waiver ended on {last.until})")
        else:
            verdict.waived.append(f"{vulnerability.text} (waived until {last.until}: {last.reason})")
    return verdict


def _covers(waiver: Waiver, vulnerability: Vulnerability, image: str) -> bool:
    return waiver.rule == vulnerability.id and waiver.object in (None, f"Image/{image}")

"""The house rules as a CrossGuard pack: `pulumi preview -s prod --policy-pack policy`.

The program checks the same rules itself (infra/slipway/rules/enforcement.py). The pack does so from outside, for those
who do not want to rely on the program.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import get_args

# The package `slipway` is not installed: the engine runs the program inside infra/.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "infra"))

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.deserialize import serialize_properties

from slipway.engine import plain
from slipway.objects import SECRET, Object
from slipway.project import ROOT
from slipway.rules import house_rules
from slipway.rules.rule import Rule
from slipway.settings.layers import effective
from slipway.settings.sections.stack import Waiver
from slipway.settings.source_files import read_files
from slipway.settings.stack_file import stack_tier
from slipway.settings.tiers import TierName

# The declared inputs by URN. A stack validation sees the outputs instead, with what the cluster has added.
declared: dict[str, Object] = {}


def remember(args: ResourceValidationArgs, _: ReportViolation) -> None:
    """Keep an object for the rules, without secrets: the engine hands them to policies in clear."""
    if args.resource_type.startswith("kubernetes:"):
        obj = declared[args.urn] = plain(serialize_properties(args.props))
        for key in ("data", "stringData") if obj.get("kind") == "Secret" else ():
            obj[key] = dict.fromkeys(obj.get(key) or (), SECRET)


def policy(rule: Rule, level: house_rules.Level) -> Policy:
    """Return a rule as a CrossGuard policy. One about a single object is checked before that object is changed."""

    def single(args: ResourceValidationArgs, report: ReportViolation) -> None:
        check(rule, level, [args.urn], report)

    def together(args: StackValidationArgs, report: ReportViolation) -> None:
        check(rule, level, [resource.urn for resource in args.resources], report)

    name, text = f"{rule.id}-{level}", f"{rule.title}: {rule.reason}."
    if rule.single:
        return ResourceValidationPolicy(name, text, single, EnforcementLevel(level))
    return StackValidationPolicy(name, text, together, EnforcementLevel(level))


def check(rule: Rule, level: house_rules.Level, urns: list[str], report: ReportViolation) -> None:
    """Report where objects break a rule, if the stack's level is this one.

    A pack declares its levels before it knows the stack, so there are two policies for each rule, one for each level.
    """
    stack = urns[0].split("::")[0].removeprefix("urn:pulumi:")
    objects = [declared[urn] for urn in urns if urn in declared]
    if objects and level == house_rules.level_in(tier(stack), rule):
        findings = house_rules.check(objects, tier(stack), waivers(stack), rules=[rule], variables=variables(stack))
        for finding in findings:
            report(f"{finding.object}: {finding.path} {finding.message}", None)


@functools.cache
def tier(stack: str) -> TierName:
    """Return the tier of a stack."""
    return stack_tier(stack).name


@functools.cache
def waivers(stack: str) -> list[Waiver]:
    """Return the waivers of a stack. The program itself checks that they are well-formed."""
    own, shared = read_files(stack)
    given = effective(own.settings, shared.settings).plain().get("waivers") or []
    return [Waiver.model_validate(waiver) for waiver in given]


@functools.cache
def variables(stack: str) -> dict[str, frozenset[str]]:
    """Return the variables that apps state they read, by service. The program itself checks that the files exist."""
    own, shared = read_files(stack)
    services = effective(own.settings, shared.settings).plain().get("services") or {}
    stated = {name: ROOT / service["variables"] for name, service in services.items() if service.get("variables")}
    return {name: frozenset(file.read_text().split()) for name, file in stated.items() if file.is_file()}


PolicyPack(
    "slipway",
    [
        ResourceValidationPolicy("objects", "Keeps what the program declares.", remember),
        *(policy(rule, level) for rule in house_rules.RULES.values() for level in get_args(house_rules.Level)),
    ],
)

"""The house rules as a CrossGuard pack: `pulumi preview -s prod --policy-pack policy`.

The program holds itself to the same rules (infra/enforcement.py). The pack does so from outside: who uses it need not
trust the program to look.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import get_args

# The program's modules import each other by bare name, since the engine runs it inside infra/.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "infra"))

import policies
from enforcement import plain
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
from rules import SECRET, Object, Rule
from settings import Waiver
from stack_file import effective, read_files

# What the program asks for, by URN. A stack validation would see what the cluster made of it.
asked: dict[str, Object] = {}


def remember(args: ResourceValidationArgs, _: ReportViolation) -> None:
    """Keep an object for the rules; policies are shown secrets in clear."""
    if args.resource_type.startswith("kubernetes:"):
        found = asked[args.urn] = plain(serialize_properties(args.props))
        for key in ("data", "stringData") if found.get("kind") == "Secret" else ():
            found[key] = dict.fromkeys(found.get(key) or (), SECRET)


def policy(rule: Rule, level: policies.Level) -> Policy:
    """A rule as CrossGuard knows it. One about a single object holds before that object is changed.

    A pack has to tell its levels before it gets to know the stack, so each rule is there twice, once for each level,
    and only the one that fits the stack reports.
    """

    def one(args: ResourceValidationArgs, report: ReportViolation) -> None:
        tell([args.urn], report)

    def together(args: StackValidationArgs, report: ReportViolation) -> None:
        tell([resource.urn for resource in args.resources], report)

    def tell(urns: list[str], report: ReportViolation) -> None:
        stack = urns[0].split("::")[0].removeprefix("urn:pulumi:")
        objects = [asked[urn] for urn in urns if urn in asked]
        if objects and level == policies.level_in(stack, rule):
            for finding in policies.check(objects, stack, waivers(stack), rules=[rule]):
                report(f"{finding.object}: {finding.path} {finding.message}", None)

    name, words = f"{rule.id}-{level}", f"{rule.title}: {rule.reason}."
    if rule.alone:
        return ResourceValidationPolicy(name, words, one, EnforcementLevel(level))
    return StackValidationPolicy(name, words, together, EnforcementLevel(level))


@functools.cache
def waivers(stack: str) -> list[Waiver]:
    """The waivers of a stack. That they are well-formed the program itself sees to."""
    own, shared = read_files(stack)
    given = effective(own.settings, shared.settings).plain().get("waivers") or []
    return [Waiver.model_validate(waiver) for waiver in given]


PolicyPack(
    "slipway",
    [
        ResourceValidationPolicy("objects", "Keeps what the program asks for.", remember),
        *(policy(rule, level) for rule in policies.RULES.values() for level in get_args(policies.Level)),
    ],
)

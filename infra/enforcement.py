"""House rules hold in each run of the program: there is no flag to forget, and nothing to call at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import monitor
import pulumi
from google.protobuf.json_format import MessageToDict
from policies import RULES, Finding, Waiver, check, grouped
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key  # pyright: ignore[reportPrivateUsage]
from rules import SECRET, UNKNOWN, Object

ALONE = [rule for rule in RULES.values() if rule.alone]


def watch(waivers: Sequence[Waiver], *, refuses: bool = True) -> None:
    """From here on, see each Kubernetes object as the engine gets it, and judge them all when the program is through.

    A preview, and with it `pulumi up`, then fails with one `pulumi.RunError` that tells every mandatory finding, and
    nothing has been changed. An update looks once more, at values no preview knows: an object that breaks a rule by
    itself does not get to the engine. What shows only in all objects together, `pulumi up --skip-preview` tells late.
    With `refuses=False` every finding is a warning.
    """
    stack, updates = pulumi.get_stack(), not pulumi.runtime.is_dry_run()
    declared: list[Object] = []

    def registering(request: Any) -> None:
        if request.type.startswith("kubernetes:"):
            found = plain(MessageToDict(request.object))
            declared.append(found)
            if updates and refuses:
                _refuse(stack, check([found], stack, waivers, rules=ALONE))

    def ending() -> None:
        findings = check(declared, stack, waivers)
        if refuses:
            _refuse(stack, findings)
        for line in grouped(findings):
            pulumi.log.warn(line)

    monitor.observe(registering=registering, ending=ending)


def _refuse(stack: str, findings: Sequence[Finding]) -> None:
    lines = [f"  {line}" for line in grouped(finding for finding in findings if finding.level == "mandatory")]
    if lines:
        broken = "1 house rule is" if len(lines) == 1 else f"{len(lines)} house rules are"
        raise pulumi.RunError("\n".join([f"{broken} broken in stack {stack} (docs/policies.md).", *lines]))


def plain(value: Any, at: str = "", secrets: set[str] | None = None) -> Any:
    """Values as the engine gets them: secrets as `***`, whole numbers as integers (the wire knows floats only).

    Where the secrets are, as dotted paths from `at` on, is added to `secrets`.
    """
    if isinstance(value, dict):
        if value.get(_special_sig_key) == _special_secret_sig:
            if secrets is not None:
                secrets.add(at)
            return _masked(value["value"])
        return {key: plain(item, f"{at}.{key}".lstrip("."), secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, f"{at}.{index}", secrets) for index, item in enumerate(value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _masked(value: Any) -> Any:
    """The shape of a secret, without its content."""
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return UNKNOWN if value == UNKNOWN else SECRET

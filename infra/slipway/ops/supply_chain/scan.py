"""`./slipway scan`: stop a deployment whose Go programs reach known vulnerabilities.

Findings go to stdout, one line each. What was not scanned is said on stderr for every image: nothing passes in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from slipway.image.source import folder_of_context
from slipway.ops.program.config import settings
from slipway.ops.supply_chain import waivers
from slipway.ops.supply_chain.govulncheck import Vulnerability, reachable
from slipway.ops.supply_chain.images import of_others
from slipway.ops.supply_chain.vulnerability_database import Database, database
from slipway.settings.sections.images import Image
from slipway.settings.sections.stack import Waiver


def command(stacks: Sequence[str], *, newest: bool) -> int:
    """Scan the images of stacks. Return 1 if one reaches a vulnerability that the stack file does not waive."""
    read = {stack: settings(stack) for stack in stacks}  # before anything takes time
    scanner, refused = Scanner(newest=newest), 0
    for stack, stack_settings in read.items():
        for name, image in stack_settings.images.items():
            if reason := why_not(image):
                _say(f"{stack}: image {name} is not scanned: {reason}")
            else:
                refused += _report(stack, name, scanner.vulnerabilities_of(image), stack_settings.waivers)
        for place, reference in of_others(stack_settings).items():
            _say(f"{stack}: {place} is not scanned: {reference} is an image of others")
    if scanner.database:
        _say(f"vulnerability database {scanner.database.version}, of {scanner.database.day}")
    return 1 if refused else 0


class Scanner:
    """Scans each source once, however many stacks build it."""

    def __init__(self, *, newest: bool) -> None:
        self._newest = newest
        self._found: dict[str, list[Vulnerability]] = {}
        self.database: Database | None = None
        """The database in use; None before the first scan."""

    def vulnerabilities_of(self, image: Image) -> list[Vulnerability]:
        """Return the vulnerabilities that the program of an image reaches."""
        self.database = self.database or database(newest=self._newest)
        key = image.model_dump_json(include={"context", "package", "builder", "target", "platform", "platforms"})
        if key not in self._found:
            self._found[key] = reachable(folder_of_context(image), image, self.database)
        return self._found[key]


def why_not(image: Image) -> str:
    """Return why the sources of an image cannot be scanned; empty if they can."""
    if image.source == "promote":
        return f"it is promoted from {image.from_}, where it was scanned"
    if image.source == "prebuilt":
        return "its sources are not in this project (source: prebuilt)"
    if not (Path(folder_of_context(image)) / "go.mod").is_file():
        return f"{image.context}/ has no go.mod, and only Go programs are scanned"
    return ""


def _report(stack: str, name: str, found: Sequence[Vulnerability], given: Sequence[Waiver]) -> int:
    """Report the vulnerabilities of an image. Return how many are refused."""
    verdict = waivers.verdict_on(name, found, given)
    for line in verdict.refused:
        typer.echo(f"{stack}: image {name}: {line}")
    for line in verdict.waived:
        _say(f"{stack}: image {name}: {line}")
    if verdict.refused:
        update = "update the module, or the `toolchain` of go.mod where it is stdlib"
        _say(f"{stack}: image {name} is refused; {update}, or waive the id in slipway:waivers until a day")
    elif not verdict.waived:
        _say(f"{stack}: image {name} reaches no known vulnerability")
    return len(verdict.refused)


def _say(line: str) -> None:
    typer.echo(line, err=True)

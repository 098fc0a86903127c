"""`./slipway scan`: stop a deployment whose Go programs reach known vulnerabilities.

Findings go to stdout, one line each. What was not scanned is said on stderr for every image: nothing passes in silence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from slipway.image.source import folder_of_context
from slipway.ops.program.config import settings
from slipway.ops.supply_chain import waivers
from slipway.ops.supply_chain.govulncheck import Vulnerability, reachable
from slipway.ops.supply_chain.images import of_others
from slipway.ops.supply_chain.vulnerability_database import Database, database
from slipway.ops.supply_chain.waivers import Verdict
from slipway.settings.sections.images import Image
from slipway.settings.settings import Settings


@dataclass(frozen=True)
class ImageScan:
    """The result for one image of a stack."""

    stack: str
    subject: str
    """`image api`, or what runs an image of others: `server mysql`."""
    not_scanned: str = ""
    """Why it was not scanned; empty if it was."""
    verdict: Verdict = field(default_factory=Verdict)


def command(stacks: Sequence[str], *, newest: bool, as_json: bool) -> int:
    """Scan the images of stacks. Return 1 if one reaches a vulnerability that the stack file does not waive."""
    read = {stack: settings(stack) for stack in stacks}  # before anything takes time
    scanner, results = Scanner(newest=newest), list[ImageScan]()
    for result in (one for stack, its_settings in read.items() for one in _scans(stack, its_settings, scanner)):
        results.append(result)
        if not as_json:
            _show(result)
    if as_json:
        sys.stdout.write(_json(scanner.database, results))
    elif scanner.database:
        _say(f"vulnerability database {scanner.database.version}, of {scanner.database.day}")
    return 1 if any(result.verdict.refused for result in results) else 0


def _scans(stack: str, stack_settings: Settings, scanner: Scanner) -> Iterator[ImageScan]:
    for name, image in stack_settings.images.items():
        if reason := why_not(image):
            yield ImageScan(stack, f"image {name}", not_scanned=reason)
        else:
            verdict = waivers.verdict_on(name, scanner.vulnerabilities_of(image), stack_settings.waivers)
            yield ImageScan(stack, f"image {name}", verdict=verdict)
    for place, reference in of_others(stack_settings).items():
        yield ImageScan(stack, place, not_scanned=f"{reference} is an image of others")


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


def _show(result: ImageScan) -> None:
    """Print what is refused on stdout, and all else on stderr."""
    subject, verdict = f"{result.stack}: {result.subject}", result.verdict
    if result.not_scanned:
        _say(f"{subject} is not scanned: {result.not_scanned}")
        return
    for line in verdict.refused:
        typer.echo(f"{subject}: {line}")
    for line in verdict.waived:
        _say(f"{subject}: {line}")
    if verdict.refused:
        update = "update the module, or the `toolchain` of go.mod where it is stdlib"
        _say(f"{subject} is refused; {update}, or waive the id in slipway:waivers until a day")
    elif not verdict.waived:
        _say(f"{subject} reaches no known vulnerability")


def _json(used: Database | None, results: Sequence[ImageScan]) -> str:
    data = {
        "database": used and {"version": used.version, "day": str(used.day)},
        "images": [
            {
                "stack": result.stack,
                "subject": result.subject,
                "notScanned": result.not_scanned or None,
                "refused": result.verdict.refused,
                "waived": result.verdict.waived,
            }
            for result in results
        ],
    }
    return json.dumps(data, indent=2) + "\n"


def _say(line: str) -> None:
    typer.echo(line, err=True)

"""The known vulnerabilities that the Go program of an image can reach, as govulncheck reports them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slipway.image.compiler import main_package, toolchain
from slipway.ops.supply_chain.tools import GOVULNCHECK, compiled, go_environment, run
from slipway.ops.supply_chain.vulnerability_database import Database
from slipway.settings.sections.images import Image


@dataclass(frozen=True, order=True)
class Vulnerability:
    """One known vulnerability whose code the program can call."""

    id: str
    """`GO-2026-6617`."""
    module: str
    """`stdlib` is Go itself."""
    found: str
    """Version in the program."""
    fixed: str
    """First version without it; empty if there is none."""
    path: str
    """Calls from the program to the vulnerable function: `main.main -> language.Parse`."""

    @property
    def text(self) -> str:
        """The finding in one line."""
        fixed = f"fixed in {self.fixed}" if self.fixed else "no fixed version"
        return f"{self.id} {self.module} {self.found}, {fixed}: {self.path}"

    @property
    def data(self) -> dict[str, str]:
        """The finding as an attestation holds it."""
        return asdict(self)


def reachable(context: Path, image: Image, database: Database) -> list[Vulnerability]:
    """Return the vulnerabilities that the program of an image reaches on any of its platforms. Raises ToolError."""
    compiler = toolchain(context / "go.mod")
    program = compiled(GOVULNCHECK, compiler)
    # Where a step of the Dockerfile compiles, only that step knows which package.
    package = main_package(context, image) if image.is_compiled_here else "./..."
    found: set[Vulnerability] = set()
    for platform in image.platforms or [image.platform]:
        system, architecture = platform.split("/")
        settings = {"GOOS": system, "GOARCH": architecture, "GOTOOLCHAIN": compiler, "GOWORK": "off", "GOFLAGS": ""}
        command = [program, "-format", "json", "-db", database.url, package]
        found.update(parse(run(*command, environment=go_environment(settings), folder=context)))
    return sorted({(one.id, one.module): one for one in sorted(found)}.values())


def parse(output: str) -> list[Vulnerability]:
    """Return the vulnerabilities in the output of `govulncheck -format json` that have a call path, each once."""
    shortest: dict[tuple[str, str], dict[str, Any]] = {}
    for message in _messages(output):
        finding = message.get("finding")
        if finding and "function" in finding["trace"][0]:
            key = (finding["osv"], finding["trace"][0]["module"])
            if key not in shortest or len(finding["trace"]) < len(shortest[key]["trace"]):
                shortest[key] = finding
    return [_vulnerability(finding) for _, finding in sorted(shortest.items())]


def _messages(output: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a stream, which have nothing but white space between them."""
    decoder, position = json.JSONDecoder(), 0
    while (position := len(output) - len(output[position:].lstrip())) < len(output):
        message, position = decoder.raw_decode(output, position)
        yield message


def _vulnerability(finding: dict[str, Any]) -> Vulnerability:
    trace: Sequence[dict[str, str]] = finding["trace"]
    path = " -> ".join(_function(frame) for frame in reversed(trace))
    return Vulnerability(
        finding["osv"], trace[0]["module"], trace[0].get("version", ""), finding.get("fixed_version", ""), path
    )


def _function(frame: dict[str, str]) -> str:
    """Return `api.main` or `http.Server.Serve` of one frame, without the folders of the package."""
    receiver = frame.get("receiver", "").lstrip("*")
    names = (frame["package"].rpartition("/")[2], receiver, frame["function"])
    return ".".join(name for name in names if name)

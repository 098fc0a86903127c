"""A small project of another team in a temporary folder: one Go program, whose module requires what a test plants."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import INFRA, REPOSITORY

CLEAN = 'package main\n\nvar version string\n\nfunc main() { println("version", version) }\n'
# Reaches GO-2021-0113 and GO-2022-1059, which version v0.3.5 of golang.org/x/text has.
VULNERABLE = """\
package main

import (
	"fmt"
	"os"

	"golang.org/x/text/language"
)

var version string

func main() {
	tags, _, err := language.ParseAcceptLanguage(os.Getenv("LANGUAGES"))
	fmt.Println(version, tags, err)
}
"""
# Has the same module without reaching either.
IMPORTED = """\
package main

import "golang.org/x/text/language"

var version string

func main() { println("version", version, language.English.String()) }
"""
# The compiler of the reference app: that of this machine may have vulnerabilities of its own.
TOOLCHAIN = next(line for line in (REPOSITORY / "app/go.mod").read_text().splitlines() if line.startswith("toolchain"))
SUMS = """\
golang.org/x/text v0.3.5 h1:i6eZZ+zk0SOf0xgBpEpPD18qWcJda6q1sxt3S0kzyUQ=
golang.org/x/text v0.3.5/go.mod h1:5Zoc/QRtKVWzQhOtBMvqHzDpF6irO9z98xDceosuGiQ=
golang.org/x/tools v0.0.0-20180917221912-90fa682c2a6e/go.mod h1:n7NCudcB/nEzxVGmLbDWY5pfWTLqBcC2KZ6jyYvM4mQ=
"""
STACK = """\
config:
  slipway:cluster: {{context: nowhere}}
  slipway:image:
    builder: daemonless
    repository: {registry}/slipway/api
  slipway:services:
    api: {{contract: none, ports: {{http: 8000}}, probes: {{ready: {{path: /}}}}}}
"""


class GoProject:
    """The project, and `./slipway` in it."""

    def __init__(self, folder: Path, registry: str = "registry.example.com") -> None:
        self.folder = folder
        self.stack_file = folder / "stacks" / "Pulumi.dev.yaml"
        self.write("Pulumi.yaml", "name: shop\nruntime: python\nmain: infra\nstackConfigDir: stacks\n")
        self.write("stacks/Pulumi.dev.yaml", STACK.format(registry=registry))
        self.use(CLEAN)

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def use(self, program: str) -> None:
        """Make this the program."""
        needs = "\nrequire golang.org/x/text v0.3.5\n" if "x/text" in program else ""
        self.write("app/go.mod", f"module example.com/shop\n\ngo 1.26.0\n\n{TOOLCHAIN}\n{needs}")
        self.write("app/go.sum", SUMS if needs else "")
        self.write("app/cmd/api/main.go", program)

    def waive(self, rule: str, until: str) -> None:
        """Add a waiver to the stack file."""
        text = self.stack_file.read_text()
        text += "" if "waivers" in text else "  slipway:waivers:\n"
        waiver = f"    - {{rule: {rule}, reason: no client sets this variable, until: {until}}}\n"
        self.stack_file.write_text(text + waiver)

    def slipway(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `./slipway` as a user of this project would."""
        environment = {**os.environ, "PYTHONPATH": str(INFRA), "SLIPWAY_PROJECT": str(self.folder), **variables}
        command = [sys.executable, "-m", "slipway", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900, check=False
        )

"""A small project of another team in a temporary folder: one Go program, whose module requires what a test plants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from slipway.naming import RELEASE
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


# Builds and pushes the image as `./slipway up` does, and prints its reference.
BUILD = """\
from slipway.image.daemonless import assembled
from slipway.image.registry import push
from slipway.image.source import tag_of
from slipway.ops.program.config import settings

image = settings("dev").images["api"]
tag = tag_of(image)
built = assembled(image, tag)
push(built, image.repository, tag)
print(f"{image.repository}:{tag}@{built.digest}")
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

    def set(self, **sections: Any) -> None:
        """Set sections of the stack file, or remove them where the value is None."""
        config: dict[str, Any] = yaml.safe_load(self.stack_file.read_text())["config"]
        for name, value in sections.items():
            config[f"slipway:{name}"] = value
        kept = {name: value for name, value in config.items() if value is not None}
        self.stack_file.write_text(yaml.safe_dump({"config": kept}))

    def release(self) -> str:
        """Build and push the image, record it as that of the release in force, and return its reference."""
        done = self.python("-c", BUILD)
        assert done.returncode == 0, done.stderr
        reference = done.stdout.strip()
        record = {
            "urn": f"urn:pulumi:dev::shop::kubernetes:core/v1:ConfigMap::{RELEASE}",
            "type": "kubernetes:core/v1:ConfigMap",
            "inputs": {
                "metadata": {"name": f"{RELEASE}-0a1b2c3d", "annotations": {}},
                "data": {"settings.yaml": "{}", "image": reference},
            },
        }
        self.write("state.json", json.dumps({"deployment": {"resources": [record]}}))
        # The only thing that `attest` and `verify` ask of the engine is the state.
        self.write("bin/pulumi", f"#!/bin/sh\ncat {self.folder}/state.json\n")
        (self.folder / "bin" / "pulumi").chmod(0o755)
        return reference

    def slipway(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `./slipway` as a user of this project would."""
        return self.python("-m", "slipway", *arguments, **variables)

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python with the package `slipway` working for this project."""
        environment = {
            **os.environ,
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(INFRA),
            "SLIPWAY_PROJECT": str(self.folder),
            **variables,
        }
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=3000, check=False
        )

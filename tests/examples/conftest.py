"""What the examples declare. A process belongs to one project, so each example has a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in REPOSITORY.glob("examples/*/Pulumi.yaml"))

# Prints what `./slipway check` finds, and the objects, for each stack of the project.
PRINT = """
import json
from slipway.ops.program import check, recorder

def of(stack):
    report, program = check.check(stack), recorder.declare(stack)
    manifests = {f"{kind}/{name}": manifest for (kind, name), manifest in program.manifests().items()}
    return {"manifests": manifests, "outputs": program.outputs, "errors": report.errors, "hints": report.hints}

print(json.dumps({stack: of(stack) for stack in recorder.stacks()}))
"""


@dataclass(frozen=True)
class Declared:
    """What the program declares for one stack of an example."""

    manifests: dict[str, dict[str, Any]]
    """Objects by `Deployment/hello`, with the logical name."""
    outputs: dict[str, Any]
    errors: list[str]
    """What makes `./slipway check` fail: wrong settings, broken house rules and references, invalid objects."""
    hints: list[str]

    def pod(self, deployment: str) -> dict[str, Any]:
        """Return the spec of a Deployment's pods."""
        return self.manifests[f"Deployment/{deployment}"]["spec"]["template"]["spec"]

    def container(self, deployment: str) -> dict[str, Any]:
        """Return the container of the app."""
        [container] = self.pod(deployment)["containers"]
        return container


Examples = dict[str, dict[str, Declared]]
"""By example and stack."""


@pytest.fixture(scope="session")
def declared() -> Examples:
    """Run the program of all examples, at the same time."""
    running = {folder.name: start(folder) for folder in EXAMPLES}
    return {name: read(name, process) for name, process in running.items()}


def environment() -> dict[str, str]:
    """Return the environment of a user in this clone: the package is found, the project is that of the folder."""
    kept = {name: value for name, value in os.environ.items() if name != "SLIPWAY_PROJECT"}
    return {**kept, "PYTHONPATH": str(REPOSITORY / "infra")}


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRINT]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def read(name: str, process: subprocess.Popen[str]) -> dict[str, Declared]:
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, f"examples/{name}:\n{errors}"
    return {stack: Declared(**found) for stack, found in json.loads(output).items()}

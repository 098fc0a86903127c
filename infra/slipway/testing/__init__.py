"""What a project's own tests ask of its stacks: tests/test_my_stacks.py, which `slipway init` writes.

Everything works on what the program declares, recorded once per stack: no cluster, engine or secret is needed.
"""

from __future__ import annotations

import difflib
import functools
from pathlib import Path
from unittest import mock

from slipway.ops.program import policies, render
from slipway.ops.program.recorder import Program, declare
from slipway.ops.program.recorder import stacks as stacks

# Stands for the hash of sources, which changes with each edit of them.
TAG = "src-" + "0" * 16
_REFERENCES = "SR"


@functools.cache
def model(stack: str) -> Program:
    """Return what the program declares for a stack, independent of the content of the sources."""
    with mock.patch("slipway.image.app_image.content_tag", return_value=TAG):
        return declare(stack)


def schema_errors(stack: str, version: str | None = None) -> list[str]:
    """Return each field of an object that the API server would refuse: a wrong type, or a name it does not know.

    `version` is that of Kubernetes. Default: the newest one whose schemas are at hand.
    """
    from slipway.testing import schemas  # noqa: PLC0415 - needs packages that recording does not

    return [
        f"{kind}/{name}: {error}"
        for (kind, name), manifest in model(stack).manifests().items()
        for error in schemas.errors(manifest, version or schemas.NEWEST)
    ]


def broken_rules(stack: str) -> list[str]:
    """Return the references that lead nowhere. A mandatory house rule that is broken raises `pulumi.RunError`."""
    return [finding.text for finding in policies.findings(model(stack)) if finding.rule.startswith(_REFERENCES)]


def advice(stack: str) -> list[str]:
    """Return the house rules that are advice in this tier, and broken."""
    return [finding.text for finding in policies.findings(model(stack)) if not finding.rule.startswith(_REFERENCES)]


def difference(stack: str, folder: Path) -> str:
    """Return how a stack's objects differ from the recorded ones, as `diff -u` shows it; empty if they do not."""
    recorded = {file.name: file.read_text() for file in sorted((folder / stack).glob("*.yaml"))}
    now = _documents(stack)
    return "".join(
        line
        for name in sorted(recorded.keys() | now.keys())
        for line in difflib.unified_diff(
            recorded.get(name, "").splitlines(keepends=True),
            now.get(name, "").splitlines(keepends=True),
            f"recorded/{name}",
            f"now/{name}",
        )
    )


def record(folder: Path) -> None:
    """Record the objects of all stacks: one folder for each, and one file for each object."""
    for stack in stacks():
        render.write(render.documents(model(stack)), folder / stack)


def _documents(stack: str) -> dict[str, str]:
    return {name: render.HEADER + content for name, content in render.documents(model(stack)).items()}

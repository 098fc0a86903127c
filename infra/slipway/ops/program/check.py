"""`./slipway check`: each stack is valid, keeps the house rules, and declares the objects that were reviewed.

stacks/golden/STACK.yaml holds the objects that somebody has looked at. A change of a stack file, or another version of
Slipway, shows as a difference from them, before anything reaches a cluster.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pulumi

from slipway import files
from slipway.ops.program import policies, render
from slipway.ops.program.recorder import Program, declare, stacks
from slipway.project import ROOT

GOLDEN = ROOT / "stacks" / "golden"
# Stands for the hash of the sources, which changes with every edit of them.
TAG = "src-" + "0" * 16


@dataclass(frozen=True)
class Report:
    """What `./slipway check` found in one stack."""

    stack: str
    objects: int = 0
    errors: list[str] = field(default_factory=list[str])
    """Each makes the check fail."""
    hints: list[str] = field(default_factory=list[str])
    difference: str = ""
    """The difference from the recorded objects, as `diff -u` shows it."""

    def lines(self, *, quiet: bool) -> list[str]:
        """Return the messages for people; if `quiet`, the errors only."""
        errors = [f"{self.stack}: error: {error}" for error in self.errors]
        hints = [f"{self.stack}: hint: {hint}" for hint in self.hints]
        return errors if quiet else [*hints, *(errors or [f"{self.stack}: {self.objects} objects, no problem"])]


@contextmanager
def without_source_hash() -> Generator[None]:
    """Record programs with TAG in place of the hash of the sources."""
    with mock.patch("slipway.image.app_image.tag_of", return_value=TAG):
        yield


def check(stack: str, *, write: bool = False) -> Report:
    """Check one stack. `write` records its objects instead of comparing them."""
    try:
        with without_source_hash():
            program = declare(stack)
        hints = [finding.text for finding in policies.findings(program)]
    except pulumi.RunError as error:
        return Report(stack, errors=[str(error)])
    documents = render.documents(program)
    errors, text, file = list(_missing_stacks(program)), render.one_stream(documents), GOLDEN / f"{stack}.yaml"
    if importlib.util.find_spec("kubernetes_validate"):
        errors += _refused(program)
    else:
        hints.append("not checked against the schemas of Kubernetes, which come with `pip install 'slipway[test]'`")
    if write:
        files.write({file: text})
    recorded = files.read_text(file) if file.is_file() else None
    if recorded is None:
        hints.append(f"{_name(file)} does not exist yet: `./slipway check --write -s {stack}` records the objects")
        return Report(stack, len(documents), errors, hints)
    difference = "".join(_difference(recorded, text, _name(file)))
    if difference:
        accept = f"./slipway check --write -s {stack}"
        errors.append(f"the objects differ from those in {_name(file)}. If all of it is meant: {accept}")
    return Report(stack, len(documents), errors, hints, difference)


def orphans() -> list[Path]:
    """Return the recorded files of stacks that are gone."""
    return [file for file in sorted(GOLDEN.glob("*.yaml")) if file.stem not in stacks()]


def _missing_stacks(program: Program) -> Generator[str]:
    """Yield an error for each stack whose image this one promotes, and that has no file."""
    references = [resource.name for resource in program.resources if resource.kind == "StackReference"]
    # organization/project/stack, and the name of an image.
    for other in sorted({name.split("/")[2] for name in references} - set(stacks())):
        yield f"it promotes the image of stack {other}, and there is no stacks/Pulumi.{other}.yaml"


def _refused(program: Program) -> Generator[str]:
    """Yield an error for each field that the API server would refuse."""
    from slipway import schemas  # noqa: PLC0415 - needs packages that only checks have

    for (kind, name), manifest in program.manifests().items():
        yield from (f"{kind}/{name}: {error}" for error in schemas.errors(manifest, schemas.NEWEST))


def _difference(recorded: str, now: str, name: str) -> Generator[str]:
    old, new = recorded.splitlines(keepends=True), now.splitlines(keepends=True)
    yield from difflib.unified_diff(old, new, f"recorded/{name}", f"now/{name}")


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))

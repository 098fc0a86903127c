"""How a defect is put in, and what may see it."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import policies
import pulumi

from ops.recorder import declare
from tests import schemas
from tests.conftest import with_changes
from tests.faults import Fault, Object
from tests.variants import VARIANTS, model


@dataclass(frozen=True)
class Mutant:
    """One defect."""

    place: str
    """objects, stack file or program."""
    defect: str
    run: Callable[[], list[str]]
    """Puts it in, and gives what says so: ids of rules, `schema 1.34`, `settings`; nothing if it survives."""


# --- what judges ------------------------------------------------------------------------------------------------------


def judged(objects: list[Object]) -> list[str]:
    """What says that something is wrong with the objects of a stack, under the rules of prod."""
    by_rule = [finding.rule for finding in policies.check(objects, "prod")]
    by_schema = (f"schema {version}" for version in schemas.VERSIONS if any(_refused(o, version) for o in objects))
    return list(dict.fromkeys([*by_rule, *itertools.islice(by_schema, 1)]))


def _refused(found: Object, version: str) -> bool:
    try:
        return bool(schemas.errors(found, version))
    except LookupError:
        return True


def judged_program(stack: str, changes: dict[str, Any]) -> list[str]:
    """The same of what the program declares for a changed stack file; `settings` if it refuses that."""
    try:
        program = declare(stack, with_changes(stack, changes))
    except pulumi.RunError as error:
        return list(dict.fromkeys(re.findall(r"\bS[WR]\d{3}\b", str(error)))) or ["settings"]
    return judged(list(program.manifests().values()))


def declared(base: str) -> list[Object]:
    """The objects of a stack or variant, to be changed at will."""
    return json.loads(json.dumps(list(model(base).manifests().values())))


# --- how a defect is put in -------------------------------------------------------------------------------------------


def in_objects(defect: str, fault: Fault, base: str = "prod") -> Mutant:
    """A defect in what the program hands to the engine."""

    def run() -> list[str]:
        objects = declared(base)
        fault(objects)
        assert objects != list(model(base).manifests().values()), "nothing is changed"
        return judged(objects)

    return Mutant("objects", defect, run)


def in_stack_file(defect: str, changes: dict[str, Any], stack: str = "prod") -> Mutant:
    """A defect somebody writes into a stack file."""
    return Mutant("stack file", defect, lambda: judged_program(stack, changes))


def in_program(defect: str, *patches: tuple[str, Any], base: str = "prod") -> Mutant:
    """A defect in infra/: names of the program that mean something else."""

    def run() -> list[str]:
        stack, changes = VARIANTS.get(base, (base, {}))
        with contextlib.ExitStack() as stack_of_patches:
            for name, replacement in patches:
                stack_of_patches.enter_context(mock.patch(name, replacement))
            return judged_program(stack, changes)

    return Mutant("program", defect, run)

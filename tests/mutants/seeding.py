"""How a defect is planted, and what may detect it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pulumi

from slipway import schemas
from slipway.objects import Object
from slipway.ops.program.recorder import declare
from slipway.project import ROOT
from slipway.rules import house_rules
from tests.conftest import with_changes
from tests.faults import Fault, named
from tests.variants import VARIANTS, model


@dataclass(frozen=True)
class Mutant:
    """One defect."""

    place: str
    """objects, stack file or program."""
    defect: str
    run: Callable[[], list[str]]
    """Plants it and returns what detects it: ids of rules, `schema 1.34`, `settings`; empty if nothing does."""


# --- what detects a defect ---

# What the app of the four stacks says it reads.
STATED: dict[str, frozenset[str]] = dict.fromkeys(
    ("api", "web"), frozenset((ROOT / "app" / "variables.txt").read_text().split())
)


def detect(objects: list[Object]) -> list[str]:
    """Return what finds something wrong with the objects of a stack, under the rules of prod."""
    by_rule = [finding.rule for finding in house_rules.check(objects, "prod", variables=STATED)]
    by_schema = (f"schema {version}" for version in schemas.VERSIONS if any(_refused(o, version) for o in objects))
    return list(dict.fromkeys([*by_rule, *itertools.islice(by_schema, 1)]))


def _refused(obj: Object, version: str) -> bool:
    try:
        return bool(schemas.errors(obj, version))
    except LookupError:
        return True


def detect_in_program(stack: str, changes: dict[str, Any]) -> list[str]:
    """Return the same for a changed stack file; `settings` if the program refuses the file."""
    try:
        program = declare(stack, with_changes(stack, changes))
    except pulumi.RunError as error:
        return list(dict.fromkeys(re.findall(r"\bS[WR]\d{3}\b", str(error)))) or ["settings"]
    return detect(list(program.manifests().values()))


def declared(base: str) -> list[Object]:
    """Return a copy of the objects of a stack or variant."""
    return json.loads(json.dumps(list(model(base).manifests().values())))


# --- how a defect is planted ---


def in_objects(defect: str, fault: Fault, base: str = "prod") -> Mutant:
    """Return a defect in what the program hands to the engine."""

    def run() -> list[str]:
        objects = declared(base)
        fault(objects)
        assert objects != list(model(base).manifests().values()), "nothing is changed"
        return detect(objects)

    return Mutant("objects", defect, run)


def again(name: str, other: str | None = None) -> Fault:
    """Return a fault that adds an object a second time, under its own or another name."""

    def plant(objects: list[Object]) -> None:
        twin = copy.deepcopy(named(objects, name))
        twin["metadata"]["name"] = other or twin["metadata"]["name"]
        objects.append(twin)

    return plant


def in_stack_file(defect: str, changes: dict[str, Any], stack: str = "prod") -> Mutant:
    """Return a defect in a stack file."""
    return Mutant("stack file", defect, lambda: detect_in_program(stack, changes))


def in_program(defect: str, *patches: tuple[str, Any], base: str = "prod") -> Mutant:
    """Return a defect in the program: names of the package `slipway` are replaced."""

    def run() -> list[str]:
        stack, changes = VARIANTS.get(base, (base, {}))
        with contextlib.ExitStack() as stack_of_patches:
            for name, replacement in patches:
                stack_of_patches.enter_context(mock.patch(f"slipway.{name}", replacement))
            return detect_in_program(stack, changes)

    return Mutant("program", defect, run)

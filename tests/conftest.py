"""What all unit tests share: the objects a stack declares, recorded once per stack."""

from __future__ import annotations

import copy
import functools
import gc
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from ops.program.recorder import Program, declare, stack_config
from slipway.settings.engine_yaml import Node
from slipway.settings.layers import effective
from slipway.settings.project import ROOT
from slipway.settings.source_files import read_defaults

# For the processes that tests start; pytest itself has it from pyproject.toml.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "infra")])

pytest_plugins = ["tests.guard", "tests.own_repositories", "tests.watchdog"]

Declare = Callable[..., Program]
# A stack with one service.
API_ONLY: dict[str, Any] = {"services.web": None}
# A stack whose services keep their data to themselves.
WITHOUT_STORES: dict[str, Any] = {
    "mysql": None,
    "redis": None,
    "services.api.needs": [],
    "services.api.migration": None,
}
Changed = Callable[[str, dict[str, Any]], Program]


def recorded(stack: str, changes: dict[str, Any] | None = None) -> Program:
    """What the program declares for a stack, with the same changes recorded once for all tests: not to be edited."""
    return _recorded(stack, json.dumps(changes or {}))


@functools.cache
def _recorded(stack: str, changes: str) -> Program:
    return declare(stack, with_changes(stack, json.loads(changes)))


@pytest.fixture(scope="session")
def sdk() -> None:
    """Pulumi's modules, loaded and out of the garbage collector's sight: else it looks at all of them in each run."""
    recorded("dev")
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture
def program(sdk: None) -> Declare:
    """`program("prod")`: everything the program declares for a stack as it stands in stacks/."""
    return recorded


@pytest.fixture
def changed(sdk: None, request: pytest.FixtureRequest) -> Changed:
    """`changed("dev", {"services.api.autoscaling.min": 3})`: the same, changed; None takes a value out."""
    # A program somebody has patched is run for that test alone.
    return declared if "monkeypatch" in request.fixturenames else recorded


def declared(stack: str, changes: dict[str, Any]) -> Program:
    """What the program declares for a changed stack, recorded anew."""
    return declare(stack, with_changes(stack, changes))


def with_changes(stack: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The stack's `config:` mapping with dotted keys set, or taken out where the value is None."""
    config = copy.deepcopy(stack_config(stack))
    for dotted, value in changes.items():
        first, *rest = dotted.split(".")
        path = [f"slipway:{first}", *rest]
        section: Any = config
        for part in path[:-1]:
            section = section.setdefault(part, {})
        if value is not None or _is_default([first, *rest]):
            section[path[-1]] = value
        else:
            section.pop(path[-1], None)
    return config


def _is_default(key: list[str]) -> bool:
    """Whether defaults.yaml gives it, so that only `null` takes it out."""
    own = {"services": {key[1]: {}}} if key[0] == "services" and len(key) > 1 else {}
    found: Any = effective(Node.of(own), read_defaults().settings).plain()
    for part in key:
        found = found.get(part) if isinstance(found, dict) else None
    return bool(found)

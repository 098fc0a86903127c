"""Fixtures of all unit tests: the objects that the program declares for a stack, recorded once per stack."""

from __future__ import annotations

import copy
import functools
import gc
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from slipway.ops.program.recorder import Program, declare, stack_config
from slipway.settings.engine_yaml import Node
from slipway.settings.layers import effective
from slipway.settings.source_files import read_defaults
from tests.paths import REPOSITORY

# For processes that tests start; pytest itself gets the path from pyproject.toml.
os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "infra")])

pytest_plugins = ["tests.plugins.guard", "tests.plugins.own_repositories", "tests.plugins.watchdog"]

Declare = Callable[..., Program]
# A stack with one service.
API_ONLY: dict[str, Any] = {"services.web": None}
# A stack without MySQL and Redis.
WITHOUT_STORES: dict[str, Any] = {
    "mysql": None,
    "redis": None,
    "services.api.needs": [],
    "services.api.migration": None,
}
Changed = Callable[[str, dict[str, Any]], Program]


def recorded(stack: str, changes: dict[str, Any] | None = None) -> Program:
    """Return what the program declares for a stack. It is recorded once for all tests, so do not edit it."""
    return _recorded(stack, json.dumps(changes or {}))


@functools.cache
def _recorded(stack: str, changes: str) -> Program:
    return declare(stack, with_changes(stack, json.loads(changes)))


@pytest.fixture(scope="session")
def sdk() -> None:
    """Load Pulumi's modules, and exclude them from garbage collection, which makes each run slower otherwise."""
    recorded("dev")
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture
def program(sdk: None) -> Declare:
    """`program("prod")` returns what the program declares for a stack file of stacks/."""
    return recorded


@pytest.fixture
def changed(sdk: None, request: pytest.FixtureRequest) -> Changed:
    """`changed("dev", {"services.api.autoscaling.min": 3})` changes the stack file first; None removes a value."""
    # A patched program is recorded for that test only.
    return declared if "monkeypatch" in request.fixturenames else recorded


def declared(stack: str, changes: dict[str, Any]) -> Program:
    """Record what the program declares for a changed stack."""
    return declare(stack, with_changes(stack, changes))


def with_changes(stack: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the stack's `config:` mapping with dotted keys set, or removed where the value is None."""
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
    """Return whether defaults.yaml sets the key, so that only `null` removes it."""
    own = {"services": {key[1]: {}}} if key[0] == "services" and len(key) > 1 else {}
    section: Any = effective(Node.of(own), read_defaults().settings).plain()
    for part in key:
        section = section.get(part) if isinstance(section, dict) else None
    return bool(section)

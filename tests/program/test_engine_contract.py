"""What ops relies on in Pulumi's SDK without a promise of Pulumi: an upgrade that changes it fails here, by name."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from pulumi.runtime import mocks

from slipway import engine
from tests.paths import REPOSITORY

VERSION = version("pulumi")
RECORDER, STATE = "infra/slipway/ops/program/recorder.py", "infra/slipway/ops/program/engine_state.py"
ENGINE = "infra/slipway/engine.py"
NAMES = [
    (RECORDER, "pulumi.runtime.config", "set_all_config"),
    (RECORDER, "pulumi.runtime.proto.resource_pb2", "ReadResourceResponse"),
    (RECORDER, "pulumi.runtime.proto.resource_pb2", "RegisterResourceResponse"),
    (RECORDER, "pulumi.runtime.proto.source_pb2", "StackTrace"),
    (RECORDER, "pulumi.runtime.resource", "_get_stack_trace"),
    (RECORDER, "pulumi.runtime.rpc", "deserialize_properties"),
    (RECORDER, "pulumi.runtime.settings", "set_root_resource"),
    (RECORDER, "pulumi.runtime.stack", "run_in_stack"),
    (RECORDER, "pulumi.runtime.sync_await", "_ensure_event_loop"),
    (RECORDER, "pulumi.runtime.sync_await", "_sync_await"),
    (ENGINE, "pulumi.runtime.rpc", "_special_secret_sig"),
    (ENGINE, "pulumi.runtime.rpc", "_special_sig_key"),
]


@pytest.mark.parametrize(("user", "module", "name"), NAMES, ids=[f"{module}.{name}" for _, module, name in NAMES])
def test_the_sdk_still_has_the_name(user: str, module: str, name: str):
    assert hasattr(importlib.import_module(module), name), f"pulumi {VERSION}: mend {user}"


@pytest.mark.parametrize("method", ["make_urn", "RegisterResource", "ReadResource", "RegisterResourceOutputs"])
def test_the_monitor_still_has_the_method_that_the_recorder_overrides(method: str):
    """One that is called otherwise would be the SDK's own, and record nothing."""
    assert hasattr(mocks.MockMonitor, method), f"pulumi {VERSION}: mend {RECORDER}"


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (mocks.set_mocks, ["mocks", "project", "stack", "preview", "logger", "monitor", "organization"]),
        (mocks.MockMonitor.make_urn, ["self", "parent", "type_", "name"]),
    ],
    ids=["set_mocks", "make_urn"],
)
def test_the_sdk_still_takes_the_parameters(function: Callable[..., Any], parameters: list[str]):
    assert list(inspect.signature(function).parameters) == parameters, f"pulumi {VERSION}: mend {RECORDER}"


def test_a_secret_as_the_engine_writes_it_to_the_state_is_recognized():
    """Copied from `pulumi stack export` of pulumi 3.259.0."""
    written = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
    assert engine.is_secret(written)
    assert not engine.is_secret({"ciphertext": "v1:x"})


def test_nothing_else_in_ops_uses_the_runtime_of_the_sdk():
    """Nor the engine's debug commands, nor the keys of its state: each has one module."""
    owners = {
        "pulumi.runtime": {RECORDER},
        "PULUMI_DEBUG_COMMANDS": {"infra/slipway/ops/program/engine_run.py"},
        "--event-log": {"infra/slipway/ops/program/engine_run.py"},
        "initErrors": {STATE},
        "pending_operations": {STATE},
    }
    users = {marker: set[str]() for marker in owners}
    for file in sorted((REPOSITORY / "infra" / "slipway" / "ops").rglob("*.py")):
        for word in words(ast.parse(file.read_text())):
            for marker in owners:
                if word == marker or word.startswith(f"{marker}."):
                    users[marker].add(str(file.relative_to(REPOSITORY)))
    assert users == owners


def words(tree: ast.AST) -> set[str]:
    """The modules that a file imports, and the texts that are whole expressions, such as keys."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)):
                found |= {module, *(f"{module}.{name.name}" for name in node.names)}
            case ast.Import():
                found |= {name.name for name in node.names}
            case ast.Constant(value=str(text)):
                found.add(text)
            case _:
                pass
    return found

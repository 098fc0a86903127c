"""The installed version of Pulumi's SDK has what infra/slipway/engine.py uses of it, and nothing else uses it."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pytest
from pulumi.runtime import config, rpc
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto.resource_pb2 import RegisterResourceRequest, RegisterResourceResponse
from pulumi.runtime.proto.resource_pb2_grpc import ResourceMonitorStub
from pulumi_kubernetes import core

from slipway import engine
from slipway.objects import UNKNOWN
from slipway.ops.program import recorder
from tests.conftest import Declare
from tests.paths import INFRA

Run = Callable[[Callable[[], None]], None]


@pytest.fixture
def run(sdk: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(program)`: a function instead of infra/__main__.py, run by the SDK as it runs any program."""

    def runner(program: Callable[[], None]) -> None:
        monkeypatch.setattr(recorder, "_program", program)
        monkeypatch.setattr(recorder, "_without_threads", nullcontext)
        recorder.declare("dev")

    return runner


def secret_of(value: Any) -> Any:
    """Return a secret as the SDK sends it to the engine."""
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}  # pyright: ignore[reportPrivateUsage]


def test_the_monitor_of_the_sdk_has_the_methods_that_are_wrapped():
    monitor: Any = ResourceMonitorStub(grpc.insecure_channel("127.0.0.1:1"))
    for method in ("RegisterResource", "SignalAndWaitForShutdown"):
        assert callable(vars(monitor).get(method)), f"ResourceMonitorStub.{method} is gone: see engine.observe"


def test_the_messages_of_the_sdk_have_the_fields_that_are_read():
    assert {"type", "object"} <= set(RegisterResourceRequest.DESCRIPTOR.fields_by_name)
    assert "id" in RegisterResourceResponse.DESCRIPTOR.fields_by_name


def test_the_sdk_calls_back_around_each_registration_and_at_the_end_of_a_program(run: Run):
    calls: list[tuple[Any, ...]] = []

    def program() -> None:
        engine.observe(
            registering=lambda type_, inputs: calls.append(("registering", type_, inputs.get("stringData"))),
            registered=lambda type_, id_: calls.append(("registered", type_, id_)),
            ending=lambda: calls.append(("ending", pulumi.get_stack())),
            ended=lambda: calls.append(("ended", pulumi.get_stack())),
        )
        core.v1.Secret("login", string_data={"password": pulumi.Output.secret("hunter2")})

    run(program)
    assert [call for call in calls if call[1] != "pulumi:pulumi:Stack"] == [
        ("registering", "kubernetes:core/v1:Secret", {"password": "***"}),
        ("registered", "kubernetes:core/v1:Secret", "login-id"),
        ("ending", "dev"),
        ("ended", "dev"),
    ]


@pytest.mark.parametrize("stack", recorder.stacks())
def test_the_program_declares_in_threads_what_the_recorder_records_without(
    program: Declare, monkeypatch: pytest.MonkeyPatch, stack: str
):
    threads: set[int] = set()

    class Monitor(recorder._Recorder):  # pyright: ignore[reportPrivateUsage]
        def RegisterResource(self, request: Any) -> Any:
            threads.add(threading.get_ident())
            return super().RegisterResource(request)

    monkeypatch.setattr(recorder, "_Recorder", Monitor)
    recorder.declare(stack)
    assert threads == {threading.get_ident()}
    monkeypatch.setattr(recorder, "_without_threads", nullcontext)
    in_threads = recorder.declare(stack)
    assert len(threads) > 1
    assert by_urn(in_threads) == by_urn(program(stack))
    assert (in_threads.outputs, in_threads.findings) == (program(stack).outputs, program(stack).findings)


def by_urn(program: recorder.Program) -> dict[str, Any]:
    """Return the resources without their order, and that of what they depend on, which threads do not keep."""
    return {
        one.urn: (one.type, one.name, one.inputs, {**one.options, "depends_on": {*one.options.get("depends_on", [])}})
        for one in program.resources
    }


def test_resources_are_recorded_in_the_same_order_each_time(sdk: None):
    first, second = ([one.urn for one in recorder.declare("prod").resources] for _ in range(2))
    assert first == second


def test_the_recorder_is_no_engine_and_pulumi_is_one(run: Run):
    answers: list[bool] = []
    run(lambda: answers.append(engine.is_present()))
    assert answers == [False]
    assert engine.is_present()


def test_values_are_read_as_the_program_gave_them_with_secrets_masked():
    wire = {"data": secret_of({"key": "hunter2"}), "later": secret_of(UNKNOWN), "port": 8080.0, "shares": [0.5, 1.0]}
    plain = {"data": {"key": "***"}, "later": UNKNOWN, "port": 8080, "shares": [0.5, 1]}
    assert engine.plain(wire) == plain


def test_the_sdk_marks_secrets_and_unknown_values_as_it_always_has():
    assert secret_of("") == {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "value": "",
    }
    assert rpc.UNKNOWN == UNKNOWN


def test_the_configuration_and_its_secret_keys_are_read_from_the_sdk():
    before = config.CONFIG.get(), [*engine.secret_config_keys()]
    try:
        set_all_config({"slipway:namespace": "here", "slipway:signing-key": "hunter2"}, ["slipway:signing-key"])
        assert engine.config_texts()["slipway:namespace"] == "here"
        assert "slipway:signing-key" in engine.secret_config_keys()
    finally:
        set_all_config(before[0], before[1])


# Names of the SDK that Pulumi documents, and every module may use.
PUBLIC_MODULES = ("pulumi", "pulumi.dynamic")
PUBLIC_OF_RUNTIME = ("is_dry_run", "register_stack_transformation")


def internals(file: Path) -> list[str]:
    """Return the private names and modules of the SDK, and of its protocol, that a file uses."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
            names += [alias.name for alias in node.names if node.module == "pulumi" and alias.name.startswith("_")]
        for module in modules:
            top = module.partition(".")[0]
            if (top == "pulumi" and module not in PUBLIC_MODULES) or top == "grpc" or module.startswith("google.proto"):
                names.append(module)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pulumi.runtime":
            names += [node.attr] if node.attr not in PUBLIC_OF_RUNTIME else []
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pulumi" and node.attr.startswith("_"):
            names.append(node.attr)
    return names


def test_no_other_module_of_the_program_uses_the_inside_of_the_sdk():
    used = {str(file.relative_to(INFRA)): internals(file) for file in sorted(INFRA.rglob("*.py"))}
    assert used.pop("slipway/engine.py") == [
        "google.protobuf.json_format",
        "pulumi.runtime",
        "pulumi.runtime.rpc",
        "pulumi.runtime.settings",
    ]
    del used["slipway/ops/program/recorder.py"]  # what it uses is in test_engine_contract.py
    assert {file: names for file, names in used.items() if names} == {}


def test_a_component_changes_what_is_registered_below_it_before_anything_else_sees_it(run: Run):
    seen: list[Any] = []

    def amended(type_: str, name: str, inputs: Any) -> Any:
        return {**inputs, "data": {**inputs["data"], "by": f"{type_} {name}"}}

    def program() -> None:
        engine.observe(registering=lambda _, inputs: seen.append(inputs.get("data")))
        engine.amend("test:index:Part::one", amended)
        for part in ("one", "another-one"):
            below = pulumi.ResourceOptions(parent=pulumi.ComponentResource("test:index:Part", part))
            core.v1.ConfigMap(f"of-{part}", data={"for": part}, opts=below)

    run(program)
    registered = sorted((data for data in seen if data), key=lambda data: data["for"])
    assert registered == [{"for": "another-one"}, {"for": "one", "by": "kubernetes:core/v1:ConfigMap of-one"}]

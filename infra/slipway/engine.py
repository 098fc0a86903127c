"""What the program needs of Pulumi's engine beyond the public SDK. No other module of infra/ uses the SDK's internals.

The SDK has no public way to see each registration of a resource, or the end of the program, so methods of its monitor
are wrapped. Nor has it a public reader for the values on the wire. tests/program/test_engine.py fails if a version of
the SDK lacks what is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeAlias

import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import config
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key  # pyright: ignore[reportPrivateUsage]
from pulumi.runtime.settings import get_monitor

from slipway.objects import SECRET, UNKNOWN

Hook: TypeAlias = tuple[str, Callable[[pulumi.ResourceHookArgs], None]]
"""A name that is unique in the stack, and the function that the engine calls."""

_has_engine = ContextVar("has_engine", default=True)


@contextmanager
def absent() -> Generator[None]:
    """Run the program without an engine: ops/program/recorder.py records what it declares."""
    token = _has_engine.set(False)
    try:
        yield
    finally:
        _has_engine.reset(token)


def is_present() -> bool:
    """Return whether an engine runs the program, in a preview or an update."""
    return _has_engine.get()


def is_updating() -> bool:
    """Return whether this run changes the cluster."""
    return is_present() and not pulumi.runtime.is_dry_run()


def hooks(**by_operation: Hook) -> pulumi.ResourceHookBinding | None:
    """Return hooks of a resource, named by `before_update` and the like; None without an engine to call them.

    A preview does not call them.
    """
    if not is_present():
        return None
    bound: dict[str, Any] = {
        operation: [pulumi.ResourceHook(name, function)] for operation, (name, function) in by_operation.items()
    }
    return pulumi.ResourceHookBinding(**bound)


def config_texts() -> dict[str, str]:
    """Return the stack's whole configuration by `project:key`; the public SDK gives one value of a known key only."""
    return {**config.get_config_env(), **config.CONFIG.get()}


def secret_config_keys() -> set[str]:
    """Return the keys, `project:key`, whose values are secret or hold a secret."""
    return {*config.get_config_secret_keys_env(), *config._SECRET_KEYS.get()}  # pyright: ignore[reportPrivateUsage]


def _ignore(*_: Any) -> None:
    pass


def observe(
    *,
    registering: Callable[[str, Any], None] | None = None,
    registered: Callable[[str, str], None] = _ignore,
    ending: Callable[[], None] = _ignore,
    ended: Callable[[], None] = _ignore,
) -> None:
    """Call back from now on. An exception of a callback ends the program.

    `registering(type, inputs)` and `registered(type, id)` surround each registration of a resource; the SDK calls them
    in threads. `ending()` comes when every resource is registered, `ended()` when the engine has also deleted what is
    no longer declared.
    """
    monitor: Any = get_monitor()
    register: Callable[[Any], Any] = monitor.RegisterResource
    finish: Callable[[Any], Any] = monitor.SignalAndWaitForShutdown
    # A thread has no context of its own, such as the stack's name.
    context = copy_context()

    def observed_register(request: Any) -> Any:
        if registering:
            registering(request.type, plain(MessageToDict(request.object)))
        response = register(request)
        registered(request.type, response.id)
        return response

    def observed_finish(request: Any) -> Any:
        context.run(ending)
        response = finish(request)
        context.run(ended)
        return response

    monitor.RegisterResource, monitor.SignalAndWaitForShutdown = observed_register, observed_finish


Amend: TypeAlias = Callable[[str, str, Any], Any]
"""Takes the type, the logical name and the inputs of a resource, and returns the inputs to register."""


def amend(component: str, changed: Amend) -> None:
    """Change what is registered right below a component, given as `type::name`, from now on.

    The engine, the recorder and those that `observe` before only ever see the changed inputs. An exception of `changed`
    ends the program.
    """
    monitor: Any = get_monitor()
    register: Callable[[Any], Any] = monitor.RegisterResource

    def amended_register(request: Any) -> Any:
        if request.parent.endswith(f"::{component}") or request.parent.endswith(f"${component}"):
            inputs = MessageToDict(request.object)
            request.object.Clear()
            request.object.update(changed(request.type, request.name, inputs))
        return register(request)

    monitor.RegisterResource = amended_register


def is_secret(value: Any) -> bool:
    """Return whether a value is marked as secret, on the wire or in the state."""
    return isinstance(value, dict) and value.get(_special_sig_key) == _special_secret_sig


def plain(value: Any) -> Any:
    """Return values as a program gave them to the engine: secrets as `***`, whole numbers as integers.

    On the wire all numbers are floats.
    """
    if isinstance(value, dict):
        if is_secret(value):
            return _masked(value["value"])
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _masked(value: Any) -> Any:
    """Return the shape of a secret without its content."""
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return UNKNOWN if value == UNKNOWN else SECRET

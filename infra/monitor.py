"""The engine's resource monitor: callbacks around each registration of a resource and around the end of the program.

The SDK has no public way to see either, so the methods of its monitor are wrapped. The SDK calls them in threads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor


def _ignore(*_: Any) -> None:
    pass


def observe(
    *,
    registering: Callable[[Any], None] = _ignore,
    registered: Callable[[Any, Any], None] = _ignore,
    ending: Callable[[], None] = _ignore,
    ended: Callable[[], None] = _ignore,
) -> None:
    """Call back from now on: what a callback raises ends the program.

    `registering(request)` and `registered(request, response)` surround each registration. `ending()` comes when every
    resource is registered, `ended()` when the engine has also deleted what is no longer declared.
    """
    monitor: Any = get_monitor()
    register: Callable[[Any], Any] = monitor.RegisterResource
    finish: Callable[[Any], Any] = monitor.SignalAndWaitForShutdown
    # The threads know nothing of the run they belong to.
    run = copy_context()

    def observed_register(request: Any) -> Any:
        registering(request)
        response = register(request)
        registered(request, response)
        return response

    def observed_finish(request: Any) -> Any:
        run.run(ending)
        response = finish(request)
        run.run(ended)
        return response

    monitor.RegisterResource, monitor.SignalAndWaitForShutdown = observed_register, observed_finish


def is_mocked() -> bool:
    """Return whether no engine runs the program: in unit tests and in `./slipway render`."""
    return isinstance(get_monitor(), MockMonitor)

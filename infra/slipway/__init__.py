"""The parts of the Pulumi program; program.py puts them together on one screen.

A module stands here if several packages use it, or if it is about the stack as a whole. A topic of several
files is a package. tests/program/test_layout.py lists which part may import which.

The names in `__all__` are for programs of others (docs/use-as-a-package.md). Each is imported when it is first used,
so that `./slipway --help` does not wait for Pulumi.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

from slipway.sdk import lean_modules

if TYPE_CHECKING:
    from slipway.cluster.connection import connect
    from slipway.environment import Environment
    from slipway.image.stack_images import StackImages
    from slipway.rules.enforcement import watch
    from slipway.service.web_service import WebService
    from slipway.settings.settings import Settings
    from slipway.settings.stack_file import load
    from slipway.stores.mysql import MysqlStore
    from slipway.stores.redis import RedisStore

lean_modules.install()
# Nearly all objects that a run creates stay until its end. Python would look for garbage among them 329 times, a sixth
# of the time of `render`; with this threshold it does so 17 times.
gc.set_threshold(100_000, 50, 100)

_HOME = {
    "Environment": "environment",
    "MysqlStore": "stores.mysql",
    "RedisStore": "stores.redis",
    "Settings": "settings.settings",
    "StackImages": "image.stack_images",
    "WebService": "service.web_service",
    "connect": "cluster.connection",
    "load": "settings.stack_file",
    "watch": "rules.enforcement",
}

__all__ = [
    "Environment",
    "MysqlStore",
    "RedisStore",
    "Settings",
    "StackImages",
    "WebService",
    "connect",
    "load",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

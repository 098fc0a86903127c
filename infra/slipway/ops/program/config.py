"""The settings of a stack, and the line each of them comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from slipway.objects import SECRET
from slipway.ops.program.recorder import stack_config
from slipway.settings.engine_yaml import Node
from slipway.settings.errors import dotted
from slipway.settings.layers import effective
from slipway.settings.secret_checks import required_secrets
from slipway.settings.settings import Settings
from slipway.settings.source_files import read_files
from slipway.settings.stack_file import validated_settings


class EffectiveSetting(NamedTuple):
    """One setting in force."""

    key: str
    value: Any
    origin: str
    """`stacks/Pulumi.dev.yaml:12`, `stacks/defaults.yaml:4` or `default`."""


def settings(stack: str) -> Settings:
    """Return the settings in force. Raises what a run of the program with that stack file would raise."""
    return _read(stack)[0]


def show(stack: str) -> list[EffectiveSetting]:
    """Return every setting in force, with secrets as `***`."""
    settings, tree, own = _read(stack)
    rows = _leaves(settings.model_dump(mode="json", by_alias=True), tree, ())
    secrets = sorted(required_secrets(tree))
    return [*rows, *(EffectiveSetting(name, SECRET, _origin_of_secret(name, own, settings)) for name in secrets)]


def _read(stack: str) -> tuple[Settings, Node, Node]:
    """Return the settings, the merged content of both files, and the content of the stack's own."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    own, shared = read_files(stack)
    tree = effective(own.settings, shared.settings)
    return validated_settings(stack, tree, [*own.errors, *shared.errors]), tree, own.settings


def _leaves(value: Any, written: Node | None, key: tuple[str, ...]) -> Iterator[EffectiveSetting]:
    """Yield the leaves of the settings, lists as a whole, with the line each of them is written on."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, written.items().get(name) if written else None, (*key, name))
    else:
        yield EffectiveSetting(dotted(key), value, str(written.location) if written and written.location else "default")


def _origin_of_secret(name: str, own: Node, settings: Settings) -> str:
    if settings.secret_files:
        return f"{settings.secret_files}/{name}"
    location = own.items()[name].location if name in own.items() else None
    return str(location) if location else "not set"


def text(value: Any) -> str:
    """Return a value as people read it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

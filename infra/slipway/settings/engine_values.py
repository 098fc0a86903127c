"""The values that the engine passes to the program: each one as a text, secrets decrypted, without lines."""

from __future__ import annotations

import json
from typing import Any

from slipway import engine
from slipway.settings.engine_yaml import Node
from slipway.settings.errors import PREFIX
from slipway.settings.settings import SECTIONS, SERVICE


def engine_texts() -> dict[str, str]:
    """Return the engine's values by key without `slipway:`: mappings and lists as JSON, anything else as its text."""
    values = engine.config_texts()
    return {key.removeprefix(PREFIX): text for key, text in values.items() if key.startswith(PREFIX)}


def secret_keys() -> set[str]:
    """Return the keys whose value is encrypted, or has an encrypted value inside."""
    return {key.removeprefix(PREFIX) for key in engine.secret_config_keys()}


def with_locations(texts: dict[str, str], written: Node) -> Node:
    """Return the engine's values with their lines in the stack file. The values of secrets are left out."""
    sections: dict[str, Node] = {}
    for name, text in texts.items():
        node = written.items().get(name)
        if name in secret_keys() or name not in {*SECTIONS, SERVICE}:
            sections[name] = node or Node(None)
        elif node and not isinstance(node.value, dict | list) and engine_text(node.value) == text:
            sections[name] = node
        else:
            sections[name] = _with_locations(parse_text(text), node)
    return Node(sections, written.location)


def engine_text(value: Any) -> str:
    """Return a value of a stack file as the engine passes it to the program."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)


def parse_text(text: str) -> Any:
    """Return the value of one of the engine's texts. It passes null as an empty text; invalid JSON stays a text."""
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text or None
    except (ValueError, RecursionError):
        return text


def _with_locations(value: Any, written: Node | None) -> Node:
    """Return a value with the locations and the order of keys in the stack file."""
    if written is None:
        return Node.of(value)
    if isinstance(value, dict) and isinstance(written.value, dict):
        keys = [*(key for key in written.value if key in value), *(key for key in value if key not in written.value)]
        return Node({key: _with_locations(value[key], written.value.get(key)) for key in keys}, written.location)
    if isinstance(value, list) and isinstance(written.value, list) and len(value) == len(written.value):
        return Node([_with_locations(*pair) for pair in zip(value, written.value, strict=True)], written.location)
    # The engine turns a date without quotes into a timestamp.
    return written if value == f"{written.value} 00:00:00 +0000 UTC" else Node.of(value, written.location)

"""The reference of all settings (docs/reference/config.md), made from the settings' own model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.ops.program.config import text
from slipway.ops.program.schema import definition_of
from slipway.project import ROOT
from slipway.settings import tiers
from slipway.settings.errors import PREFIX
from slipway.settings.settings import Settings

DOCUMENT = ROOT / "docs" / "reference" / "config.md"

HEAD = """<!-- Written by `./slipway config docs --write` from infra/slipway/settings. -->
# Settings

Everything `stacks/Pulumi.<stack>.yaml` may say. What holds for a stack, and where each value comes from:
`./slipway config show -s STACK`.

1. A stack's file is laid over `stacks/defaults.yaml`, which has the same form: mappings key by key, lists and single
   values as a whole. `null` in the stack's file takes out what defaults.yaml says.
2. Each service is then laid over `slipway:service`, in the same way; `null` takes out what stands there, too.
3. What still is not said has the default below.

Secrets are top-level values beside the sections, `slipway:<name>: {secure: ...}`, one for each name that a service
lists under `secrets`: `pulumi config set --secret slipway:NAME -s STACK`. In the tiers staging and prod they have at
least 16 characters, and no placeholder will do. Where text is asked for, `true`, `8080` and the like stand in quotes.
"""


def docs() -> str:
    """Return the reference as Markdown: a table for each section."""
    model = Settings.model_json_schema(by_alias=True)
    parts = [HEAD, "\n## Tiers\n\n", tiers.document(), "\n## Sections\n\n", _table(model, PREFIX)]
    for path, name in _sections(model, model, PREFIX, []):
        section = model["$defs"][name]
        parts += [f"\n## `{path}`\n\n{_cell(section['description'])}\n\n", _table(section, "")]
    return "".join(parts)


def _sections(
    section: dict[str, Any], model: dict[str, Any], path: str, listed: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield the path of each definition's first use, in reading order: `slipway:services.<name>.drain`, `Drain`."""
    for key, inner in section["properties"].items():
        for name, below in _definitions(inner):
            if name not in listed:
                listed.append(name)
                yield f"{path}{key}{below}", name
                yield from _sections(model["$defs"][name], model, f"{path}{key}{below}.", listed)


def _definitions(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the definitions that a value consists of, each with its path below the value's key."""
    if "$ref" in schema:
        yield definition_of(schema), ""
    for part in schema.get("anyOf", []):
        yield from _definitions(part)
    for part in schema.get("patternProperties", {}).values():
        yield from ((name, f".<name>{below}") for name, below in _definitions(part))
    if "items" in schema:
        yield from ((name, f"[]{below}") for name, below in _definitions(schema["items"]))


def _table(section: dict[str, Any], prefix: str) -> str:
    required = section.get("required", [])
    lines = ["| key | type | default | | example |", "|---|---|---|---|---|"]
    for key, inner in section["properties"].items():
        about = _cell(inner.get("description", ""))
        cells = (f"`{prefix}{key}`", _kind(key, inner), _default(key, inner, required), about, _example(inner))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _kind(key: str, schema: dict[str, Any]) -> str:
    """Describe type and range, with the unit in which the key's name ends."""
    unit = {"Seconds": " of seconds", "Percent": " of percent"}
    number = next((f"whole number{words}" for end, words in unit.items() if key.endswith(end)), "whole number")
    return _cell(_words(schema).replace("whole number", number))


def _words(schema: dict[str, Any]) -> str:
    kinds = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    # Whole numbers are numbers, too.
    inner = next((part for part in kinds if part.get("type") == "number"), kinds[0])
    if "patternErrorMessage" in inner:
        return inner["patternErrorMessage"].removeprefix("should be ")
    if "enum" in inner:
        return "one of " + ", ".join(f"`{value}`" for value in inner["enum"])
    if inner.get("type") in ("integer", "number"):
        return f"{'whole ' if inner['type'] == 'integer' else ''}number, {_range(inner)}"
    if "items" in inner:
        return f"list: {_words(inner['items'])}"
    if "patternProperties" in inner:
        return "mapping of names to: " + ", ".join(map(_words, inner["patternProperties"].values()))
    words = {"boolean": "`true` or `false`", "object": "mapping", "string": "text", "date": "day, as 2027-01-31"}
    return words[inner.get("format") or inner.get("type", "object")]


def _range(schema: dict[str, Any]) -> str:
    """Return the range of a number: `1 to 100`, `50 to less than 100`, `more than 0`."""
    lower = f"{schema['minimum']:g}" if "minimum" in schema else f"more than {schema['exclusiveMinimum']:g}"
    upper = f" to {schema['maximum']}" if "maximum" in schema else ""
    return lower + (f" to less than {schema['exclusiveMaximum']:g}" if "exclusiveMaximum" in schema else upper)


def _default(key: str, schema: dict[str, Any], required: list[str]) -> str:
    if key in required:
        return "required"
    value = schema.get("default")
    # A section's default is that of its keys; for `null` the description says what holds.
    return "" if value is None or "$ref" in schema else f"`{_cell(text(value))}`"


def _example(schema: dict[str, Any]) -> str:
    return f"`{_cell(text(schema['examples'][0]))}`" if "examples" in schema else ""


def _cell(content: str) -> str:
    return content.replace("\n", " ").replace("|", "\\|")

"""`./slipway config`: what a stack's settings are and where each comes from; what a stack file may say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import files
import typer
from engine_yaml import Node
from mistakes import PREFIX, dotted
from settings import Settings
from stack_file import RELEASE, SECTIONS, SERVICE, effective, judged, needed_secrets, read_files

from ops.recorder import ROOT, SECRET, stack_config

SCHEMA = ROOT / "stacks" / "schema.json"
DOCUMENT = ROOT / "docs" / "config.md"

app = typer.Typer(name="config", help="Show and describe the settings of a stack.", no_args_is_help=True)
Write = Annotated[bool, typer.Option("--write", help="Write the file instead of printing it.")]


class Row(NamedTuple):
    """One setting in force."""

    key: str
    value: Any
    origin: str
    """`stacks/Pulumi.dev.yaml:12`, `stacks/defaults.yaml:4` or `default`."""


@app.command("show")
def show_command(
    stack: Annotated[str, typer.Option("--stack", "-s", help="Name of the stack: local, dev, staging or prod.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every setting in force, and the line it comes from. Example: ./slipway config show -s prod"""
    rows = show(stack)
    if as_json:
        sys.stdout.write(json.dumps([row._asdict() for row in rows], indent=2, ensure_ascii=False) + "\n")
        return
    told = [(row.key, _text(row.value), row.origin) for row in rows]
    key_width, value_width = (max(len(line[column]) for line in told) for column in (0, 1))
    for key, value, origin in told:
        sys.stdout.write(f"{key:{key_width}}  {value:{min(value_width, 40)}}  {origin}\n")


@app.command("schema")
def schema_command(write: Write = False) -> None:
    """Print the JSON Schema that editors check a stack file with (stacks/schema.json)."""
    _out(_json(schema()), SCHEMA if write else None)


@app.command("docs")
def docs_command(write: Write = False) -> None:
    """Print the reference of all settings (docs/config.md)."""
    _out(docs(), DOCUMENT if write else None)


def _out(text: str, file: Path | None) -> None:
    if file is None:
        sys.stdout.write(text)
    else:
        files.write({file: text})
        typer.echo(f"wrote {file.relative_to(ROOT)}", err=True)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def settings(stack: str) -> Settings:
    """The settings in force; raises what a run with that stack file would raise."""
    return _read(stack)[0]


def show(stack: str) -> list[Row]:
    """Every setting in force, secrets as `***`."""
    settings, tree, own = _read(stack)
    rows = _rows(settings.model_dump(mode="json", by_alias=True), tree, ())
    secrets = sorted(needed_secrets(tree))
    return [*rows, *(Row(name, SECRET, _origin_of_secret(name, own, settings)) for name in secrets)]


def _read(stack: str) -> tuple[Settings, Node, Node]:
    """The settings, what is written in both files, and what in the stack's own."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    own, shared = read_files(stack)
    tree = effective(own.settings, shared.settings)
    return judged(stack, tree, [*own.mistakes, *shared.mistakes]), tree, own.settings


def _rows(value: Any, written: Node | None, key: tuple[str, ...]) -> Iterator[Row]:
    """The leaves of the settings, lists as a whole, with the place of what is written there."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _rows(item, written.items().get(name) if written else None, (*key, name))
    else:
        yield Row(dotted(key), value, str(written.place) if written and written.place else "default")


def _origin_of_secret(name: str, own: Node, settings: Settings) -> str:
    if settings.secret_files:
        return f"{settings.secret_files}/{name}"
    place = own.items()[name].place if name in own.items() else None
    return str(place) if place else "not set"


def schema() -> dict[str, Any]:
    """The JSON Schema of a stack file, and of defaults.yaml.

    Nothing is required and `null` is allowed everywhere: what one file leaves out, or takes out, the other may give.
    What is an item of a list has to be whole.
    """
    model = Settings.model_json_schema(by_alias=True)
    items = {name for inner in model["$defs"].values() for name in _items(inner)} | set(_items(model))
    definitions = {name: _partial(inner, whole=name in items) for name, inner in model["$defs"].items()}
    # No file may give it.
    del model["properties"][RELEASE]
    sections = {f"{PREFIX}{name}": _or_null(_partial(inner)) for name, inner in model["properties"].items()}
    sections[f"{PREFIX}{SERVICE}"] = {"$ref": "#/$defs/Service", "description": "What every service starts from."}
    secret = {
        "description": "A secret of this stack: pulumi config set --secret NAME -s STACK",
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }
    names = "|".join(sorted([*SECTIONS, SERVICE]))
    config = {
        "type": "object",
        "properties": sections,
        "patternProperties": {
            f"^{PREFIX}(?!({names})$)[a-z]([-a-z0-9]*[a-z0-9])?$": secret,
            f"^(?!{PREFIX})[^:]+:[^:]+$": {"description": "Settings of a Pulumi provider."},
        },
        "additionalProperties": False,
    }
    pulumis = {name: {"type": "string"} for name in ("encryptionsalt", "encryptedkey", "secretsprovider")}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Written by `./slipway config schema --write`.",
        "title": "Stack file of Slipway",
        "type": "object",
        "properties": {"config": config, "environment": {}, **pulumis},
        "required": ["config"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _items(section: dict[str, Any]) -> Iterator[str]:
    """The definitions that lists of a section hold."""
    for inner in section["properties"].values():
        if "$ref" in inner.get("items", {}):
            yield _name(inner["items"])


def _name(reference: dict[str, Any]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _partial(schema: dict[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """A schema without titles and, unless it has to be whole, without demands for keys."""
    left_out = {"title"} if whole else {"title", "required", "minProperties"}
    kept = {key: value for key, value in schema.items() if key not in left_out}
    for key in kept.keys() & {"properties", "patternProperties"}:
        kept[key] = {name: _partial(inner) if whole else _or_null(_partial(inner)) for name, inner in kept[key].items()}
    # pydantic leaves a key that fits no pattern to `propertyNames`, which does not know the pattern.
    return {**kept, "additionalProperties": False} if "patternProperties" in kept else kept


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return {**beside, "anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}]}
    if "type" not in schema:
        return schema
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **values, "type": [*kinds, "null"]}


HEAD = """<!-- Written by `./slipway config docs --write` from infra/settings.py. -->
# Settings

Everything `stacks/Pulumi.<stack>.yaml` may say. What holds for a stack, and where each value comes from:
`./slipway config show -s STACK`.

1. A stack's file is laid over `stacks/defaults.yaml`, which has the same form: mappings key by key, lists and single
   values as a whole. `null` in the stack's file takes out what defaults.yaml says.
2. Each service is then laid over `slipway:service`, in the same way; `null` takes out what stands there, too.
3. What still is not said has the default below.

Secrets are top-level values beside the sections, `slipway:<name>: {secure: ...}`, one for each name that a service
lists under `secrets`: `pulumi config set --secret NAME -s STACK`. Everywhere but in local and dev they have at least 16
characters, and no placeholder will do. Where text is asked for, `true`, `8080` and the like stand in quotes.
"""


def docs() -> str:
    """The reference as Markdown: a table for each section."""
    model = Settings.model_json_schema(by_alias=True)
    parts = [HEAD, "\n## Sections\n\n", _table(model, PREFIX)]
    for path, name in _sections(model, model, PREFIX, []):
        section = model["$defs"][name]
        parts += [f"\n## `{path}`\n\n{_cell(section['description'])}\n\n", _table(section, "")]
    return "".join(parts)


def _sections(section: dict[str, Any], model: dict[str, Any], path: str, seen: list[str]) -> Iterator[tuple[str, str]]:
    """Where each definition stands first, in reading order: `slipway:services.<name>.drain`, `Drain`."""
    for key, inner in section["properties"].items():
        for name, below in _definitions(inner):
            if name not in seen:
                seen.append(name)
                yield f"{path}{key}{below}", name
                yield from _sections(model["$defs"][name], model, f"{path}{key}{below}.", seen)


def _definitions(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The definitions a value is made of, with how to get to one from the value's key."""
    if "$ref" in schema:
        yield _name(schema), ""
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
    """The type and range in words, with the unit the key's name ends in."""
    unit = {"Seconds": " of seconds", "Percent": " of percent"}
    said = next((f"whole number{words}" for end, words in unit.items() if key.endswith(end)), "whole number")
    return _cell(_words(schema).replace("whole number", said))


def _words(schema: dict[str, Any]) -> str:
    inner = next((part for part in schema.get("anyOf", []) if part.get("type") != "null"), schema)
    if "patternErrorMessage" in inner:
        return inner["patternErrorMessage"].removeprefix("should be ")
    if "enum" in inner:
        return "one of " + ", ".join(f"`{value}`" for value in inner["enum"])
    if "minimum" in inner:
        return f"whole number, {inner['minimum']} to {inner['maximum']}"
    if "items" in inner:
        return f"list: {_words(inner['items'])}"
    if "patternProperties" in inner:
        return "mapping of names to: " + ", ".join(map(_words, inner["patternProperties"].values()))
    kinds = {"boolean": "`true` or `false`", "object": "mapping", "string": "text", "date": "day, as 2027-01-31"}
    return kinds[inner.get("format") or inner.get("type", "object")]


def _default(key: str, schema: dict[str, Any], required: list[str]) -> str:
    if key in required:
        return "required"
    value = schema.get("default")
    # A section's default is that of its keys; for `null` the description says what holds.
    return "" if value is None or "$ref" in schema else f"`{_cell(_text(value))}`"


def _example(schema: dict[str, Any]) -> str:
    return f"`{_cell(_text(schema['examples'][0]))}`" if "examples" in schema else ""


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")

"""The JSON Schema of stack files, made from the settings' own model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.project import ROOT
from slipway.settings.errors import PREFIX
from slipway.settings.settings import RELEASE, SECTIONS, SERVICE, Settings

SCHEMA = ROOT / "stacks" / "schema.json"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a stack file, which is that of defaults.yaml too.

    Nothing is required and `null` is allowed everywhere, because each of the two files may leave keys to the other.
    Items of lists have to be complete: lists are not merged.
    """
    model = Settings.model_json_schema(by_alias=True)
    items = {name for inner in model["$defs"].values() for name in _items(inner)} | set(_items(model))
    encryption = {name: {"type": "string"} for name in ("encryptionsalt", "encryptedkey", "secretsprovider")}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Written by `./slipway config schema --write`.",
        "title": "Stack file of Slipway",
        "type": "object",
        "properties": {"config": _config(model), "environment": {}, **encryption},
        "required": ["config"],
        "additionalProperties": False,
        "$defs": {name: _partial(inner, whole=name in items) for name, inner in model["$defs"].items()},
    }


def _config(model: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of `config:`: the sections, secrets, and the settings of Pulumi providers."""
    # Only a rollback gives RELEASE, and no file.
    properties = {name: inner for name, inner in model["properties"].items() if name != RELEASE}
    sections = {f"{PREFIX}{name}": _or_null(_partial(inner)) for name, inner in properties.items()}
    sections[f"{PREFIX}{SERVICE}"] = {"$ref": "#/$defs/Service", "description": "What every service starts from."}
    secret = {
        "description": "A secret of this stack: pulumi config set --secret slipway:NAME -s STACK",
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }
    names = "|".join(sorted([*SECTIONS, SERVICE]))
    return {
        "type": "object",
        "properties": sections,
        "patternProperties": {
            f"^{PREFIX}(?!({names})$)[a-z]([-a-z0-9]*[a-z0-9])?$": secret,
            f"^(?!{PREFIX})[^:]+:[^:]+$": {"description": "Settings of a Pulumi provider."},
        },
        "additionalProperties": False,
    }


def _items(section: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the definitions of list items in a section."""
    for inner in section["properties"].values():
        if "$ref" in inner.get("items", {}):
            yield definition_of(inner["items"])


def definition_of(reference: dict[str, Any]) -> str:
    """Return the name behind a `$ref`."""
    return reference["$ref"].rpartition("/")[2]


def _partial(schema: dict[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """Return a schema without titles and, unless it has to be whole, without required keys."""
    left_out = {"title"} if whole else {"title", "required", "minProperties"}
    kept = {key: value for key, value in schema.items() if key not in left_out}
    for key in kept.keys() & {"properties", "patternProperties"}:
        kept[key] = {name: _partial(inner) if whole else _or_null(_partial(inner)) for name, inner in kept[key].items()}
    # pydantic checks the keys by `propertyNames`, which does not know the pattern.
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

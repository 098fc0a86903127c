"""Errors in a stack file: each with its place, key, rule, value and an example, all reported at once."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import pulumi
import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from slipway.suggestions import instead_of, nearest

Key = tuple[str | int, ...]
PREFIX = "slipway:"

# Values below these keys may be anything, a password included: error messages never show them.
_NEVER_SHOWN = frozenset({"env", "file", "args", "secrets", "registry", "registries", "secretStore", "patch"})


@dataclass(frozen=True)
class Location:
    """A line of a file."""

    file: str
    line: int
    key: Key = ()
    """The setting on that line, without `slipway:`; empty if there is none."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


Locate = Callable[[Key], Location | None]
"""Returns the location of a key or, if it is missing, that of the section it is missing in."""


@dataclass(frozen=True)
class InvalidSetting:
    """One error: the key, the rule it breaks, the value given, and an example of a valid one."""

    key: Key
    """Without `slipway:`; empty where the rule names what it is about."""
    rule: str
    value: object = None
    example: str | None = None
    location: Location | None = None
    """Default: the location of the key."""

    @classmethod
    def unknown(cls, key: Key, known: Iterable[str], location: Location | None = None) -> InvalidSetting:
        """Return the error for an unknown key, with the key that was probably meant: `resources.cpu` for `cpu`."""
        names, wanted = list(known), str(key[-1])
        same_level = sorted(name for name in names if "." not in name)
        below = (name for name in names if name.lower().endswith(f".{wanted.lower()}"))
        near = next(below, None) or nearest(wanted, same_level)
        hint = f'did you mean "{near}"?' if near else f"known here: {', '.join(same_level) or 'nothing'}"
        return cls(key, f"unknown key; {(not near and instead_of(wanted)) or hint}", location=location)

    def message(self, location: Location | None) -> str:
        """Return one line: `stacks/Pulumi.dev.yaml:12: slipway:services.api.replcas: unknown key; ...`."""
        where = f"{location}: " if location else ""
        prefix = PREFIX if self.key and ":" not in str(self.key[0]) else ""
        key = f"{prefix}{dotted(self.key)}: " if self.key else ""
        given = "" if self.value is None else f" (found: {_shown(self.value)})"
        names = [str(part) for part in self.key if isinstance(part, str)]
        example = f". Example: {names[-1]}: {self.example}" if self.example and names else ""
        return f"{where}{key}{self.rule}{given}{example}"


def dotted(key: Key) -> str:
    """Return a key as printable text: `("services", "api", "env", "A")` -> `services.api.env.A`."""
    return ".".join(part if part.isprintable() else repr(part)[1:-1] for part in map(_cut, key))


def raise_errors(source: str, errors: Iterable[InvalidSetting], locate: Locate) -> NoReturn:
    """Raise one `pulumi.RunError` with all errors of a source, such as a stack file."""
    lines = messages(errors, locate)
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    raise pulumi.RunError(f"{source} has {count}; nothing was changed.\n" + "\n".join(f"  {line}" for line in lines))


def messages(errors: Iterable[InvalidSetting], locate: Locate) -> list[str]:
    """Return one line for each error, in the order of the file."""
    return [line for _, line in sorted({_in_order(error, locate) for error in errors})]


def invalid_settings(error: ValidationError, model: type[BaseModel]) -> Iterator[InvalidSetting]:
    """Translate the errors of pydantic into the terms of a stack file."""
    for detail in error.errors(include_url=False):
        # pydantic marks an invalid *key* of a mapping with a trailing "[key]"
        key = tuple(part for part in detail["loc"] if part != "[key]")
        owner, field = _field(model, key)
        example = _example(field)
        if detail["type"] == "extra_forbidden":
            yield InvalidSetting.unknown(key, _keys(owner))
        elif detail["type"] == "missing":
            yield InvalidSetting(key, "is required", example=example)
        elif detail["input"] is None:
            yield InvalidSetting(key, "has no value", example=example)
        else:
            shown = isinstance(detail["input"], str | int | float) and not _NEVER_SHOWN & {*map(str, key)}
            rule = _rule(detail["type"], detail["msg"], detail["input"])
            yield InvalidSetting(key, rule, detail["input"] if shown else None, example)


_RULES = {
    "model_type": "should be a mapping",
    "dict_type": "should be a mapping",
    "list_type": "should be a list",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "string_type": "should be text",
    "string_pattern_mismatch": "has not the form of the example",
    "string_too_short": "should not be empty",
}


def _rule(kind: str, message: str, value: object) -> str:
    """Return the rule in plain words, with a hint at missing or superfluous quotes."""
    if kind == "string_too_short" and value:
        kind = ""
    rule = _RULES.get(kind, re.sub(r"^(Value error, |(Input|String|List|Dictionary) (?=should))", "", message))
    rule = rule.partition(" after validation")[0]
    is_quoted = {
        "int_type": str(value).isdigit(),
        "float_type": str(value).replace(".", "", 1).isdigit(),
        "bool_type": value in ("true", "false"),
    }
    quoted = isinstance(value, str) and is_quoted.get(kind)
    lacks_quotes = kind == "string_type" and isinstance(value, int | float)
    return f"{rule}, without quotes" if quoted else f"{rule}: put it in quotes" if lacks_quotes else rule


def _in_order(error: InvalidSetting, locate: Locate) -> tuple[tuple[str, int], str]:
    """Return the sort key and the line of an error. One in `slipway:service` is reported once, not for each service."""
    location = error.location or locate(error.key)
    if location and location.key[:1] == ("service",) and error.key[2:] == location.key[1:] != ():
        error = replace(error, key=location.key)
    return (location.file, location.line) if location else ("", 0), error.message(location)


def _shown(value: object) -> str:
    if isinstance(value, str):
        # A password in an address stands before an @; the digest of an image behind one.
        return "not shown" if "@" in value.replace("@sha256:", "") else repr(_cut(value))
    return json.dumps(value) if isinstance(value, bool | int | float) else "not shown"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _field(model: type[BaseModel], key: Key) -> tuple[type[BaseModel], FieldInfo | None]:
    """Return the innermost model on the way to a key, and the field of it that the key names."""
    owner, field, section, in_map = model, None, None, False
    for part in key:
        if in_map:  # this part is a name the user chose, or the index of an item
            owner, field, in_map = section or owner, field if isinstance(part, int) else None, False
            continue
        field = next((f for name, f in owner.model_fields.items() if part in (name, f.alias)), None)
        if field is None:
            return owner, None
        section, in_map = _section(field.annotation)
        if section and not in_map:
            owner = section
    return owner, field


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the model in a type, and whether a mapping or list holds it: `dict[str, Service]` -> Service, True."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if origin in (dict, list):
        return _section(arguments[-1])[0], True
    if origin in (typing.Union, types.UnionType):
        return next((section for arg in arguments if (section := _section(arg))[0]), (None, False))
    return None, False


def _keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of a section, and those of the sections right below it: `resources`, `resources.cpu`."""
    for name, field in model.model_fields.items():
        section, in_map = _section(field.annotation)
        yield field.alias or name
        for below, inner in section.model_fields.items() if section and not in_map else ():
            yield f"{field.alias or name}.{inner.alias or below}"


def _example(field: FieldInfo | None) -> str | None:
    if field is None or not field.examples:
        return None
    return yaml.safe_dump(field.examples[0], default_flow_style=True).removesuffix("...\n").strip()

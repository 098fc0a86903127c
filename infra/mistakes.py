"""How mistakes in the settings are told: all at once, each with its place, key, value, rule and an example."""

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
from suggestions import instead_of, nearest

Key = tuple[str | int, ...]
PREFIX = "slipway:"

# Values below these keys may be anything a user put there, a password included: they are never repeated.
_NEVER_SHOWN = frozenset({"env", "file", "args", "secrets", "registry", "secretStore"})


@dataclass(frozen=True)
class Place:
    """Where something stands."""

    file: str
    line: int
    key: Key = ()
    """Its key there, without `slipway:`; empty for what is no setting."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Mistake:
    """One thing wrong: the key it stands at, the rule it breaks, the value found and one that would do."""

    key: Key
    """Without `slipway:`; empty where the rule names what it is about."""
    rule: str
    value: object = None
    example: str | None = None
    place: Place | None = None
    """Default: where the key stands."""

    @classmethod
    def unknown(cls, key: Key, known: Iterable[str], place: Place | None = None) -> Mistake:
        """A key nobody reads, with the one that was meant, or what there is instead: `resources.cpu` for `cpu`."""
        names, wanted = list(known), str(key[-1])
        here = sorted(name for name in names if "." not in name)
        below = (name for name in names if name.lower().endswith(f".{wanted.lower()}"))
        near = next(below, None) or nearest(wanted, here)
        hint = f'did you mean "{near}"?' if near else f"known here: {', '.join(here) or 'nothing'}"
        return cls(key, f"unknown key; {(not near and instead_of(wanted)) or hint}", place=place)

    def told(self, place: Place | None) -> str:
        """`stacks/Pulumi.dev.yaml:12: slipway:services.api.replcas: unknown key; ...`."""
        where = f"{place}: " if place else ""
        prefix = PREFIX if self.key and ":" not in str(self.key[0]) else ""
        key = f"{prefix}{dotted(self.key)}: " if self.key else ""
        given = "" if self.value is None else f" (found: {_shown(self.value)})"
        names = [str(part) for part in self.key if isinstance(part, str)]
        example = f". Example: {names[-1]}: {self.example}" if self.example and names else ""
        return f"{where}{key}{self.rule}{given}{example}"


def dotted(key: Key) -> str:
    """`("services", "api", "env", "A")` -> `services.api.env.A`; what no screen should print is escaped."""
    return ".".join(part if part.isprintable() else repr(part)[1:-1] for part in map(_cut, key))


def refuse(source: str, mistakes: Iterable[Mistake], place: Callable[[Key], Place | None]) -> NoReturn:
    """End the program with one `pulumi.RunError` that tells every mistake; nothing has been changed by then.

    `source` is what has them: a stack file. `place` finds a key; one that is not there has the place of the section it
    is missing in.
    """
    lines = told(mistakes, place)
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    raise pulumi.RunError(f"{source} has {count}; nothing was changed.\n" + "\n".join(f"  {line}" for line in lines))


def told(mistakes: Iterable[Mistake], place: Callable[[Key], Place | None]) -> list[str]:
    """Return one line for each mistake, in the order of the file."""
    return [line for _, line in sorted({_in_place(mistake, place) for mistake in mistakes})]


def all_mistakes(error: ValidationError, model: type[BaseModel]) -> Iterator[Mistake]:
    """pydantic's findings in the stack file's own words."""
    for found in error.errors(include_url=False):
        # pydantic marks a bad *key* of a mapping with a trailing "[key]"
        key = tuple(part for part in found["loc"] if part != "[key]")
        owner, field = _field(model, key)
        example = _example(field)
        if found["type"] == "extra_forbidden":
            yield Mistake.unknown(key, _keys(owner))
        elif found["type"] == "missing":
            yield Mistake(key, "is required", example=example)
        elif found["input"] is None:
            yield Mistake(key, "has no value", example=example)
        else:
            shown = isinstance(found["input"], str | int | float) and not _NEVER_SHOWN & {*map(str, key)}
            rule = _rule(found["type"], found["msg"], found["input"])
            yield Mistake(key, rule, found["input"] if shown else None, example)


_RULES = {
    "model_type": "should be a mapping",
    "dict_type": "should be a mapping",
    "list_type": "should be a list",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "bool_type": "should be true or false",
    "string_type": "should be text",
    "string_pattern_mismatch": "has not the form of the example",
    "string_too_short": "should not be empty",
}


def _rule(kind: str, message: str, found: object) -> str:
    """`Input should be a valid integer` -> `should be a whole number`, with the usual slip of YAML."""
    if kind == "string_too_short" and found:
        kind = ""
    rule = _RULES.get(kind, re.sub(r"^(Value error, |(Input|String|List|Dictionary) (?=should))", "", message))
    rule = rule.partition(" after validation")[0]
    quoted = isinstance(found, str) and {"int_type": found.isdigit(), "bool_type": found in ("true", "false")}.get(kind)
    bare = kind == "string_type" and isinstance(found, int | float)
    return f"{rule}, without quotes" if quoted else f"{rule}: put it in quotes" if bare else rule


def _in_place(mistake: Mistake, place: Callable[[Key], Place | None]) -> tuple[tuple[str, int], str]:
    """What orders the mistakes, and how this one is told: once where it stands, for all services that have it."""
    at = mistake.place or place(mistake.key)
    if at and at.key[:1] == ("service",) and mistake.key[2:] == at.key[1:] != ():
        mistake = replace(mistake, key=at.key)
    return (at.file, at.line) if at else ("", 0), mistake.told(at)


def _shown(value: object) -> str:
    if isinstance(value, str):
        # Whoever puts a password into an address does so before an @.
        return "not shown" if "@" in value else repr(_cut(value))
    return json.dumps(value) if isinstance(value, bool | int | float) else "not shown"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _field(model: type[BaseModel], key: Key) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost model the key passes through, and the field of it that the key names."""
    owner, field, section, in_map = model, None, None, False
    for part in key:
        if in_map:  # this part is a name the user chose, or the number of an item
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
    """The model in an annotation, and whether it is a mapping's or list's: `dict[str, Service]` -> Service, True."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if origin in (dict, list):
        return _section(arguments[-1])[0], True
    if origin in (typing.Union, types.UnionType):
        return next((found for arg in arguments if (found := _section(arg))[0]), (None, False))
    return None, False


def _keys(model: type[BaseModel]) -> Iterator[str]:
    """The keys of a section, and those of the sections right below it: `resources`, `resources.cpu`."""
    for name, field in model.model_fields.items():
        section, in_map = _section(field.annotation)
        yield field.alias or name
        for below, inner in section.model_fields.items() if section and not in_map else ():
            yield f"{field.alias or name}.{inner.alias or below}"


def _example(field: FieldInfo | None) -> str | None:
    if field is None or not field.examples:
        return None
    return yaml.safe_dump(field.examples[0], default_flow_style=True).removesuffix("...\n").strip()

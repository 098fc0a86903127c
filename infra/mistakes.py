"""How mistakes in a stack file are told: all at once, each with its line, key, value, rule and an example."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pulumi
import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

Key = tuple[str | int, ...]

# Values below these keys may be anything a user put there, a password included: they are never repeated.
_NEVER_SHOWN = ("env", "file")


@dataclass(frozen=True)
class Mistake:
    """One thing wrong: the key it stands at, the rule it breaks, the value found and one that would do."""

    key: Key
    rule: str
    value: object = None
    example: str | None = None

    @classmethod
    def unknown(cls, key: Key, known: Iterable[str]) -> Mistake:
        """A key nobody reads, with the nearest one that somebody does."""
        names = {name.lower(): name for name in known}
        near = difflib.get_close_matches(str(key[-1]).lower(), names, n=1)
        hint = (
            f'did you mean "{names[near[0]]}"?'
            if near
            else f"known here: {', '.join(sorted(names.values())) or 'nothing'}"
        )
        return cls(key, f"unknown key; {hint}")

    def told(self, line: int | None) -> str:
        """`line 12: slipway:services.api.replcas: unknown key; ...`."""
        where = f"line {line}: " if line else ""
        given = "" if self.value is None else f" (found: {str(self.value)[:60]!r})"
        example = f". Example: {self.key[-1]}: {self.example}" if self.example else ""
        return f"{where}slipway:{dotted(self.key)}: {self.rule}{given}{example}"


def dotted(key: Key) -> str:
    """`("services", "api", "env", "A")` -> `services.api.env.A`."""
    return ".".join(str(part) for part in key)


def refuse(file: Path, mistakes: list[Mistake]) -> NoReturn:
    """End the program with one `pulumi.RunError` that tells every mistake; nothing has been changed by then."""
    lines = _lines(file)
    told = sorted({mistake.told(lines.get(mistake.key)) for mistake in mistakes})
    count = "1 mistake" if len(told) == 1 else f"{len(told)} mistakes"
    raise pulumi.RunError(
        f"stacks/{file.name} has {count}; nothing was changed.\n" + "\n".join(f"  {line}" for line in told)
    )


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
        else:
            shown = isinstance(found["input"], str | int | float | bool) and not any(
                part in _NEVER_SHOWN for part in key
            )
            yield Mistake(key, _rule(found["type"], found["msg"]), found["input"] if shown else None, example)


def _rule(kind: str, message: str) -> str:
    """`Input should be a valid integer` -> `should be a valid integer`."""
    if kind in ("model_type", "dict_type"):
        return "should be a mapping"
    return re.sub("^(Value error, |(Input|String) (?=should))", "", message)


def _field(model: type[BaseModel], key: Key) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost model the key passes through, and the field of it that the key names."""
    owner, field, section, in_map = model, None, None, False
    for part in key:
        if in_map:  # this part is a name the user chose
            owner, field, in_map = section or owner, None, False
            continue
        field = next((f for name, f in owner.model_fields.items() if part in (name, f.alias)), None)
        if field is None:
            return owner, None
        section, in_map = _section(field.annotation)
        if section and not in_map:
            owner = section
    return owner, field


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model in an annotation, and whether it is a mapping's value: `dict[str, Service]` -> Service, True."""
    origin = typing.get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if origin is dict:
        return _section(typing.get_args(annotation)[1])[0], True
    if origin in (typing.Union, types.UnionType):
        return next((found for arg in typing.get_args(annotation) if (found := _section(arg))[0]), (None, False))
    return None, False


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _example(field: FieldInfo | None) -> str | None:
    if field is None or not field.examples:
        return None
    return yaml.safe_dump(field.examples[0], default_flow_style=True).removesuffix("...\n").strip()


def _lines(file: Path) -> dict[Key, int]:
    """Line of each key in the file; none for a file that is not there or is no YAML."""
    try:
        root = yaml.compose(file.read_text(), Loader=yaml.SafeLoader)
    except (OSError, yaml.YAMLError):
        return {}
    return {(str(key[1]).removeprefix("slipway:"), *key[2:]): line for key, line in _walk(root, ()) if len(key) > 1}


def _walk(node: yaml.Node | None, at: Key) -> Iterator[tuple[Key, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*at, key.value), key.start_mark.line + 1
            yield from _walk(value, (*at, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*at, index), value.start_mark.line + 1
            yield from _walk(value, (*at, index))

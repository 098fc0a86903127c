"""What all sections share: camelCase keys, exact types, and rules between the values of one section."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

tolerated_errors: ContextVar[list[str] | None] = ContextVar("tolerated_errors", default=None)
"""Collects the rules that a recorded release breaks. None while broken rules are errors.

Such a release has run before: a rule that was added since must not prevent a rollback to it.
"""
_Section = TypeVar("_Section", bound="Section")


def section_rule(check: Callable[[_Section], _Section]) -> Any:
    """Register a rule between the values of a section. It raises ValueError if it is broken."""

    @functools.wraps(check)
    def checked(self: _Section) -> _Section:
        try:
            return check(self)
        except ValueError as error:
            if (tolerated := tolerated_errors.get()) is None:
                raise
            tolerated.append(str(error))
            return self

    return model_validator(mode="after")(checked)


class Section(BaseModel):
    """A mapping of a stack file: camelCase keys, exact types, no unknown keys; immutable once validated."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON Schema, with the docstring below each field as its description.

        `use_attribute_docstrings` does the same, but reads the sources at each start: half of the time it takes to
        import the settings, for texts that only the reference and the schema show.
        """
        reference = handler(schema)
        properties = handler.resolve_ref_schema(reference)["properties"]
        for name, text in _field_docstrings(cls):
            properties[cls.model_fields[name].alias or name].setdefault("description", text)
        return reference


def _field_docstrings(cls: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield each field of a section, inherited ones included, with the string literal below it."""
    for owner in cls.__mro__:
        if not issubclass(owner, Section) or owner is Section:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        statements: list[ast.stmt] = getattr(definition, "body", [])
        for field, below in pairwise(statements):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    if name in cls.model_fields:
                        yield name, inspect.cleandoc(text)
                case _:
                    pass

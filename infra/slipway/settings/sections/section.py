"""What all sections share: camelCase keys, exact types, and rules between the values of one section."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

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

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )

"""A text that has to match a pattern: how pydantic validates it, and how the JSON schema for editors describes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema


@dataclass(frozen=True)
class TextFormat:
    """The format of a text. `check` raises ValueError for what a pattern cannot express."""

    description: str
    """What error messages say the text should be."""
    pattern: str = r".*"
    check: Callable[[str], object] = str
    max_length: int = 253
    accepts_numbers: bool = False
    """Whether a number counts as its text: `cpu: 1` is a number in YAML and a quantity in Kubernetes."""

    def validate(self, value: object) -> object:
        """Return the text. Raise ValueError with a message for the user if it is not valid."""
        is_number = isinstance(value, int | float)
        text = str(value) if self.accepts_numbers and is_number else value
        if not isinstance(text, str) or len(text) > self.max_length or not re.fullmatch(self.pattern, text):
            lacks_quotes = is_number and not self.accepts_numbers and re.fullmatch(self.pattern, str(value))
            raise ValueError(f"should be {self.description}{': put it in quotes' if lacks_quotes else ''}")
        self.check(text)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.validate, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        kind = ["string", "number"] if self.accepts_numbers else "string"
        text = {"type": kind, "pattern": f"^({self.pattern})$", "maxLength": self.max_length}
        return {**handler(schema), **text, "patternErrorMessage": f"should be {self.description}"}

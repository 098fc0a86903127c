"""Grammars of the API server, and checks that its rules share."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter, ValidationError

from slipway.rules.parts import Part
from slipway.rules.rule import Violations
from slipway.settings.types.scalars import Cidr, Cron, TimeZone, UrlPath

# Only the whole name is limited, to 253 characters.
SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
QUALIFIED = re.compile(rf"((?=[^/]{{1,253}}/){SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
DATA_KEY = re.compile(r"(?!\.\.|\.$)[-._A-Za-z0-9]{1,253}")
QUANTITY = re.compile(r"\+?[0-9]+(\.[0-9]*)?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?")


FORMS: dict[str, TypeAdapter[str]] = {
    "cidr": TypeAdapter(Cidr),
    "path": TypeAdapter(UrlPath),
    "schedule": TypeAdapter(Cron),
    "timeZone": TypeAdapter(TimeZone),
}


def is_port(value: Any) -> bool:
    """Return whether a value is a port number."""
    return isinstance(value, int) and 1 <= value <= 65535


def matches_form(part: Part, at: str, form: str) -> Violations:
    """Yield what is wrong with a value that has the same form in a stack file."""
    try:
        FORMS[form].validate_python(part.text(at))
    except ValidationError as error:
        yield part.wrong(at, error.errors()[0]["msg"].removeprefix("Value error, "))


def duplicates(places: list[tuple[Part, str, Any]]) -> Violations:
    """Yield a violation for each value that an earlier place has already."""
    earlier: list[Any] = []
    for part, at, value in places:
        if value in earlier:
            yield part.violation(at, f"is {value} a second time; use another")
        if value is not None:
            earlier.append(value)

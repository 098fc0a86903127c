"""Errors that the user can fix: one line with the cause, one with the fix."""

from __future__ import annotations

from collections.abc import Sequence


class SetupError(Exception):
    """The run cannot go on. The user sees the cause and the fix instead of a traceback."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        return f"error: {self.cause}\n  fix: {self.fix}"


class SetupFailedError(Exception):
    """Several errors, reported at once."""

    def __init__(self, errors: Sequence[SetupError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def raise_errors(errors: Sequence[SetupError]) -> None:
    """Raise SetupFailedError unless the list is empty."""
    if errors:
        raise SetupFailedError(errors)

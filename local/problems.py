"""What a user can put right: one line of cause, one line of fix."""

from __future__ import annotations

from collections.abc import Sequence


class Problem(Exception):
    """Ends the run with two lines instead of a traceback."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        return f"error: {self.cause}\n  fix: {self.fix}"


class Problems(Exception):
    """Several problems, told in one go."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def raise_all(problems: Sequence[Problem]) -> None:
    """Raise what was found, if anything was."""
    if problems:
        raise Problems(problems)

"""What a house rule is, and how a module registers its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from slipway.rules.parts import UnknownValueError, Violation
from slipway.rules.stack import Stack

Violations: TypeAlias = Iterator[Violation]


@dataclass(frozen=True)
class Rule:
    """One house rule."""

    id: str
    title: str
    """What holds."""
    reason: str
    """What would go wrong otherwise."""
    find: Callable[[Stack], Iterable[Violation]]
    security: bool
    """Whether a change that breaks it weakens security (ops/changes/security.py)."""
    single: bool
    """Whether one object is enough to see that it is broken."""
    only_mandatory: bool
    """Whether it holds only where findings are mandatory; elsewhere less is fine."""
    always: bool
    """Whether it is mandatory in every environment and cannot be waived: an update would fail."""
    advice: bool
    """Whether it is advice in every environment: the stack file asks for it, and a reader should know."""


Subject = TypeVar("Subject")
Check: TypeAlias = Callable[[Subject], Iterable[Violation]]


class Rules(list[Rule]):
    """The rules of one module, in reading order."""

    def __init__(self, *, always: bool = False, advice: bool = False) -> None:
        super().__init__()
        self._always, self._advice = always, advice

    def each(
        self,
        subjects: Callable[[Stack], Iterable[Subject]],
        id: str,
        *,
        title: str,
        reason: str,
        security: bool = False,
    ) -> Callable[[Check[Subject]], Check[Subject]]:
        """Register a rule about every single subject, such as every container."""

        def register(check: Check[Subject]) -> Check[Subject]:
            def find_in_each(stack: Stack) -> Iterator[Violation]:
                for subject in subjects(stack):
                    yield from _until_unknown(check, subject)

            def find(stack: Stack) -> Iterator[Violation]:
                return _until_unknown(find_in_each, stack)

            self.append(Rule(id, title, reason, find, security, True, False, self._always, self._advice))
            return check

        return register

    def together(
        self, id: str, *, title: str, reason: str, security: bool = False, only_mandatory: bool = False
    ) -> Callable[[Check[Stack]], Check[Stack]]:
        """Register a rule about all objects of a stack together."""

        def register(check: Check[Stack]) -> Check[Stack]:
            def find(stack: Stack) -> Iterator[Violation]:
                return _until_unknown(check, stack)

            self.append(Rule(id, title, reason, find, security, False, only_mandatory, self._always, self._advice))
            return check

        return register


def _until_unknown(check: Check[Subject], subject: Subject) -> Iterator[Violation]:
    """Yield violations up to the first value that is not known yet."""
    with suppress(UnknownValueError):
        yield from check(subject)

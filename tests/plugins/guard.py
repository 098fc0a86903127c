"""Fails a test that passed although one of its asserts never ran, because then it does not prove what its name says.

A test that passes has to run each `assert` and `pytest.raises` in it, and at least one, in the test or in a helper. So
these fail: asserts in a loop over nothing, behind a false `if`, or in a function given to `.apply` that Pulumi calls
too late or never; `all()` and `any()` of nothing; a test without asserts. A test that returns a coroutine, an Output or
anything else fails as well, because nothing checks the value.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    forget_uncounted(Path(__file__).parents[1])
    guard = _Guard()
    config.pluginmanager.register(guard)
    config.addinivalue_line("filterwarnings", "error::pytest.PytestReturnNotNoneWarning")
    patch = pytest.MonkeyPatch()
    patch.setattr(pytest, "raises", guard.counting(pytest.raises))
    config.add_cleanup(patch.undo)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name in ("all", "any"):
            vars(module).setdefault(name, _not_empty(getattr(builtins, name)))


class _Guard:
    """Compares the asserts that ran during a test with those in its code."""

    def __init__(self) -> None:
        self._ran: set[int] = set()

    def pytest_assertion_pass(self, lineno: int) -> None:
        self._ran.add(lineno)

    def counting(self, raises: Callable[..., Any]) -> Callable[..., Any]:
        """Return `pytest.raises` that counts as an assert once the exception was raised."""

        @contextmanager
        def counted(line: int, *args: Any, **options: Any) -> Generator[Any]:
            with raises(*args, **options) as caught:
                yield caught
            self._ran.add(line)

        def here(*args: Any, **options: Any) -> Any:
            caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
            return counted(caller.f_lineno, *args, **options)

        return here

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        self._ran.clear()
        result = yield
        code = inspect.unwrap(pyfuncitem.function).__code__
        if not self._ran:
            pytest.fail(f"{pyfuncitem.path.name}:{code.co_firstlineno}: passed without an assert", pytrace=False)
        for line, text in _asserts(code):
            if line not in self._ran and "time.monotonic()" not in text:  # the deadline of a poll need not be checked
                why = "Is it in a loop over nothing, behind an `if`, or in a function given to `.apply`?"
                pytest.fail(f"{pyfuncitem.path.name}:{line}: this assert never ran: {text}\n{why}", pytrace=False)
        return result


@functools.cache  # read a parametrized test once, not for each set of parameters
def _asserts(code: CodeType) -> list[tuple[int, str]]:
    return sorted(_asserts_in(code))


def _asserts_in(code: CodeType) -> Iterator[tuple[int, str]]:
    """Yield line and text of each assert and `pytest.raises` in a test and its inner functions.

    They are read from the code as pytest has rewritten it, which reports each passed assert with its line and text.
    """
    instructions = iter(dis.get_instructions(code))
    for instruction in instructions:
        if instruction.argval == "_call_assertion_pass":
            line, text = (constant.argval for constant in itertools.islice(filter(_is_constant, instructions), 2))
            yield line, text
        elif instruction.argval == "raises" and instruction.positions and instruction.positions.lineno:
            yield instruction.positions.lineno, "pytest.raises"
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _asserts_in(inner)


def _is_constant(instruction: dis.Instruction) -> bool:
    return instruction.opname == "LOAD_CONST"


def _not_empty(test: Callable[[Iterable[object]], bool]) -> Callable[[Iterable[object]], bool]:
    """Return `all` or `any` that fails for an empty collection, of which it would prove nothing."""

    @functools.wraps(test)
    def checked(values: Iterable[object]) -> bool:
        elements = list(values)
        if not elements:
            raise AssertionError(f"{test.__name__}() of nothing: the collection is empty")
        return test(elements)

    return checked


def forget_uncounted(tests: Path) -> None:
    """Remove test files compiled without counting of asserts, which pytest would load from its cache."""
    for compiled in tests.rglob("__pycache__/*-pytest-*.pyc"):
        if b"_call_assertion_pass" not in compiled.read_bytes():
            compiled.unlink(missing_ok=True)

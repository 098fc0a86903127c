"""Fails a test that passed although an assert of it never ran: it promises what it does not look at.

Each `assert` and `pytest.raises` written in a test has to run whenever the test passes, and there has to be one, in the
test or in a helper it calls. So these fail: asserts in a loop over nothing, behind an `if` that is not met, or in a
function given to `.apply` that Pulumi calls too late or never; `all()` and `any()` of nothing; a test without asserts.
A test that hands back a coroutine, an Output or anything else fails too: nobody looks at that.
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
            vars(module).setdefault(name, _over_something(getattr(builtins, name)))


class _Guard:
    """Counts what runs during one test, and compares it with what is written there."""

    def __init__(self) -> None:
        self._ran: set[int] = set()

    def pytest_assertion_pass(self, lineno: int) -> None:
        self._ran.add(lineno)

    def counting(self, raises: Callable[..., Any]) -> Callable[..., Any]:
        """`pytest.raises` that counts like an assert once the exception has come."""

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
            if line not in self._ran and "time.monotonic()" not in text:  # the deadline of a poll need not come
                why = "Does it stand in a loop over nothing, behind an `if`, or in a function given to `.apply`?"
                pytest.fail(f"{pyfuncitem.path.name}:{line}: this assert never ran: {text}\n{why}", pytrace=False)
        return result


@functools.cache  # a test with parameters is read once, not for each set of them
def _asserts(code: CodeType) -> list[tuple[int, str]]:
    return sorted(_written(code))


def _written(code: CodeType) -> Iterator[tuple[int, str]]:
    """Line and text of each assert and `pytest.raises` in a test, those of functions inside it included.

    Read from what pytest made of the test: it reports each assert that holds, with its line and text.
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
            yield from _written(inner)


def _is_constant(instruction: dis.Instruction) -> bool:
    return instruction.opname == "LOAD_CONST"


def _over_something(test: Callable[[Iterable[object]], bool]) -> Callable[[Iterable[object]], bool]:
    """`all` or `any`, but not of nothing: what is said of no element is true without being looked at."""

    @functools.wraps(test)
    def checked(values: Iterable[object]) -> bool:
        elements = list(values)
        if not elements:
            raise AssertionError(f"{test.__name__}() of nothing: the collection is empty")
        return test(elements)

    return checked


def forget_uncounted(tests: Path) -> None:
    """Remove test files that were compiled before asserts were counted; pytest would take them from its cache."""
    for compiled in tests.rglob("__pycache__/*-pytest-*.pyc"):
        if b"_call_assertion_pass" not in compiled.read_bytes():
            compiled.unlink(missing_ok=True)

"""tests/plugins/guard.py fails a test whose asserts did not run."""

from __future__ import annotations

import re

import pytest

from tests.plugins import guard

pytest_plugins = ["pytester"]

GOOD = """
def test_good(tmp_path):
    def holds():
        assert tmp_path.exists()
    holds()
    for number in (1, 2):
        assert number
    with pytest.raises(ZeroDivisionError, match="zero"):
        1 / 0
    assert all(number for number in (1, 2)) and not any(number for number in (0, 0))
    deadline = time.monotonic() + 1
    while not tmp_path.exists():
        assert time.monotonic() < deadline

@pytest.mark.parametrize("number", [1, 2])
def test_good_by_its_helper(number):
    helper(number)

def helper(number):
    assert number

@pulumi.runtime.test
def test_good_output():
    def look(value):
        assert value == 1
    return pulumi.Output.from_input(1).apply(look)
"""

BAD = {
    "nothing": ("def test_nothing():\n    1 + 1", "passed without an assert"),
    "loop": ("def test_loop():\n    assert 1\n    for n in []:\n        assert n == 1", "never ran: n == 1"),
    "branch": ("def test_branch(tmp_path):\n    assert 1\n    if not tmp_path:\n        assert 2", "never ran: 2"),
    "raises": (
        "def test_raises():\n    assert 1\n    for n in []:\n        with pytest.raises(OSError):\n            n()",
        "never ran: pytest.raises",
    ),
    "alone": ("def test_alone():\n    pytest.raises(OSError)", "passed without an assert"),
    "all": ("def test_all():\n    assert all(n == 1 for n in [])", "all() of nothing"),
    "any": ("def test_any():\n    assert not any(n == 1 for n in [])", "any() of nothing"),
    "apply": (
        "def test_apply():\n    assert 1\n    def look(value):\n        assert value == 1\n"
        "    pulumi.Output.from_input(1).apply(look)",
        "never ran: value == 1",
    ),
    "inner": (
        "def test_inner():\n    assert 1\n    def look():\n        with pytest.raises(OSError):\n            open('')",
        "never ran: pytest.raises",
    ),
    "output": ("def test_output():\n    assert 1\n    return pulumi.Output.from_input(1)", "returned <class"),
    "coroutine": ("async def test_coroutine():\n    assert 0", "async def functions are not natively supported"),
}


def failures(pytester: pytest.Pytester, tests: str) -> dict[str, str]:
    """Run these tests with the guard, and return the output of each one that fails, by name."""
    pytester.makepyfile(test_given=f"import time\nimport pulumi\nimport pytest\n\n{tests}\n")
    pytester.makeini("[pytest]\nenable_assertion_pass_hook = true\n")
    output = pytester.runpytest_inprocess("-p", "tests.plugins.guard", "-p", "no:cacheprovider").stdout.str()
    return dict(re.findall(r"^_+ test_(\w+) _+\n(.*?)(?=^_+ test_|^=+ )", output, re.MULTILINE | re.DOTALL))


def test_tests_whose_asserts_all_run_pass(pytester: pytest.Pytester):
    assert failures(pytester, GOOD) == {}


def test_each_test_whose_asserts_did_not_run_fails_with_the_reason(pytester: pytest.Pytester):
    failed = failures(pytester, "\n\n".join([GOOD, *(text for text, _ in BAD.values())]))
    assert failed.keys() == BAD.keys()
    assert [name for name, (_, expected) in BAD.items() if expected not in failed[name]] == []


def test_test_files_compiled_before_asserts_were_counted_are_compiled_anew(pytester: pytest.Pytester):
    folder = pytester.mkdir("__pycache__")
    old, new = folder / "test_old.cpython-311-pytest-9.2.0.pyc", folder / "test_new.cpython-311-pytest-9.2.0.pyc"
    old.write_bytes(b"assert")
    new.write_bytes(b"assert _call_assertion_pass")
    guard.forget_uncounted(pytester.path)
    assert list(folder.iterdir()) == [new]

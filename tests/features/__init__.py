"""`make features`: which rows of the feature table are proved, and by which tests.

A row counts as done when a test has `@pytest.mark.feature("A1")`, and as partly done when all of its tests have a
`part="..."` that says what they prove. `make test` and `make e2e` show whether those tests pass.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections import defaultdict

import pytest

from slipway.ops.errors import UserError
from tests.paths import REPOSITORY

TESTS = REPOSITORY / "tests"
TABLE = TESTS / "features.md"
DOCUMENT = REPOSITORY / "docs" / "reference" / "features.md"

Proof = tuple[str, str | None]
"""Test, and the part of the row that it proves; None for the whole row."""


def rows() -> dict[str, str]:
    """Return the features by id, in the order of tests/features.md."""
    return dict(re.findall(r"^\| ([A-Z][0-9]+) \| (.+?) \|", TABLE.read_text(), re.MULTILINE))


def table() -> str:
    """Return the table as Markdown, with the number of rows in each state."""
    proofs = _proofs()
    features = rows()
    if unknown := sorted(proofs.keys() - features.keys()):
        raise pytest.UsageError(f"feature marks without a row in tests/features.md: {', '.join(unknown)}")
    states = {row: _state(proofs.get(row, [])) for row in features}
    counted = ", ".join(f"{list(states.values()).count(state)} {state}" for state in ("done", "partly", "missing"))
    lines = [
        f"| {row} | {feature} | {states[row]} | {_tests(proofs.get(row, []))} |" for row, feature in features.items()
    ]
    head = f"<!-- Written by `make features`. -->\n# Features\n\n{counted}, of {len(features)}."
    return "\n".join([head, "", "| id | feature | state | tests |", "|---|---|---|---|", *lines, ""])


def _state(proofs: list[Proof]) -> str:
    if not proofs:
        return "missing"
    return "partly" if all(part for _, part in proofs) else "done"


def _tests(proofs: list[Proof]) -> str:
    return "<br>".join(sorted(f"{test} ({part})" if part else test for test, part in set(proofs)))


class CollectionError(UserError):
    """Pytest cannot read the tests."""


class _Marks:
    """A pytest plugin that records the feature marks of all collected tests."""

    def __init__(self) -> None:
        self.proofs: defaultdict[str, list[Proof]] = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("feature"):
                test = item.nodeid.split("[")[0].removeprefix("tests/").replace(".py::", ": ")
                for row in mark.args:
                    self.proofs[row].append((test, mark.kwargs.get("part")))


def _proofs() -> dict[str, list[Proof]]:
    marks = _Marks()
    output = io.StringIO()
    # Only those, since it takes pytest twice as long to collect all.
    files = [str(file) for file in sorted(TESTS.rglob("test_*.py")) if "mark.feature(" in file.read_text()]
    with contextlib.redirect_stdout(output):
        code = pytest.main(["--collect-only", "-q", "-m", "", "--rootdir", str(REPOSITORY), *files], plugins=[marks])
    if code != pytest.ExitCode.OK:
        _, _, errors = output.getvalue().rpartition("= ERRORS =")
        raise CollectionError(f"the tests cannot be collected, so nothing is proved:\n{errors.lstrip('=').strip()}")
    return marks.proofs

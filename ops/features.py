"""`./slipway features`: which rows of the feature table are proved, and by which tests.

A row counts as done when a test carries `@pytest.mark.feature("A1")`, as partly when all of its tests carry a
`part="..."` that says what they prove. Whether those tests pass is what `make test` and `make e2e` tell.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "features.md"
DOCUMENT = ROOT / "docs" / "features.md"

Proof = tuple[str, str | None]
"""Test and, if it proves only a part of the row, which."""


def rows() -> dict[str, str]:
    """Id -> feature, in the order of tests/features.md."""
    found = re.findall(r"^\| ([A-Z][0-9]+) \| (.+?) \|", TABLE.read_text(), re.MULTILINE)
    return dict(found)


def table() -> str:
    """The table as Markdown, with its count."""
    proofs = _proofs()
    features = rows()
    if unknown := sorted(proofs.keys() - features.keys()):
        raise pytest.UsageError(f"feature marks without a row in tests/features.md: {', '.join(unknown)}")
    states = {row: _state(proofs.get(row, [])) for row in features}
    counted = ", ".join(f"{list(states.values()).count(state)} {state}" for state in ("done", "partly", "missing"))
    lines = [
        f"| {row} | {feature} | {states[row]} | {_tests(proofs.get(row, []))} |" for row, feature in features.items()
    ]
    head = "<!-- Written by `make features`. -->\n# Features\n\n"
    return (
        f"{head}{counted}, of {len(features)}.\n\n| id | feature | state | tests |\n|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n"
    )


def _state(proofs: list[Proof]) -> str:
    if not proofs:
        return "missing"
    return "partly" if all(part for _, part in proofs) else "done"


def _tests(proofs: list[Proof]) -> str:
    return "<br>".join(sorted(f"{test} ({part})" if part else test for test, part in set(proofs)))


class NotCollected(Exception):
    """Why pytest cannot read the tests."""


class _Marks:
    """A pytest plugin that keeps the feature marks of all collected tests."""

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
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(
            ["--collect-only", "-q", "-m", "", "--rootdir", str(ROOT), str(ROOT / "tests")], plugins=[marks]
        )
    if code != pytest.ExitCode.OK:
        _, _, errors = said.getvalue().rpartition("= ERRORS =")
        raise NotCollected(f"the tests cannot be collected, so nothing is proved:\n{errors.lstrip('=').strip()}")
    return marks.proofs

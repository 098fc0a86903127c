"""The feature table says what the tests prove, and the document in docs/ is what it says."""

from __future__ import annotations

import pytest

from slipway.ops import features
from tests.paths import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "reference" / "features.md"


@pytest.fixture(autouse=True)
def repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """The features are those of the frame, so they are read in this repository."""
    monkeypatch.setattr(features, "ROOT", REPOSITORY)
    monkeypatch.setattr(features, "TABLE", REPOSITORY / "tests" / "features.md")


def test_every_row_of_the_table_is_known():
    assert len(features.rows()) == 100


def test_the_document_is_up_to_date():
    assert features.table() == DOCUMENT.read_text(), "run `make features`"

"""The feature table says what the tests prove, and the document in docs/ is what it says."""

from __future__ import annotations

from tests import features


def test_every_row_of_the_table_is_known():
    assert len(features.rows()) == 100


def test_the_document_is_up_to_date():
    assert features.table() == features.DOCUMENT.read_text(), "run `make features`"

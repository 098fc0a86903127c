"""Fixtures of the end-to-end tests for tests under load, and the table of their results."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.e2e.conftest import api, edit

__all__ = ["api", "edit", "results_table"]

Row = TypeVar("Row")

PLUGINS = (
    "the official provider plugins (`PLUGINS=DIR`)" if os.environ.get("PLUGINS") else "the provider plugins of local/"
)


@contextmanager
def results_table(file: Path, document: Callable[[list[Row]], str], row_count: int) -> Generator[list[Row]]:
    """Yield a list for the rows. The document is printed at the end, and written if it has all rows."""
    rows: list[Row] = []
    yield rows
    text = f"{document(rows)}\nSeen with {PLUGINS}.\n"
    print(f"\n{text}")
    if len(rows) == row_count:
        file.write_text(text)

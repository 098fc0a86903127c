"""What the tests under load share: fixtures of the end-to-end tests, and the table of what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.e2e.conftest import api, edit

__all__ = ["api", "edit", "written"]

Row = TypeVar("Row")

PLUGINS = (
    "the official provider plugins (`PLUGINS=DIR`)" if os.environ.get("PLUGINS") else "the provider plugins of local/"
)


@contextmanager
def written(file: Path, document: Callable[[list[Row]], str], whole: int) -> Generator[list[Row]]:
    """Rows for the tests to fill: printed at the end, and written down if all of them are there."""
    rows: list[Row] = []
    yield rows
    text = f"{document(rows)}\nSeen with {PLUGINS}.\n"
    print(f"\n{text}")
    if len(rows) == whole:
        file.write_text(text)

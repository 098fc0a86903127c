"""Tables that fit the terminal; in a pipe, a line per row whose cells are separated by a tab, without padding."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = Sequence[str]


def table(rows: Iterable[Row], head: Row = (), styles: Sequence[str] = ()) -> str:
    """Return rows as a table for stdout, with a style of rich for each row.

    Where a terminal is too narrow, cells continue on the next line. In a pipe, each row is one line, however long.
    """
    rows = list(rows)
    if not rows and not head:
        return ""
    if not sys.stdout.isatty():
        return "".join(f"{_line(row)}\n" for row in ([head, *rows] if head else rows))
    # Imported where it is used: not needed in a pipe.
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(box=None, show_header=bool(head), padding=(0, 2, 0, 0), pad_edge=False)
    for name in head or [""] * len(rows[0]):
        drawn.add_column(name, overflow="fold")
    for index, row in enumerate(rows):
        drawn.add_row(*map(Text, row), style=styles[index] if styles else None)
    return _drawn(drawn)


def styled(text: str, style: str) -> str:
    """Return a text in a style of rich, such as `bold`, where stdout is a terminal."""
    if not sys.stdout.isatty():
        return text
    from rich.text import Text  # noqa: PLC0415

    return _drawn(Text(text, style=style, end=""))


def _drawn(renderable: RenderableType) -> str:
    """Return what rich draws for the terminal: in its width, and without colours if NO_COLOR is set."""
    from rich.console import Console  # noqa: PLC0415

    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(renderable, end="")
    return captured.get()


def _line(row: Row) -> str:
    return "\t".join("; ".join(cell.replace("\t", " ").splitlines()) for cell in row).rstrip()

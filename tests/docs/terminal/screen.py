"""The lines that a command leaves on a terminal, with their colours, from all that it sent there.

Progress displays move the cursor and write over earlier lines, which `rich` alone does not follow.
"""

from __future__ import annotations

import re
from itertools import groupby

from rich.ansi import AnsiDecoder
from rich.style import Style
from rich.text import Text

TAB = 8
TOKEN = re.compile(
    r"""(?P<control>[\n\r\t\b])
    | \x1b\[ (?P<parameters>[0-9;?]*) (?P<command>[A-Za-z])
    | \x1b[\]P_^] .*? (?:\x07|\x1b\\)   # titles of windows and the like
    | \x1b[()] . | \x1b.                # character sets, and others that show nothing
    | (?P<text>[^\x00-\x1f\x7f]+)
    """,
    re.VERBOSE | re.DOTALL,
)

Cell = tuple[str, Style]
BLANK: Cell = (" ", Style())


class Screen:
    """A terminal of a width and without an end: a line that scrolls out of sight stays."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._rows: list[list[Cell]] = [[]]
        self._row = self._column = 0
        self._styles = AnsiDecoder()

    def write(self, output: str) -> None:
        """Show what a command sends."""
        for token in TOKEN.finditer(output):
            if text := token["text"]:
                self._put(text)
            elif control := token["control"]:
                self._control(control)
            elif command := token["command"]:
                self._command(command, token["parameters"])

    @property
    def lines(self) -> list[Text]:
        """The lines, without empty ones at the end."""
        lines = [_line(row) for row in self._rows]
        while lines and not lines[-1].plain:
            lines.pop()
        return lines

    def _put(self, text: str) -> None:
        for character in text:
            if self._column == self._columns:
                self._row, self._column = self._row + 1, 0
            self._set(self._column, (character, self._styles.style))
            self._column += 1

    def _set(self, column: int, cell: Cell) -> None:
        row = self._current()
        row.extend([BLANK] * (column + 1 - len(row)))
        row[column] = cell

    def _current(self) -> list[Cell]:
        while len(self._rows) <= self._row:
            self._rows.append([])
        return self._rows[self._row]

    def _control(self, character: str) -> None:
        if character == "\n":
            self._row += 1
        elif character == "\r":
            self._column = 0
        elif character == "\b":
            self._column = max(0, self._column - 1)
        else:
            self._column = min((self._column // TAB + 1) * TAB, self._columns - 1)

    def _command(self, command: str, parameters: str) -> None:
        numbers = [int(number) for number in re.findall(r"\d+", parameters)]
        count = numbers[0] if numbers else 0
        match command:
            case "m":
                # Only the style is of interest: it is that of the text that follows.
                self._styles.decode_line(f"\x1b[{parameters}m")
            case "A" | "F":
                self._row = max(0, self._row - (count or 1))
            case "B" | "E":
                self._row += count or 1
            case "C":
                self._column = min(self._column + (count or 1), self._columns - 1)
            case "D":
                self._column = max(0, self._column - (count or 1))
            case "G":
                self._column = max(0, (count or 1) - 1)
            case "K":
                self._clear_line(count)
            case "J" if count == 0:
                self._clear_line(0)
                del self._rows[self._row + 1 :]
            case _:
                return
        if command in "EF":
            self._column = 0

    def _clear_line(self, part: int) -> None:
        """Clear from the cursor on (0), until the cursor (1), or everything (2)."""
        row = self._current()
        if part in (1, 2):
            row[: self._column + 1] = [BLANK] * min(len(row), self._column + 1)
        if part in (0, 2):
            del row[self._column :]


def _line(row: list[Cell]) -> Text:
    line = Text()
    for style, cells in groupby(row, key=lambda cell: cell[1]):
        line.append("".join(character for character, _ in cells), style)
    line.rstrip()
    return line

"""Tables of `./slipway`: they fit a terminal, and a pipe gets cells without padding."""

from __future__ import annotations

import re
import sys

from slipway.ops.terminal.tables import styled, table
from tests.ops.terminal.pseudo_terminal import COLUMNS, output_on_terminal, without_escapes
from tests.paths import INFRA, REPOSITORY

HEAD = ("service", "image", "message")
ROWS = [("api", "registry.example.com/team/shop:src-0123456789ab", "words " * 12), ("web", "[bold]shop:2", "")]
DRAWN = f"""
import sys; sys.path.insert(0, {str(INFRA)!r})
from slipway.ops.terminal.tables import styled, table
sys.stdout.write(table({ROWS!r}, {HEAD!r}, ["red", ""]) + styled("the end", "bold"))
"""


def test_a_pipe_gets_a_line_per_row_with_tabs_between_the_cells_and_no_padding():
    assert table(ROWS, HEAD, ["red", ""]) == (
        "service\timage\tmessage\n"
        f"api\tregistry.example.com/team/shop:src-0123456789ab\t{('words ' * 12).strip()}\n"
        "web\t[bold]shop:2\n"
    )
    assert styled("text", "bold") == "text"


def test_a_cell_of_several_lines_stays_one_line_in_a_pipe():
    assert (
        table([("rolls pods", "a new image\na new variable", "a\tb")])
        == "rolls pods\ta new image; a new variable\ta b\n"
    )


def test_a_table_fits_the_terminal_and_loses_nothing():
    drawn = output_on_terminal(sys.executable, "-c", DRAWN)
    lines = without_escapes(drawn).splitlines()
    assert len(lines) > len(ROWS) + 2
    assert [line for line in lines if len(line) > COLUMNS] == []
    words = re.sub(r"\s+", "", "".join(lines))
    assert words.count("words") == 12
    assert "[bold]shop:2" in words
    assert "\x1b[31m" in drawn
    assert lines[-1] == "the end"


def test_no_color_takes_the_colours_of_a_table_away():
    assert "\x1b[31m" not in output_on_terminal(sys.executable, "-c", DRAWN, NO_COLOR="1")


def test_no_verb_pads_what_it_prints_into_a_pipe_or_needs_rich_for_that():
    verbs = [file for file in (INFRA / "slipway" / "ops").rglob("*.py") if file.name != "tables.py"]
    direct = [
        str(file.relative_to(REPOSITORY)) for file in verbs if re.search(r"import .*rich|from rich", file.read_text())
    ]
    assert direct == [], "print tables by slipway.ops.terminal.tables"

"""A picture of a terminal as SVG that loads nothing: no font, and no other file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape, unescape

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

MIN_COLUMNS = 40
# Of a title, which has other letters than the lines, beside the three dots.
TITLE_MARGIN = 14
SCALE = 0.7
"""How large it is shown: 14 pixels a letter, as the text around it."""
ASPECT_RATIO = 0.6
"""Width by height of the letters in the fonts below."""
LETTER_WIDTH = 20 * ASPECT_RATIO
TEXT = re.compile(
    r'<text class="(?P<class>[\w-]+-r\d+)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" textLength="[\d.]+"'
    r"[^>]*>(?P<text>[^<]*)</text>"
)
"""A part of a line."""
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"

# That of rich loads a font from the network, and clips the last line.
FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<!-- Written by `make terminal-pictures` (tests/docs/terminal/). -->
<style>
.{unique_id}-matrix {{ font-family: FONTS; font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px }}
{styles}
</style>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
""".replace("FONTS", FONTS)


def draw(name: str, title: str, lines: Sequence[Text]) -> str:
    """Return a terminal with these lines as SVG, as wide as they need. The title stands in the frame of its window."""
    # One more: not every viewer fits a text into the length that it is given.
    width = 1 + max(MIN_COLUMNS, len(title) + TITLE_MARGIN, *(cell_len(line.plain) for line in lines))
    console = Console(
        record=True, file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", no_color=False
    )
    for line in lines:
        console.print(line, highlight=False, no_wrap=True, overflow="ignore", crop=False)
    drawn = console.export_svg(title=title, code_format=FORMAT, font_aspect_ratio=ASPECT_RATIO, unique_id=name)
    return _tidy(_sized(drawn), title)


def _sized(drawn: str) -> str:
    """Give it the size in which it is shown, where the page has room; otherwise it would fill the page."""
    return re.sub(
        r'viewBox="0 0 ([\d.]+) ([\d.]+)"',
        lambda box: f'{box[0]} width="{float(box[1]) * SCALE:.0f}" height="{float(box[2]) * SCALE:.0f}"',
        drawn,
        count=1,
    )


def _tidy(drawn: str, title: str) -> str:
    """Name the picture for those who do not see it, and put each part of a line of text in its place by itself.

    Not every viewer shows blanks at the beginning of a text, or several of them.
    """
    named = drawn.replace('role="img"', f'role="img" aria-label="{escape(title)}"', 1)
    by_part = TEXT.sub(lambda text: "".join(_parts(text)), named)
    return "\n".join(line.rstrip() for line in by_part.splitlines() if line.strip()) + "\n"


def _parts(text: re.Match[str]) -> Iterator[str]:
    for part in re.finditer(r"\S+(?: \S+)*", _plain(text["text"])):
        x = float(text["x"]) + part.start() * LETTER_WIDTH
        length = cell_len(part[0]) * LETTER_WIDTH
        place = f'x="{x:g}" y="{text["y"]}" textLength="{length:g}"'
        yield f'<text class="{text["class"]}" {place}>{escape(part[0], quote=False)}</text>\n'


def _plain(content: str) -> str:
    return unescape(content).replace("\xa0", " ")


def text_of(drawn: str) -> list[str]:
    """Return the lines of a picture, without empty ones."""
    by_line: dict[str, str] = {}
    for text in TEXT.finditer(drawn):
        line = by_line.get(text["y"], "")
        by_line[text["y"]] = line.ljust(round(float(text["x"]) / LETTER_WIDTH)) + _plain(text["text"])
    return list(by_line.values())


def prompt(command: str) -> Text:
    """Return the line in which the command was typed."""
    return Text(f"$ {command}", style="bold")


def without(lines: Iterable[Text], hidden: Sequence[tuple[str, str]]) -> list[Text]:
    """Return the lines without these parts, which a line that says how many stands for.

    A part begins with a line that matches its first pattern, and ends before the next one that matches its second.
    """
    shown = list(lines)
    start = 0
    for first, after in hidden:
        begin = _next(shown, first, start)
        end = None if begin is None else _next(shown, after, begin + 1)
        if begin is None or end is None:
            continue
        shown[begin:end] = [Text(f"⋮ {end - begin} lines", style="dim"), Text()]
        start = begin + 2
    return shown


def _next(lines: Sequence[Text], pattern: str, start: int) -> int | None:
    found = re.compile(pattern)
    return next((index for index in range(start, len(lines)) if found.search(lines[index].plain)), None)

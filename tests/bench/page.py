"""docs/reference/benchmarks.md: its sections, tables and pictures."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.paths import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "reference" / "benchmarks.md"
PICTURES = DOCUMENT.parent / "benchmarks"
HEAD = """<!-- Written by `make bench`. -->
# Benchmarks

What a run of the program costs. All commands of a table were run in turns, so that each had the same machine: compare
the ratios, not the seconds. A figure is the median of {runs} runs, with the lowest and the highest one in brackets.

{machine}
"""


@dataclass(frozen=True)
class Picture:
    """A line over its points."""

    file: str
    title: str
    x_label: str
    y_label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    text: str
    """One paragraph about the table."""
    table: str
    picture: Picture | None = None


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(sections: Sequence[Section], runs: int) -> None:
    """Write the page and its pictures."""
    parts = [HEAD.format(runs=runs, machine=machine())]
    for section in sections:
        parts.append(f"\n## {section.title}\n\n{wrapped(section.text)}\n\n{section.table}")
        if picture := section.picture:
            PICTURES.mkdir(exist_ok=True)
            draw(picture, PICTURES / picture.file)
            parts.append(f"\n![{picture.title}]({PICTURES.name}/{picture.file})\n")
    DOCUMENT.write_text("".join(parts))


def machine() -> str:
    """Return the machine and the versions, and how busy the machine was."""
    processor = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    programs = [f"Python {platform.python_version()}", f"pulumi {version('pulumi')}"]
    programs.append(f"pulumi-kubernetes {version('pulumi-kubernetes')}")
    if shutil.which("pulumi"):
        asked = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True)
        programs.append(f"engine {asked.stdout.strip()}")
    cores = len(os.sched_getaffinity(0))
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}, {processor[1] if processor else platform.machine()}, {cores} cores, Linux "
        f"{platform.release()}; {', '.join(programs)}. At the end of the measurement, "
        f"{os.getloadavg()[2]:.1f} processes wanted to run (mean of 15 minutes)."
    )
    return wrapped(text)


def wrapped(text: str) -> str:
    """Return a paragraph as it stands in our pages."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def draw(picture: Picture, file: Path) -> None:
    """Draw the line of a picture."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.9), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    x, y = zip(*picture.points, strict=True)
    axes.plot(x, y, marker="o", color="#0072b2")
    axes.set(title=picture.title, xlabel=picture.x_label, ylabel=picture.y_label, ylim=(0, None), xlim=(0, None))
    axes.grid(color="#dddddd")
    # Without a date, so that the same figures give the same bytes.
    figure.savefig(file, metadata={"Date": None})

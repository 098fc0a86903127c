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

What the program, its updates and the app cost. All that a table compares was run in turns on the same machine: compare
the ratios, not the seconds. A figure is a median, with the lowest and the highest one in brackets. `python -m
tests.bench --only SECTION` measures one section again, and leaves the others as they are.
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
    """Replace these sections of the page, and their pictures. Others stay; a new one is put at the end."""
    text = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    parts = {part.partition("\n")[0]: part.strip() for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]}
    for section in sections:
        measured = wrapped(f"Medians of {runs} {'run' if runs == 1 else 'runs'}. {machine()}")
        part = f"{section.title}\n\n{wrapped(section.text)}\n\n{section.table}\n{measured}"
        if picture := section.picture:
            PICTURES.mkdir(exist_ok=True)
            draw(picture, PICTURES / picture.file)
            part += f"\n\n![{picture.title}]({PICTURES.name}/{picture.file})"
        parts[section.title] = part
    DOCUMENT.write_text(HEAD + "".join(f"\n## {part}\n" for part in parts.values()))


def machine() -> str:
    """Return the machine and the versions, and how busy the machine was."""
    processor = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    programs = [f"Python {platform.python_version()}", f"pulumi {version('pulumi')}"]
    programs.append(f"pulumi-kubernetes {version('pulumi-kubernetes')}")
    if shutil.which("pulumi"):
        asked = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True)
        programs.append(f"engine {asked.stdout.strip()}")
    cores = len(os.sched_getaffinity(0))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {processor[1] if processor else platform.machine()}, {cores} cores, Linux "
        f"{platform.release()}; {', '.join(programs)}. At the end of the measurement, "
        f"{os.getloadavg()[2]:.1f} processes wanted to run (mean of 15 minutes)."
    )


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

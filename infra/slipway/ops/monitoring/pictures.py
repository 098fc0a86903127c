"""Panels as pictures, drawn by matplotlib. Import this module only where pictures are drawn: it takes a second."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, MultipleLocator

from slipway.monitoring.panels import Panel
from slipway.settings.sections.contract import Unit

MAX_LINES = 10
"""The number of lines in a picture: those with the highest values."""
INCHES, DOTS_PER_INCH = (7.0, 3.9), 110
_COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"),  # Okabe and Ito: told apart by everybody
    *("#595959", "#8c564b", "#17becf", "#bcbd22"),
)
_LIMIT, _RELEASE, _GRID, _TEXT = "#c00000", "#7b3fa0", "#dddddd", "#404040"
_AXIS = {
    "short": "",
    "percentunit": "percent",
    "s": "seconds",
    "bytes": "bytes",
    "reqps": "per second",
}
_LEGEND_COLUMNS, _MAX_NAME = 2, 34
# A limit further above the values than this would press them to the floor; the legend has it all the same.
_MAX_HEADROOM = 4


@dataclass(frozen=True)
class Line:
    """The values of one series."""

    name: str
    points: Sequence[tuple[float, float]]
    """Time in seconds since 1970, and value, which may be NaN."""

    @property
    def values(self) -> list[float]:
        """The values that are numbers."""
        return [value for _, value in self.points if math.isfinite(value)]


@dataclass(frozen=True)
class TimeSpan:
    """The time that a picture shows, in seconds since 1970."""

    start: float
    end: float
    step: float
    """Seconds between two values."""


def draw(panel: Panel, lines: Sequence[Line], releases: Sequence[tuple[float, str]], span: TimeSpan) -> bytes:
    """Return a panel as PNG; without a value it says "no data". `releases` are times and names of new versions."""
    figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH)
    axes = figure.add_subplot()
    _frame(axes, panel, span)
    shown = highest(lines)
    legend_rows = math.ceil((len(shown) + len(panel.limits)) / _LEGEND_COLUMNS) if shown else 0
    # The same width for all: an automatic layout would narrow the diagram by the longest name.
    figure.subplots_adjust(left=0.125, right=0.985, top=0.925, bottom=(0.45 + 0.165 * legend_rows) / INCHES[1])
    if shown:
        for line, color in zip(shown, _COLORS, strict=False):
            _line(axes, line, color, span, text_of(panel.unit))
        _scale(axes, panel, shown)
        _releases(axes, releases)
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="lower left",
            bbox_to_anchor=(0.02, 0),
            ncols=_LEGEND_COLUMNS,
            fontsize=8,
            frameon=False,
            borderaxespad=0.2,
        )
    else:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", fontsize=20, color="#a0a0a0")
        axes.set_yticks([])
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    return picture.getvalue()


def highest(lines: Sequence[Line]) -> list[Line]:
    """Return the lines to draw: those with values, the highest first if there are too many."""
    drawn = [line for line in lines if line.values]
    if len(drawn) > MAX_LINES:
        drawn = sorted(drawn, key=lambda line: max(line.values), reverse=True)[:MAX_LINES]
    return drawn


def _frame(axes: Axes, panel: Panel, span: TimeSpan) -> None:
    axes.set_title(panel.title, loc="left", fontsize=11, fontweight="bold")
    axes.set_ylabel(_AXIS[panel.unit], fontsize=9, color=_TEXT)
    axes.set_xlim(_time(span.start), _time(span.end))  # pyright: ignore[reportArgumentType] - takes times, too
    locator = AutoDateLocator(tz=UTC, minticks=4, maxticks=12)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.set_title("UTC", loc="right", fontsize=8, color=_TEXT)
    axes.xaxis.get_offset_text().set_visible(False)
    text = text_of(panel.unit)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axes.tick_params(labelsize=9, colors=_TEXT)
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _line(axes: Axes, line: Line, color: str, span: TimeSpan, text: Callable[[float], str]) -> None:
    points = with_gaps(line.points, span.step)
    times, values = [_time(time) for time, _ in points], [value for _, value in points]
    name = line.name if len(line.name) <= _MAX_NAME else f"{line.name[: _MAX_NAME - 1]}…"
    label = f"{name or 'value'}: {text(line.values[-1])} (max {text(max(line.values))})"
    is_short = len(line.values) < 3
    axes.plot(
        times,  # pyright: ignore[reportArgumentType] - takes times, too
        values,
        color=color,
        linewidth=1.5,
        label=label,
        marker="." if is_short else None,
    )


def with_gaps(points: Sequence[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """Return the points with a NaN in each gap: Prometheus leaves values out, and a line must not bridge that."""
    filled = list(points[:1])
    for (before, _), (time, value) in pairwise(points):
        if time - before > 1.5 * step:
            filled.append((before + step, math.nan))
        filled.append((time, value))
    return filled


def _scale(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    """Draw the limits, and scale the axis to values and limits, from 0 on."""
    text = text_of(panel.unit)
    top, bottom = max(max(line.values) for line in lines), min(min(line.values) for line in lines)
    for name, limit in panel.limits.items():
        is_near = limit <= max(top, 0) * _MAX_HEADROOM or top <= 0
        label = f"{name}: {text(limit)}{'' if is_near else ' (far above)'}"
        if is_near:
            axes.axhline(limit, color=_LIMIT, linestyle="--", linewidth=1.4, label=label)
            top, bottom = max(top, limit), min(bottom, limit)
        else:
            axes.plot([], [], color=_LIMIT, linestyle="--", linewidth=1.4, label=label)
    floor = min(bottom, 0)
    axes.set_ylim(floor * 1.05, top + 0.08 * (top - floor) if top > floor else floor + 1)
    if panel.unit == "bytes" and top > floor:
        # Read in powers of two.
        axes.yaxis.set_major_locator(MultipleLocator(2 ** math.ceil(math.log2((top - floor) / 5))))
    else:
        axes.yaxis.set_major_locator(
            MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10], integer=panel.unit == "short" and top >= 2)
        )


def _releases(axes: Axes, releases: Sequence[tuple[float, str]]) -> None:
    for time, name in releases:
        axes.axvline(_time(time), color=_RELEASE, linestyle=":", linewidth=1.2)  # pyright: ignore[reportArgumentType]
        axes.annotate(
            name,
            (_time(time), 1),  # pyright: ignore[reportArgumentType]
            xycoords=("data", "axes fraction"),
            xytext=(2, -2),
            textcoords="offset points",
            rotation=90,
            ha="left",
            va="top",
            fontsize=7,
            color=_RELEASE,
        )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def text_of(unit: Unit) -> Callable[[float], str]:
    """Return how a unit is written: `12 ms`, `4.2 %`, `1.5 MiB`, `2.5 k`."""
    if unit == "percentunit":
        return _percent
    if unit == "bytes":
        return _bytes
    engineering = EngFormatter(unit="s" if unit == "s" else "")
    return lambda value: engineering(_rounded(value)) if unit == "s" or abs(value) >= 1000 else f"{value:.3g}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if abs(value) >= 1 else f"{100 * value:.3g} %"


def _bytes(value: float) -> str:
    power = min(4, int(math.log(abs(value), 1024))) if abs(value) >= 1 else 0
    return f"{value / 1024**power:.3g} {['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}"

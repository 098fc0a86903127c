"""`./slipway dashboards`: the panels of a stack as pictures of real data, and one page with all of them."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.monitoring import panels
from slipway.monitoring.panels import Panel, Query
from slipway.ops.errors import UserError
from slipway.ops.monitoring.prometheus import Prometheus, Series
from slipway.settings.settings import Settings

if TYPE_CHECKING:
    from slipway.ops.monitoring.pictures import Line, TimeSpan

MIN_STEP, POINTS = 15, 240
PAGE = "index.html"
_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:1.5rem;color:#222;background:#fff}"
    "section{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;max-width:770px}img{max-width:100%;height:auto}"
    "figcaption{color:#555;font-size:13px}code{overflow-wrap:anywhere}h2{border-bottom:1px solid #ddd}"
)


class PicturesError(UserError):
    """The pictures cannot be drawn."""


@dataclass(frozen=True)
class Picture:
    """One panel with its data."""

    row: str
    panel: Panel
    file: str
    png: bytes
    is_empty: bool
    """Whether Prometheus has no value for it."""

    @property
    def title(self) -> str:
        """`api: requests: Response times`."""
        return f"{self.row}: {self.panel.title}"


def pictures(settings: Settings, prometheus: Prometheus, last: float, now: float | None = None) -> list[Picture]:
    """Return the pictures of all panels, about the last seconds. Raises PrometheusError or PicturesError."""
    end = time.time() if now is None else now
    return list(_pictures(settings, prometheus, end - last, end))


def _pictures(settings: Settings, prometheus: Prometheus, start: float, end: float) -> Iterator[Picture]:
    try:
        from slipway.ops.monitoring.pictures import TimeSpan, draw  # noqa: PLC0415 - it takes a second to load
    except ImportError as error:
        raise PicturesError(
            f"pictures are drawn by matplotlib, which is not installed ({error}). Install matplotlib; or print the "
            "dashboard for Grafana: --json"
        ) from None
    span = TimeSpan(start, end, max(MIN_STEP, round((end - start) / POINTS)))
    query = panels.releases(settings)
    releases = _starts(prometheus, query, span) if query else []
    for row in panels.rows(settings):
        for panel in row.panels:
            lines = [line for query in panel.queries for line in _lines(prometheus, query, span)]
            own = [(start, version) for start, service, version in releases if service == row.service]
            png = draw(replace(panel, title=f"{row.service}: {panel.title}"), lines, own, span)
            yield Picture(row.title, panel, _file(row.title, panel), png, not any(line.values for line in lines))


def _lines(prometheus: Prometheus, query: Query, span: TimeSpan) -> Iterator[Line]:
    from slipway.ops.monitoring.pictures import Line  # noqa: PLC0415

    for series in prometheus.query_range(query.expr, span.start, span.end, span.step):
        yield Line(legend(query, series), series.points)


def legend(query: Query, series: Series) -> str:
    """Return the name of a series, as Grafana writes it: `{{route}}` stands for the label."""
    labels = {name: value for name, value in series.labels.items() if name != "__name__"}
    if not query.legend:
        return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return re.sub(r"\{\{ *(\w+) *\}\}", lambda match: labels.get(match[1], ""), query.legend).strip() or "all"


def _starts(prometheus: Prometheus, query: Query, span: TimeSpan) -> list[tuple[float, str, str]]:
    """Return when each new version was first seen, with its service. What was there at the start is not new."""
    # A version is new for a minute. Prometheus returns 11,000 values at most.
    step = max(min(span.step, 60), (span.end - span.start) / 10_000)
    starts = [
        (series.points[0][0], series.labels.get("service", ""), series.labels.get("version", ""))
        for series in prometheus.query_range(query.expr, span.start, span.end, step)
        if series.points
    ]
    return sorted(start for start in starts if start[0] > span.start)


def _file(row: str, panel: Panel) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{row} {panel.title}".lower()).strip("-") + ".png"


def write(folder: Path, stack: str, drawn: list[Picture], last: str, now: float | None = None) -> Path:
    """Write the pictures and the page with all of them; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in drawn:
        (folder / picture.file).write_bytes(picture.png)
    page = folder / PAGE
    page.write_text(_page(stack, drawn, last, time.time() if now is None else now))
    return page


def _page(stack: str, drawn: list[Picture], last: str, now: float) -> str:
    title = html.escape(f"Stack {stack}, the last {last} until {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC")
    parts = [f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>']
    parts.append(f"<h1>{title}</h1>")
    row = ""
    for picture in drawn:
        if picture.row != row:
            parts += ["</section>"] if row else []
            parts.append(f"<h2>{html.escape(picture.row)}</h2><section>")
            row = picture.row
        parts.append(_figure(picture))
    return "\n".join([*parts, *(["</section>"] if row else []), "</html>", ""])


def _figure(picture: Picture) -> str:
    queries = "".join(f"<br><code>{html.escape(query.expr)}</code>" for query in picture.panel.queries)
    empty = " No data." if picture.is_empty else ""
    about = html.escape(f"{picture.panel.description}{empty}".strip())
    image = f'<img src="{picture.file}" alt="{html.escape(picture.title)}" loading="lazy">'
    details = f"<details><summary>Expressions</summary>{queries}</details>"
    return f"<figure>{image}<figcaption>{about}{details}</figcaption></figure>"

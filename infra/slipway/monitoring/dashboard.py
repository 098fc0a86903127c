"""The Grafana dashboard of a stack, as JSON; made of the panels of panels.py by Grafana's own SDK.

The SDK takes 0.2 s to load: import this module where a dashboard is written only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold

from slipway.monitoring.panels import Panel, Query, Row, releases, rows
from slipway.naming import PROJECT, content_hash
from slipway.settings.settings import Settings

# Chosen at the top of the dashboard, so that it works with the data source of any Grafana.
DATA_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GRID_COLUMNS = 24
PANELS_BESIDE = 3
_HEIGHT = 8
_LIMIT, _RELEASE = "red", "purple"


def grafana_json(settings: Settings) -> str:
    """Return the dashboard as Grafana imports it. The text is the same for the same settings."""
    ids = count(1)
    board = (
        dashboard.Dashboard(f"{PROJECT}: {settings.namespace}")
        # Grafana keeps its place and its links when a newer version is imported.
        .uid(f"{PROJECT}-{content_hash({'namespace': settings.namespace})}")
        .tags([PROJECT])
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for row in rows(settings):
        board = board.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in _panels(row, ids):
            board = board.with_panel(panel)
    content: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(board.build()))
    if query := releases(settings):
        content["annotations"] = {"list": [_annotation(query)]}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _panels(row: Row, ids: Iterator[int]) -> Iterator[timeseries.Panel]:
    """Yield the panels of a row; the last line of them fills the width."""
    last_line = len(row.panels) % PANELS_BESIDE or PANELS_BESIDE
    for index, panel in enumerate(row.panels):
        is_last = index >= len(row.panels) - last_line
        yield _panel(panel, GRID_COLUMNS // (last_line if is_last else PANELS_BESIDE)).id(next(ids))


def _panel(panel: Panel, width: int) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .title(panel.title)
        .description(_description(panel))
        .datasource(DATA_SOURCE)
        .unit(panel.unit)
        .span(width)
        .height(_HEIGHT)
        .axis_soft_min(0)
        .fill_opacity(5)
        .show_points(options.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    for index, query in enumerate(panel.queries):
        drawn = drawn.with_target(_target(query, chr(ord("A") + index)))
    return _with_limits(drawn, panel) if panel.limits else drawn


def _description(panel: Panel) -> str:
    """Return the description; Grafana draws limits without their names, so it has those."""
    limits = [f"Dashed: {name} ({value:g})." for name, value in panel.limits.items()]
    return " ".join([text for text in (panel.description, *limits) if text])


def _target(query: Query, ref: str) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref).range().datasource(DATA_SOURCE)
    )


def _with_limits(drawn: timeseries.Panel, panel: Panel) -> timeseries.Panel:
    steps = [Threshold(None, "transparent"), *(Threshold(value, _LIMIT) for value in sorted(panel.limits.values()))]
    dashed = common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED)
    return drawn.thresholds(dashboard.ThresholdsConfig().steps(steps)).thresholds_style(dashed)


def _annotation(query: Query) -> dict[str, Any]:
    """Return the marks of releases. The SDK has no fields for the texts of annotations of Prometheus."""
    return {
        "name": "Releases",
        "datasource": DATA_SOURCE.to_json(),
        "enable": True,
        "iconColor": _RELEASE,
        "expr": query.expr,
        "titleFormat": query.legend,
        "step": "60s",
    }

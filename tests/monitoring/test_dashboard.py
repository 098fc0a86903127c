"""The dashboard for Grafana: what it shows of a stack, and that it is the same text each time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from slipway.monitoring.dashboard import GRID_COLUMNS, grafana_json
from slipway.monitoring.panels import Panel, rows
from tests.monitoring.conftest import SLO, settings_of
from tests.paths import REPOSITORY

SETTINGS = settings_of("dev", {"services.api.slo": SLO})
BOARD: dict[str, Any] = json.loads(grafana_json(SETTINGS))


def shown() -> Iterator[tuple[Panel, dict[str, Any]]]:
    """Yield each panel with what Grafana gets of it."""
    inside = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
    described = [panel for row in rows(SETTINGS) for panel in row.panels]
    assert len(inside) == len(described) > 20
    yield from zip(described, inside, strict=True)


def test_it_has_each_panel_with_its_unit_and_expressions():
    for panel, board in shown():
        assert (board["title"], board["fieldConfig"]["defaults"]["unit"]) == (panel.title, panel.unit)
        assert [target["expr"] for target in board["targets"]] == [query.expr for query in panel.queries]
        assert [target["refId"] for target in board["targets"]] == list("ABCD"[: len(panel.queries)])


def test_limits_are_dashed_lines_and_named_in_the_description():
    panel, board = next((panel, board) for panel, board in shown() if panel.limits)
    steps = board["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, *sorted(panel.limits.values())]
    assert board["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "dashed"
    assert all(name in board["description"] for name in panel.limits)


def test_rows_are_titled_by_service_and_panels_fill_the_width_without_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    assert {x for x, _ in taken} == set(range(GRID_COLUMNS))
    lines = {y for _, y in taken}
    assert all((GRID_COLUMNS - 1, y) in taken for y in lines)
    titles = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert titles[:3] == ["api: objectives", "api: requests", "api: saturation"]


def test_every_panel_has_a_number_of_its_own():
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert sorted(set(numbers)) == list(range(1, len(numbers) + 1))


def test_the_data_source_is_chosen_in_grafana():
    [variable] = BOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    assert {target["datasource"]["uid"] for _, board in shown() for target in board["targets"]} == {"${datasource}"}


def test_releases_are_marked_with_service_and_version():
    [marks] = BOARD["annotations"]["list"]
    assert marks["titleFormat"] == "{{service}} {{version}}"
    assert "app_build_info" in marks["expr"]


def test_two_stacks_on_one_grafana_have_dashboards_of_their_own():
    other = json.loads(grafana_json(settings_of("staging", {})))
    assert other["uid"] != BOARD["uid"]
    assert len(other["uid"]) <= 40


def test_it_is_the_same_text_in_another_process():
    code = (
        "from tests.monitoring.conftest import SLO, settings_of; from slipway.monitoring.dashboard import grafana_json;"
        "print(grafana_json(settings_of('dev', {'services.api.slo': SLO})), end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == grafana_json(SETTINGS)


def test_what_a_preview_loads_waits_for_neither_grafana_nor_matplotlib():
    slow = {"grafana_foundation_sdk", "matplotlib", "numpy"}
    modules = (
        "slipway.program, slipway.ops.releases.up, slipway.ops.monitoring.dashboards, slipway.ops.verbs.monitoring"
    )
    code = f"import sys, {modules}; print(*{slow} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"

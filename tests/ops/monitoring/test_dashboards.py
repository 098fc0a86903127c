"""`./slipway dashboards`: the panels as pictures of real data, one page with all of them, and the JSON for Grafana."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from slipway import __main__ as slipway
from slipway.monitoring.panels import Panel, Query, rows
from slipway.ops.monitoring import dashboards, pictures, prometheus
from slipway.ops.monitoring.dashboards import Picture, PicturesError
from slipway.ops.monitoring.pictures import Line, TimeSpan, text_of
from slipway.ops.monitoring.prometheus import Prometheus, Series
from slipway.ops.program import config
from slipway.settings.sections.contract import Unit
from tests.ops.monitoring.fake_prometheus import NOW, FakePrometheus, Result, monitored

SPAN = TimeSpan(NOW - 60, NOW, 15)
RATES: Result = [({"route": "/v1/shops"}, 12), ({"route": "/v1/users/{id}"}, 3)]


def panel(**changes: object) -> Panel:
    return Panel(**{"title": "Requests", "unit": "reqps", "queries": (Query("up"),), **changes})  # pyright: ignore[reportArgumentType]


def line(*values: float, name: str = "a") -> Line:
    return Line(name, [(NOW - 60 + 15 * index, value) for index, value in enumerate(values)])


def pixels(png: bytes, tmp_path: Path) -> Image.Image:
    file = tmp_path / "picture.png"
    file.write_bytes(png)
    return Image.open(file)


# Pictures


def test_a_picture_is_a_png_that_fits_a_page_and_is_the_same_each_time(tmp_path: Path):
    png = pictures.draw(panel(), [line(1, 2, 3, 2, 1)], [(NOW - 30, "api v2")], SPAN)
    assert pixels(png, tmp_path).size == (770, 429)
    assert png == pictures.draw(panel(), [line(1, 2, 3, 2, 1)], [(NOW - 30, "api v2")], SPAN)


def test_lines_limits_and_releases_are_in_the_picture_in_colors_of_their_own(tmp_path: Path):
    def has(color: str, png: bytes) -> bool:
        wanted = [int(color[index : index + 2], 16) for index in (1, 3, 5)]
        image = pixels(png, tmp_path).convert("RGB").tobytes()
        found = {image[index : index + 3] for index in range(0, len(image), 3)}
        # Thin lines are drawn with lighter pixels beside them.
        return any(all(abs(a - b) < 40 for a, b in zip(pixel, wanted, strict=True)) for pixel in found)

    drawn = pictures.draw(panel(limits={"target": 2.5}), [line(1, 2, 3, 2, 1)], [(NOW - 30, "api v2")], SPAN)
    bare = pictures.draw(panel(), [line(1, 2, 3, 2, 1)], [], SPAN)
    assert [has(color, drawn) for color in ("#0072b2", "#c00000", "#7b3fa0")] == [True, True, True]
    assert [has(color, bare) for color in ("#0072b2", "#c00000", "#7b3fa0")] == [True, False, False]


@pytest.mark.parametrize("lines", [[], [line(math.nan, math.nan)]], ids=["no series", "no number"])
def test_a_panel_without_a_value_says_so_and_is_not_just_empty(lines: list[Line], tmp_path: Path):
    grey = pixels(pictures.draw(panel(), lines, [], SPAN), tmp_path).convert("RGB").crop((200, 100, 600, 300))
    assert len(grey.getcolors(10**6) or ()) > 5


def test_of_too_many_lines_the_highest_are_drawn():
    lines = [line(index, name=str(index)) for index in range(15)]
    assert [item.name for item in pictures.highest(lines)] == [str(index) for index in range(14, 4, -1)]


def test_a_gap_between_values_is_not_bridged():
    [before, gap, after] = pictures.with_gaps([(0, 1.0), (60, 2.0)], 15)
    assert (before, after) == ((0, 1.0), (60, 2.0))
    assert math.isnan(gap[1])


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("s", 0.0125, "12.5 ms"),
        ("s", 0.00025, "250 µs"),
        ("s", 2.5, "2.5 s"),
        ("bytes", 5 * 2**20, "5 MiB"),
        ("bytes", 0, "0 B"),
        ("percentunit", 0.0005, "0.05 %"),
        ("percentunit", -0.295, "-29.5 %"),
        ("reqps", 0.594, "0.594"),
        ("reqps", 12345, "12.3 k"),
        ("short", 2, "2"),
    ],
)
def test_values_are_written_with_their_unit(unit: Unit, value: float, text: str):
    assert text_of(unit)(value) == text


@pytest.mark.parametrize(
    ("legend", "name"),
    [("{{route}} p99", "/v1/shops p99"), ("", "code=200, route=/v1/shops"), ("{{ gone }}", "all")],
)
def test_a_line_is_named_as_grafana_would_name_it(legend: str, name: str):
    series = Series({"__name__": "x", "route": "/v1/shops", "code": "200"}, [])
    assert dashboards.legend(Query("x", legend), series) == name


# All of a stack


@pytest.fixture(scope="module")
def drawn() -> list[Picture]:
    """The pictures of a stack that had requests and nothing else."""
    versions: Result = [({"service": "api", "version": "src-2"}, 1)]
    values = {
        "sum by (route) (rate(http_requests_total": RATES,
        "app_build_info": versions,
        "sum by (route, le)": math.nan,
    }
    server = FakePrometheus(values)
    return dashboards.pictures(monitored(), server.client, 600, NOW)


def test_each_panel_has_a_picture_with_a_file_of_its_own(drawn: list[Picture]):
    expected = [(row.title, panel.title) for row in rows(monitored()) for panel in row.panels]
    assert [(picture.row, picture.panel.title) for picture in drawn] == expected
    assert len({picture.file for picture in drawn}) == len(drawn)
    assert all(re.fullmatch(r"[a-z0-9-]+\.png", picture.file) for picture in drawn)


def test_a_picture_without_data_is_known_as_such(drawn: list[Picture]):
    empty = {picture.title: picture.is_empty for picture in drawn}
    assert not empty["api: requests: Requests by route"]
    assert empty["api: saturation: Requests in flight"]
    assert empty["api: requests: Response times by route, p50"]  # 0/0 is a value, and no number


def test_the_page_shows_every_picture_with_its_expression(drawn: list[Picture], tmp_path: Path):
    page = dashboards.write(tmp_path / "new", "dev", drawn, "10m", NOW)
    text = page.read_text()
    assert page == tmp_path / "new" / "index.html"
    assert re.findall(r'src="([^"]+)"', text) == [picture.file for picture in drawn]
    assert all((page.parent / picture.file).read_bytes().startswith(b"\x89PNG") for picture in drawn)
    assert "Stack dev, the last 10m until 2026-11-30 00:53 UTC" in text
    assert "http_requests_total{namespace=&quot;slipway-dev&quot;" in text
    assert "<script" not in text


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "slipway.ops.monitoring.pictures", None)
    with pytest.raises(PicturesError, match=r"Install matplotlib; or print the dashboard for Grafana: --json"):
        dashboards.pictures(monitored(), FakePrometheus().client, 600, NOW)


# The verb


def run(*options: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(slipway.app, ["dashboards", "-s", "dev", *options])
    return done.exit_code, done.stdout, done.stderr


def test_the_verb_names_the_page_and_what_has_no_data(
    drawn: list[Picture], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    asked: list[float] = []

    def of_stack(_: object, __: Prometheus, last: float) -> list[Picture]:
        asked.append(last)
        return drawn

    monkeypatch.setattr(config, "settings", lambda _: monitored())
    monkeypatch.setattr(prometheus, "connect", lambda *_: FakePrometheus().client)
    monkeypatch.setattr(dashboards, "pictures", of_stack)
    code, out, err = run("-o", str(tmp_path), "--last", "2h")
    assert (code, out, asked) == (0, "", [7200])
    assert "no data: api: saturation: Requests in flight\n" in err
    assert err.endswith(f"{len(drawn)} panels: {tmp_path}/index.html\n")


def test_a_time_that_is_none_is_refused_with_an_example():
    code, _, err = run("--last", "soon")
    assert code == 2
    assert "90s, 10m, 2h or 1d" in err


def test_the_dashboard_for_grafana_needs_no_prometheus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(config, "settings", lambda _: monitored())
    monkeypatch.setattr(prometheus, "connect", lambda *_: pytest.fail("it was asked"))
    code, out, _ = run("--json")
    assert code == 0
    assert json.loads(out)["title"] == "slipway: slipway-dev"
    assert run("--grafana", str(tmp_path / "board.json"))[:2] == (0, "")
    assert (tmp_path / "board.json").read_text() == out

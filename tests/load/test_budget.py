"""The error budget on the real cluster: spent by a bad release, seen by `slo`, and in the way of the next update."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.e2e.canaries import BAD, GOOD, ROUTES
from tests.e2e.conftest import LOCAL, NEEDS, ROOT, Edit, eventually, history, ingress_pool, outputs, pulumi, run, up
from tests.e2e.load import Load
from tests.e2e.monitoring import STORES, build_server_images

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

SHOPS = "/v1/shops"
PAGES = "web.slipway.localhost"
SLO = "      slo: {availability: 99.5, latency: {p99: 2.5s}, window: 7d}\n"
REASON = "this is the fix of the errors in the list of shops"
COMMENT = "package main // without the errors"


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[str, str, str], None]]:
    """The stack with a Prometheus of its own and an objective of api; both are gone after the tests.

    Returns a function that edits a file of the project until then.
    """
    before: dict[Path, bytes] = {}

    def change(name: str, old: str, new: str) -> None:
        content = (ROOT / name).read_bytes()
        before.setdefault(ROOT / name, content)
        assert old.encode() in content, f"{name} does not contain {old!r}"
        (ROOT / name).write_bytes(content.replace(old.encode(), new.encode(), 1))

    try:
        change(LOCAL, STORES, f"  slipway:monitoring: {{source: cluster}}\n{STORES}")
        change(LOCAL, NEEDS, f"{NEEDS}{SLO}")
        build_server_images(tmp_path_factory.mktemp("images"))
        up()
        yield change
    finally:
        for file, content in before.items():
            file.write_bytes(content)
        up()


def budgets() -> tuple[int, dict[str, Any]]:
    """Return the exit code of `./slipway slo`, and its objectives by name."""
    done = run("./slipway", "slo", "-s", "local", "--json", ok=False)
    found = json.loads(done.stdout)["objectives"] if done.stdout else []
    return done.returncode, {objective["slo"]: objective for objective in found}


def test_what_is_left_of_a_budget_is_measured(monitored: Edit, api: urllib3.HTTPSConnectionPool):
    with Load(api, SHOPS):
        eventually(lambda: budgets()[0] == 0, 180, "all budgets are measured, and have something left")
    availability = budgets()[1]["availability"]
    assert (availability["service"], availability["target"], availability["window"]) == ("api", 0.995, "7d")
    assert availability["budgetLeft"] > 0.5


def test_a_bad_release_burns_the_budget_and_slo_says_which_route_did_it(
    monitored: Edit, api: urllib3.HTTPSConnectionPool
):
    monitored(ROUTES, GOOD, BAD)
    up()
    with Load(api, SHOPS):
        eventually(lambda: budgets()[0] == 1, 180, "the budget is burnt")
    availability = budgets()[1]["availability"]
    assert availability["budgetLeft"] <= 0
    first = availability["spentBy"][0]
    assert (first["route"], first["code"]) == (SHOPS, "500")
    assert run("./slipway", "slo", "-s", "local", ok=False).stdout.startswith("local: BURNT: api availability\n")


@pytest.mark.feature("P2", part="on the real cluster: `up` is refused with the figure, nothing changes")
def test_the_next_update_is_refused_with_the_figure_and_changes_nothing(monitored: Edit):
    monitored(ROUTES, BAD, GOOD)
    monitored("app/cmd/api/main.go", "package main", COMMENT)
    before = outputs()["image"]
    done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
    assert done.returncode == 1
    assert "error: local: the error budget of api is burnt; nothing was changed.\n" in done.stderr
    assert "api: availability: 99.5 % have to be answered without an error in 7d; " in done.stderr
    assert outputs()["image"] == before


@pytest.mark.feature("P2", part="on the real cluster: a rollback passes")
def test_a_rollback_passes(monitored: Edit, api: urllib3.HTTPSConnectionPool):
    assert budgets()[0] == 1
    run("./slipway", "rollback", "-s", "local", "--yes")
    assert api.request("GET", SHOPS).status == 200
    assert budgets()[0] == 1


@pytest.mark.feature("P2", part="on the real cluster: the override stands in the history")
def test_the_fix_passes_with_a_reason_that_the_history_shows(monitored: Edit, api: urllib3.HTTPSConnectionPool):
    run("./slipway", "up", "-s", "local", "--yes", "--override-budget", REASON)
    assert api.request("GET", SHOPS).status == 200
    [row] = [row for row in history() if row["inForce"]]
    assert (row["override"], row["message"]) == (REASON, f"error budget overridden: {REASON}")
    assert REASON in run("./slipway", "history", "-s", "local").stdout


def test_an_update_that_changes_nothing_passes(monitored: Edit):
    done = run("./slipway", "up", "-s", "local", "--yes")
    assert "error budget" not in done.stderr


@pytest.mark.feature("H4", part="no panel of the local stack is empty")
def test_the_panels_are_drawn_from_the_data_of_the_cluster(
    monitored: Edit, api: urllib3.HTTPSConnectionPool, tmp_path: Path
):
    with Load(api, SHOPS, 5), Load(api, "/v1/leaderboard", 5), Load(ingress_pool(PAGES), "/leaders", 5):
        eventually(lambda: _empty(tmp_path) == "", 180, "each panel has data")
    assert (tmp_path / "index.html").is_file()
    assert len(list(tmp_path.glob("api-*.png"))) > 15


def _empty(folder: Path) -> str:
    """Draw the pictures; return the lines about panels without data."""
    messages = run("./slipway", "dashboards", "-s", "local", "--last", "10m", "-o", str(folder)).stderr
    return "\n".join(line for line in messages.splitlines() if line.startswith("no data: "))


def test_the_engine_alone_has_no_gate(monitored: Edit):
    monitored("app/cmd/api/main.go", COMMENT, "package main // by the engine alone")
    assert budgets()[0] == 1
    pulumi("up", "--yes", "--skip-preview")

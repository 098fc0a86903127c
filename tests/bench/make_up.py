"""`make up` when everything runs, and after `make down`. Needs root, and stops the local cluster for each run."""

from __future__ import annotations

import time

from tests.bench.measure import actions_in_turns
from tests.bench.page import Section, table
from tests.e2e.conftest import run

# Each takes a minute or more.
WARM_RUNS = 3


def measured(runs: int) -> Section:
    [nothing_to_do] = actions_in_turns({"`make up` when everything runs": _up}, runs)
    [warm] = actions_in_turns({"`make up` after `make down`": _down_and_up}, min(runs, WARM_RUNS))
    rows = [[one.name, one.text(1), f"{one.median / nothing_to_do.median:.1f}"] for one in (nothing_to_do, warm)]
    text = (
        f"After `make down` there are at most {WARM_RUNS} runs. "
        "The data of the cluster, the Go build cache and the Python environment are kept. Left out: the first `make "
        "up` of a machine, most of which is what it downloads."
    )
    return Section("Start of the local cluster", text, table(["command", "time, s", "times the first line"], rows))


def _up() -> float:
    started = time.perf_counter()
    run("make", "up", seconds=1800)
    return time.perf_counter() - started


def _down_and_up() -> float:
    run("make", "down", seconds=1800)
    return _up()

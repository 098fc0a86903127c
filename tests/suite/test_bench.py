"""What `make bench` measures, and what it makes of it. How long something takes is no matter of a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bench import growth, page
from tests.bench.measure import Command, Run, Series, in_turns
from tests.paths import REPOSITORY


def test_a_run_counts_the_cpu_time_and_memory_of_its_command_alone():
    idle = Command("idle", (sys.executable, "-c", "print()"))
    large = Command("large", (sys.executable, "-c", "print(len(b'x' * (200 << 20)))"))
    first, second, third = (in_turns([command], 1)[0].runs[0] for command in (idle, large, idle))
    assert second.mebibytes > 200 > 2 * max(first.mebibytes, third.mebibytes)
    assert 0 < first.first_output <= first.seconds


def test_a_command_that_fails_ends_the_measurement():
    broken = Command("broken", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(SystemExit, match="broken fails"):
        in_turns([broken], 1)


def test_a_ratio_compares_runs_of_the_same_turn():
    """The machine was half as fast in the second turn."""
    base = Series(Command("base", ()), [Run(1, 1, 1, 1), Run(2, 2, 2, 1)])
    own = Series(Command("own", ()), [Run(3, 3, 3, 1), Run(6, 6, 6, 1)])
    assert own.ratio(base, "seconds") == 3
    assert own.text("seconds") == "4.50 (3.00–6.00)"


def test_a_project_for_growth_declares_each_of_its_services(tmp_path: Path):
    root = growth.project(tmp_path, 3)
    words = (REPOSITORY / "slipway", "render", "-s", growth.STACK, "-o", tmp_path / "objects")
    in_turns([Command("render", words, root)], 0)
    deployments = {file.name for file in (tmp_path / "objects").glob("deployment-*.yaml")}
    assert deployments == {f"deployment-shop-{number}.yaml" for number in range(3)}


def test_the_page_has_a_table_and_a_picture_for_a_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "DOCUMENT", tmp_path / "benchmarks.md")
    monkeypatch.setattr(page, "PICTURES", tmp_path / "benchmarks")
    picture = page.Picture("growth.svg", "Growth", "services", "seconds", [(2, 1.0), (10, 2.0)])
    page.write([page.Section("Growth", "Of a run.", page.table(["services"], [["2"]]), picture)], 7)
    text = page.DOCUMENT.read_text()
    assert "median of 7 runs" in text
    assert "## Growth\n\nOf a run.\n\n| services |\n| --- |\n| 2 |\n\n![Growth](benchmarks/growth.svg)" in text
    assert (tmp_path / "benchmarks" / "growth.svg").read_text().startswith("<?xml")

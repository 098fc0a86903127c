"""Each alert fires on the series of an unwell stack, and not on those of a good one, by Prometheus's promtool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.bootstrap import debian
from local.bootstrap.downloads import cached_folder
from local.paths import clone_paths
from slipway.monitoring.groups import groups_of
from slipway.settings.settings import Settings
from tests.conftest import API_ONLY
from tests.e2e.conftest import ROOT
from tests.monitoring import promtool
from tests.monitoring.conftest import SLO, alerts_of_the_reference_app, settings_of
from tests.monitoring.rule_cases import API, CASES, POD, Case, requests

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TARGET = f'{{{API.replace(",", ", ")}, slo="availability"}}'
MONTH = f'{TARGET[:-1]}, window="30d"}}'


@pytest.fixture(scope="module")
def program() -> Path:
    """Return promtool of this machine, or that of Debian's package, unpacked in the cache and not installed."""
    if found := debian.which("promtool"):
        return found
    folder = cached_folder(clone_paths(ROOT).cache / "promtool", _unpack)
    return folder / "usr" / "bin" / "promtool"


def _unpack(folder: Path) -> None:
    """Fill a folder with the files of the package, whatever its version."""
    subprocess.run(["apt-get", "download", "-q", "prometheus"], cwd=folder, env=debian.apt_environment(), check=True)
    [package] = folder.glob("prometheus_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    package.unlink()


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Return those of prod with objectives, and the alerts of the reference app."""
    return settings_of("prod", {"services.api.slo": SLO, **API_ONLY, **alerts_of_the_reference_app()})


@pytest.fixture(scope="module")
def rules(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file with the rules of that stack."""
    return promtool.rule_file(settings, tmp_path_factory.mktemp("rules"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
@pytest.mark.feature("H3")
def test_an_alert_fires_on_bad_series_and_stays_silent_on_good_ones(
    program: Path, rules: Path, settings: Settings, case: Case
):
    bad = promtool.alert_test(case, case.bad, promtool.expected(settings, case))
    good = promtool.alert_test(case, case.good, [])
    assert promtool.run(program, rules, [bad, good]) == ""


def test_rules_with_their_annotations_are_what_prometheus_takes(program: Path, settings: Settings, tmp_path: Path):
    file = tmp_path / "rules.yaml"
    for source in ("operator", "cluster"):
        file.write_text(yaml.safe_dump({"groups": groups_of(settings, source)}))
        done = subprocess.run([program, "check", "rules", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"SUCCESS: \d{2,} rules found", done.stdout)


def test_a_summary_and_a_description_are_filled_in(program: Path, settings: Settings, tmp_path: Path):
    """promtool compares annotations as they reach somebody, with the values in them."""
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups_of(settings, "cluster")}))
    case = next(case for case in CASES if case.alert == "ErrorBudgetFastBurn")
    [alert] = promtool.expected(settings, case)
    alert["exp_annotations"] = {
        "summary": "api spends the error budget of availability too fast.",
        "description": "1% of api's requests failed lately; the objective allows 0.05 % in 30d. At 14.4 times that "
        "share, 2 % of the budget is spent in 1h.",
        "runbook_url": "docs/runbooks/ErrorBudgetFastBurn.md",
    }
    assert promtool.run(program, file, [promtool.alert_test(case, case.bad, [alert])]) == ""


def values(expr: str, at: str, samples: list[tuple[str, float]]) -> dict[str, Any]:
    """Return a test of an expression's value."""
    found = [{"labels": labels, "value": value} for labels, value in samples]
    return {"expr": expr, "eval_time": at, "exp_samples": found}


@pytest.mark.feature("H5", part="the budget that is left, by Prometheus")
def test_the_budget_that_is_left_follows_from_the_errors(program: Path, rules: Path):
    remaining = "slo:period_error_budget_remaining:ratio"
    # Half of what the objective allows: 2.5 of 5 in 10,000.
    series = promtool.inputs(requests(25, 60, total=100000))
    tests = [values(f"round({remaining}{TARGET}, 0.001)", "60m", [(MONTH, 0.5)])]
    assert promtool.run(program, rules, [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]) == ""


@pytest.mark.feature("H5", part="no requests spend no budget")
def test_hours_without_requests_leave_the_budget_as_it_was(program: Path, rules: Path):
    """A share of 0/0 would be NaN, and so would the sum over the whole window be from then on."""
    remaining = "slo:period_error_budget_remaining:ratio"
    series = promtool.inputs({f'http_requests_total{{{POD},code="200"}}': "0+600x30 18000x200"})
    tests = [
        values(f"{remaining}{TARGET}", "200m", [(f"{remaining}{MONTH}", 1)]),
        values(f"slo:sli_error:ratio_rate5m{TARGET}", "200m", []),
    ]
    assert promtool.run(program, rules, [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]) == ""

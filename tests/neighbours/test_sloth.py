"""The recording rules and alerts of an objective are those that sloth makes of it, except for names of labels."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from slipway.monitoring import burn_rate
from slipway.monitoring.slo import Objective, objectives
from tests.e2e import go_programs
from tests.e2e.conftest import ROOT, run
from tests.monitoring.conftest import settings_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

MODULE = ROOT / "tests/neighbours/sloth"
LATENCY = {"p99": "250ms", "p99.9": "2.5s", "p50": "1s"}


@pytest.fixture(scope="module")
def sloth() -> Path:
    """Return sloth, compiled on first use."""
    return go_programs.compiled("github.com/slok/sloth/cmd/sloth", MODULE)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the burn rates of 7 days, which sloth has among its examples."""
    source = run("go", "list", "-m", "-f", "{{.Dir}}", "github.com/slok/sloth", cwd=MODULE).stdout.strip()
    folder = tmp_path_factory.mktemp("windows")
    shutil.copy(Path(source) / "examples" / "windows" / "7d.yaml", folder)
    return folder


def specification(objective: Objective) -> dict[str, Any]:
    """Return the same objective as sloth reads it."""
    events = {"error_query": objective.bad_rate("{{.window}}"), "total_query": objective.total_rate("{{.window}}")}
    alerting = {
        "page_alert": {"labels": {"severity": "page"}},
        "ticket_alert": {"labels": {"severity": "ticket"}},
        "name": "ErrorBudgetBurn",
    }
    slo = {
        "name": objective.name,
        "objective": round(100 * objective.target, 9),
        "sli": {"events": events},
        "alerting": alerting,
    }
    return {"version": "prometheus/v1", "service": objective.service, "slos": [slo]}


def rules_of_sloth(program: Path, windows: Path, objective: Objective, folder: Path) -> dict[str, str]:
    """Return the expressions of sloth's rules, by the series they record or the severity of the alert."""
    source, target = folder / "slo.yaml", folder / "rules.yaml"
    source.write_text(yaml.safe_dump(specification(objective)))
    options = ["--default-slo-period", objective.window]
    options += ["--slo-period-windows-path", str(windows)] if objective.window == "7d" else []
    run(str(program), "generate", "-i", str(source), "-o", str(target), *options)
    groups = yaml.safe_load(target.read_text())["groups"]
    rules = {
        in_our_names(name_of(rule), objective): normalized(in_our_names(rule["expr"], objective))
        for group in groups
        for rule in group["rules"]
    }
    # It says which version of sloth made the rules.
    del rules["slo_info"]
    return rules


def our_rules(objective: Objective) -> dict[str, str]:
    """Return the expressions of our rules, by the same keys."""
    groups = burn_rate.groups(objective)
    return {name_of(rule): normalized(rule["expr"]) for group in groups for rule in group["rules"]}


def name_of(rule: dict[str, Any]) -> str:
    """Return the series that a rule records, or the severity of its alert."""
    return rule.get("record") or rule["labels"]["severity"]


def in_our_names(expr: str, objective: Objective) -> str:
    """Return an expression or series of sloth in our names. Ours tell objectives apart by their namespace, too."""
    own = f'sloth_id="{objective.service}-{objective.name}"'
    renamed = expr.replace(own, f'namespace="{objective.namespace}"').replace("sloth_id", "namespace")
    # It writes windows in the largest unit.
    for weeks, days in (("1w", "7d"), ("4w", "28d")):
        renamed = re.sub(rf"(?<=ratio_rate){weeks}|(?<=\[){weeks}(?=\])", days, renamed)
    return re.sub(r"sloth_(service|slo|window)", r"\1", renamed)


def normalized(expr: str) -> str:
    """Return an expression with one layout, and without what is only imprecision of a float."""
    rounded = re.sub(r"\d+\.\d+(e-\d+)?", lambda number: f"{float(number[0]):.9g}", expr)
    return promql_parser.parse(rounded).prettify()


@pytest.mark.parametrize("window", ["7d", "28d", "30d"])
@pytest.mark.parametrize("availability", [99.95, 99.9, 95])
@pytest.mark.feature("H5", part="the rules are those of sloth")
def test_the_rules_of_an_objective_are_those_of_sloth(
    sloth: Path, windows: Path, tmp_path: Path, window: str, availability: float
):
    slo = {"availability": availability, "latency": LATENCY, "window": window}
    found = objectives(settings_of("prod", {"services.api.slo": slo}))
    assert len(found) == 1 + len(LATENCY)
    for objective in found:
        theirs = rules_of_sloth(sloth, windows, objective, tmp_path)
        assert len(theirs) == 16
        assert our_rules(objective) == theirs


def test_another_burn_rate_is_seen():
    objective = objectives(settings_of("prod", {"services.api.slo": {"availability": 99.95}}))[0]
    ours = our_rules(objective)
    faster = {**ours, "page": ours["page"].replace("14.4", "14.5")}
    assert ours != faster

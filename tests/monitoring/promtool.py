"""Unit tests of alerting rules, as promtool of Prometheus runs them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from slipway.monitoring.groups import groups_of
from slipway.settings.settings import Settings
from tests.monitoring.rule_cases import Case, Series


def rule_file(settings: Settings, folder: Path) -> Path:
    """Write the rules of a stack. Annotations are left out: promtool would have them repeated in each test."""
    groups = groups_of(settings, "operator")
    kept = [{**group, "rules": [_without_annotations(rule) for rule in group["rules"]]} for group in groups]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": kept}))
    return folder / "rules.yaml"


def _without_annotations(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key != "annotations"}


def expected(settings: Settings, case: Case) -> list[dict[str, Any]]:
    """Return the alerts that fire on the bad series of a case, with all their labels."""
    found = [
        {"exp_labels": {**case.labels, **rule["labels"]}}
        for group in groups_of(settings, "operator")
        for rule in group["rules"]
        if rule.get("alert") == case.alert
        and rule["labels"]["service"] == case.service
        and (not case.of or case.of.items() <= rule["labels"].items() or _is_below(case, rule["labels"]))
    ]
    assert found, f"{case.service} has no alert {case.alert}"
    return found


def _is_below(case: Case, labels: Mapping[str, str]) -> bool:
    """Whether the threshold of a rule is lower than that of a rule that fires."""
    return "threshold" in case.of and float(labels["threshold"]) < float(case.of["threshold"])


def alert_test(case: Case, series: Series, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a test that at the time of a case just these alerts fire."""
    return {
        "interval": "1m",
        "input_series": inputs(series),
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": alerts}],
    }


def inputs(series: Series) -> list[dict[str, str]]:
    """Return series as promtool reads them."""
    return [{"series": name, "values": values} for name, values in series.items()]


def run(promtool: Path, rules: Path, tests: Iterable[dict[str, Any]]) -> str:
    """Run tests of a rule file, and return what fails; empty if nothing does."""
    file = rules.with_name("tests.yaml")
    file.write_text(yaml.safe_dump({"rule_files": [rules.name], "evaluation_interval": "1m", "tests": list(tests)}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr

"""Recording and alerting rules, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from slipway.settings.sections.slo import Severity

RUNBOOKS = "docs/runbooks"


Rule: TypeAlias = dict[str, Any]
"""One rule as Prometheus reads it."""


def record(name: str, expr: str, labels: Mapping[str, str]) -> Rule:
    """Return a rule that records an expression as a series of its own."""
    return {"record": name, "expr": expr, "labels": dict(labels)}


def alert(  # noqa: PLR0917 - the order is that of a rule file
    name: str,
    expr: str,
    severity: Severity,
    labels: Mapping[str, str],
    summary: str,
    description: str,
    *,
    hold: str = "",
    runbook: str = "",
) -> Rule:
    """Return an alert. It fires once its expression has had a result for as long as `hold`."""
    return {
        "alert": name,
        "expr": expr,
        **({"for": hold} if hold else {}),
        "labels": {**labels, "severity": severity},
        "annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": runbook or f"{RUNBOOKS}/{name}.md",
        },
    }

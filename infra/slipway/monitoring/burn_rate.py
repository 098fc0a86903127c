"""Recording rules and alerts of an objective: how fast it spends its error budget, and how much is left.

The rules are those of sloth (github.com/slok/sloth) for the same objective, with other labels; a test with sloth itself
holds them equal (tests/neighbours/test_sloth.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.monitoring.alerts import Rule, alert, record
from slipway.monitoring.slo import Objective
from slipway.settings.sections.slo import WINDOW_DAYS, BurnWindows, Severity
from slipway.settings.types.units import hours

WINDOW = "window"
FAST, SLOW = "ErrorBudgetFastBurn", "ErrorBudgetSlowBurn"
OBJECTIVE = "slo:objective:ratio"
ERROR_BUDGET = "slo:error_budget:ratio"
PERIOD_DAYS = "slo:time_period:days"
CURRENT_BURN_RATE = "slo:current_burn_rate:ratio"
PERIOD_BURN_RATE = "slo:period_burn_rate:ratio"
BUDGET_REMAINING = "slo:period_error_budget_remaining:ratio"


def error_ratio_metric(window: str) -> str:
    """Return the name of the recorded share of bad requests over a window: `slo:sli_error:ratio_rate5m`."""
    return f"slo:sli_error:ratio_rate{window}"


def ranges(objective: Objective) -> list[str]:
    """Return the windows over which the share of bad requests is recorded for alerts, shortest first."""
    return sorted({window for pair in objective.windows for window in (pair.short, pair.long)}, key=hours)


def groups(objective: Objective) -> Iterator[dict[str, Any]]:
    """Yield the rule groups of an objective: the shares of bad requests, what follows from them, and its alerts."""
    name = f"slo-{objective.service}-{objective.name}"
    yield {"name": f"{name}-errors", "rules": list(_error_ratios(objective))}
    yield {"name": f"{name}-budget", "rules": list(_budget(objective))}
    yield {"name": f"{name}-alerts", "rules": list(_alerts(objective))}


def _error_ratios(objective: Objective) -> Iterator[Rule]:
    for window in ranges(objective):
        labels = {**objective.labels, WINDOW: window}
        yield record(error_ratio_metric(window), objective.error_ratio(window), labels)
    window = objective.window
    # From the shares of 5 minutes: reading all requests of a month each time would cost Prometheus too much.
    short = f"{error_ratio_metric(objective.windows[0].short)}{objective.selector}[{window}]"
    expr = f"sum_over_time({short})\n/ ignoring (window)\ncount_over_time({short})"
    yield record(error_ratio_metric(window), expr, {**objective.labels, WINDOW: window})


def _budget(objective: Objective) -> Iterator[Rule]:
    own, labels = objective.selector, objective.labels
    yield record(OBJECTIVE, f"vector({objective.target:.12g})", labels)
    yield record(ERROR_BUDGET, f"vector(1-{objective.target:.12g})", labels)
    yield record(PERIOD_DAYS, f"vector({WINDOW_DAYS[objective.window]})", labels)
    for name, window in ((CURRENT_BURN_RATE, objective.windows[0].short), (PERIOD_BURN_RATE, objective.window)):
        expr = f"{error_ratio_metric(window)}{own}\n/ on(namespace, slo, service) group_left\n{ERROR_BUDGET}{own}"
        yield record(name, expr, labels)
    yield record(BUDGET_REMAINING, f"1 - {PERIOD_BURN_RATE}{own}", labels)


def _alerts(objective: Objective) -> Iterator[Rule]:
    spent = f"of {objective.service}'s requests {objective.symptom}"
    allowed = f"the objective allows {100 * objective.budget:.6g} % in {objective.window}"
    both: tuple[tuple[str, Severity], ...] = ((FAST, "page"), (SLOW, "ticket"))
    for name, severity in both:
        pairs = [pair for pair in objective.windows if pair.severity == severity]
        quick = pairs[0]
        yield alert(
            name,
            "\nor\n".join(_burns(objective, pair) for pair in pairs),
            severity,
            objective.labels,
            f"{objective.service} spends the error budget of {objective.name} too fast.",
            f"{{{{ $value | humanizePercentage }}}} {spent} lately; {allowed}. At {quick.rate:g} times that share, "
            f"{100 * quick.rate * hours(quick.long) / 24 / WINDOW_DAYS[objective.window]:.3g} % of the budget is spent "
            f"in {quick.long}.",
        )


def _burns(objective: Objective, pair: BurnWindows) -> str:
    """Return the condition that the budget burns faster than allowed, in the long window and still in the short one."""
    sides = [
        f"    max({error_ratio_metric(window)}{objective.selector} > ({pair.rate:.12g} * {objective.budget:.12g})) "
        f"without (window)"
        for window in (pair.short, pair.long)
    ]
    return f"(\n{sides[0]}\n    and\n{sides[1]}\n)"

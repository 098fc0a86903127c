"""The gate on releases: a service whose error budget is burnt is not updated, except by a rollback.

Who updates it all the same, because the update is the fix, says why. The reason is recorded with the release.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import typer

from slipway.monitoring.slo import Objective, objectives
from slipway.ops.changes import stack_models
from slipway.ops.changes.comparison import Change
from slipway.ops.cluster.connection import service_of
from slipway.ops.errors import UserError
from slipway.ops.monitoring import prometheus, slo
from slipway.ops.monitoring.prometheus import PrometheusError
from slipway.ops.monitoring.slo import ObjectiveState
from slipway.ops.program import config
from slipway.settings.settings import Settings

OVERRIDE = "--override-budget"
# More pods are how one mends an overload, and rules and dashboards reach no request.
_HARMLESS = {"HorizontalPodAutoscaler", "ScaledObject", "PodMonitor", "ServiceMonitor", "PrometheusRule"}


class BudgetBurntError(UserError):
    """An error budget of a service is burnt, which the update would change."""


def check(stack: str, reason: str = "", *, must_be_read: bool = False) -> str:
    """Return the reason to record with the release, if one was needed; else an empty text.

    Raises BudgetBurntError if the update changes a service whose error budget is burnt, and there is no reason. A stack
    without monitoring passes at once. Without an answer from Prometheus everything passes, with a warning; with
    `must_be_read` it raises PrometheusError.
    """
    try:
        burnt = _burnt(stack)
    except PrometheusError as error:
        if must_be_read:
            raise
        typer.echo(
            f"warning: the error budgets cannot be read, so this update is not checked against them: {error}", err=True
        )
        return reason
    updated = _updated(stack, burnt) if burnt else []
    if not updated:
        if reason:
            typer.echo(f"{stack}: {OVERRIDE} was not needed: no burnt budget is in the way", err=True)
        return ""
    if reason:
        typer.echo(f"{stack}: updated although the error budget is burnt: {reason}\n{_figures(updated)}", err=True)
        return reason
    raise BudgetBurntError(_refusal(stack, updated))


def gated(settings: Settings) -> list[Objective]:
    """Return the objectives that releases have to keep."""
    if settings.monitoring.source == "none":
        return []
    sections = {name: service.slo for name, service in settings.services.items()}
    return [found for found in objectives(settings) if (section := sections[found.service]) and section.gate]


def _burnt(stack: str) -> list[ObjectiveState]:
    """Return the gated objectives whose budget is burnt; report those without requests. Raises PrometheusError."""
    try:
        settings = config.settings(stack)
    except pulumi.RunError:
        return []  # `pulumi up` itself says why
    if not (limits := gated(settings)):
        return []
    source = prometheus.connect(stack, settings)
    found = [slo.budget(source, objective) for objective in limits]
    if unknown := [state.objective.title for state in found if state.error_ratio is None]:
        typer.echo(
            f"{stack}: no requests recorded yet for {', '.join(unknown)}; the gate does not apply to them", err=True
        )
    return [state for state in found if state.is_burnt]


def _updated(stack: str, burnt: Sequence[ObjectiveState]) -> list[ObjectiveState]:
    """Return those of services that the update would change. Raises ModelError if that cannot be told."""
    changes = stack_models.of_engine(stack)
    services = {name for change in changes if (name := updated_service(change))}
    return [state for state in burnt if state.objective.service in services]


def updated_service(change: Change) -> str:
    """Return the service whose pods or requests a change reaches; empty for none."""
    if change.is_record or change.kind in _HARMLESS or not (change.fields or change.replaced):
        return ""
    return service_of(change.after or change.before or {})


def _refusal(stack: str, burnt: Sequence[ObjectiveState]) -> str:
    services = list(dict.fromkeys(state.objective.service for state in burnt))
    keys = ", ".join(f"slipway:services.{name}.slo" for name in services)
    return (
        f"{stack}: the error budget of {', '.join(services)} is burnt; nothing was changed.\n{_figures(burnt)}\n"
        f"What spent it: ./slipway slo -s {stack}\n"
        f"A rollback always passes: ./slipway rollback -s {stack}\n"
        f'If this update is the fix: ./slipway up -s {stack} {OVERRIDE} "REASON", which ./slipway history shows\n'
        f"The objectives are {keys} in stacks/Pulumi.{stack}.yaml"
    )


def _figures(burnt: Sequence[ObjectiveState]) -> str:
    return "\n".join(f"  {state.objective.service}: {state.text}" for state in burnt)

"""What Prometheus knows of a stack: slo, dashboards, forecast."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from slipway.ops.errors import CANNOT_TELL, UserError
from slipway.ops.verbs.options import Json, Stack


def slo(stack: Stack, as_json: Json = False) -> None:
    """Show what is left of each error budget, and what spends it.

    Examples:
      ./slipway slo -s prod
      ./slipway slo -s prod --json
    """
    import pulumi

    from slipway.ops.monitoring import prometheus, slo
    from slipway.ops.program import config

    try:
        settings = config.settings(stack)
        found = slo.states(prometheus.connect(stack, settings), settings)
        if not found:
            raise UserError(f"stack {stack} has no objective. Set one: slipway:services.NAME.slo")
    except (UserError, pulumi.RunError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(CANNOT_TELL)
    sys.stdout.write(slo.as_json(stack, found) if as_json else slo.screen(stack, found))
    sys.exit(slo.exit_code(found))


def dashboards(
    stack: Stack,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder. Default: .slipway/dashboards/STACK.")
    ] = None,
    last: Annotated[str, typer.Option(help="The time to show, until now: 10m, 1h, 2d.")] = "1h",
    grafana: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the dashboard for Grafana into this file instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the dashboard for Grafana instead.")] = False,
) -> None:
    """Draw the panels of a stack from the data of its Prometheus.

    Writes pictures, and a page with all of them. For Grafana, the same panels are printed as JSON; that needs no
    Prometheus.

    Examples:
      ./slipway dashboards -s prod --last 2d
      ./slipway dashboards -s prod --grafana dashboard.json
    """
    from slipway import files
    from slipway.ops.diagnosis import logs
    from slipway.ops.monitoring import dashboards, prometheus
    from slipway.ops.program import config
    from slipway.project import ROOT

    try:
        seconds = logs.parse_period(last)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--last") from None
    settings = config.settings(stack)
    if grafana or as_json:
        from slipway.monitoring.dashboard import grafana_json

        text = grafana_json(settings)
        sys.stdout.write(text) if grafana is None else files.write({grafana.absolute(): text})
        return
    drawn = dashboards.pictures(settings, prometheus.connect(stack, settings), seconds)
    page = dashboards.write(output or ROOT / ".slipway" / "dashboards" / stack, stack, drawn, last)
    for picture in drawn:
        if picture.is_empty:
            typer.echo(f"no data: {picture.title}", err=True)
    typer.echo(f"{len(drawn)} panels: {page}", err=True)


def forecast(
    stack: Stack,
    days: Annotated[int, typer.Option(min=7, max=90, help="How many days to replay.")] = 14,
    as_json: Json = False,
) -> None:
    """Replay the last weeks with and without pods ahead of load.

    Prints minutes beyond the target, and pod-hours. It changes nothing.

    Examples:
      ./slipway forecast -s prod
      ./slipway forecast -s prod --days 28
    """
    import time

    import pulumi

    from slipway.ops.monitoring import forecast, prometheus
    from slipway.ops.program import config

    try:
        settings = config.settings(stack)
        found = forecast.reports(settings, prometheus.connect(stack, settings), time.time(), days)
    except (UserError, pulumi.RunError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(CANNOT_TELL)
    sys.stdout.write(forecast.as_json(found) if as_json else "".join(f"{report.text}\n" for report in found))
    sys.exit(forecast.exit_code(found))

"""How a running stack is doing, and a way into it: status, logs, port-forward, drift, doctor."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from slipway.ops.errors import CANNOT_TELL, UserError
from slipway.ops.verbs.options import Json, Quiet, Stack


def status(stack: Stack, as_json: Json = False) -> None:
    """Show what a stack runs, and the cause of what does not run.

    Examples:
      ./slipway status -s prod
      ./slipway status -s prod --json
    """
    from dataclasses import replace

    import pulumi

    from slipway.ops.cluster import connection, dev_build, snapshot
    from slipway.ops.diagnosis import certificates, status
    from slipway.ops.monitoring import firing
    from slipway.ops.program import config

    try:
        settings = config.settings(stack)
        served = certificates.ServedCertificates(settings)
        cluster = connection.connect(stack, settings)
        now = snapshot.take_snapshot(cluster)
        alerts, unknown = firing.alerts(cluster)
        notes = [*dev_build.notes(now.deployments, stack), *served.notes(cluster), *unknown]
        report = replace(status.read(cluster, now), notes=notes, alerts=alerts)
    except (UserError, pulumi.RunError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(CANNOT_TELL)
    sys.stdout.write(status.as_json(report) if as_json else status.screen(report, now))
    sys.exit(status.HEALTHY if report.healthy else status.UNHEALTHY)


def logs(  # noqa: PLR0917 - options, which nobody gives by position
    stack: Stack,
    service: Annotated[str | None, typer.Argument(help="A service, store or job. Default: all services.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines, until Ctrl-C.")] = False,
    since: Annotated[str | None, typer.Option(help="Only lines of this last time: 90s, 10m, 2h, 1d.")] = None,
    previous: Annotated[
        bool, typer.Option("--previous", help="Logs of the run before a container was restarted.")
    ] = False,
    trace: Annotated[
        str | None, typer.Option(help="Only lines of one request: a trace id, or a traceparent header.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the logs of all pods in the order of time.

    Secrets are printed as ***.

    Examples:
      ./slipway logs -s dev api -f
      ./slipway logs -s prod --since 10m --json
    """
    from slipway.ops.cluster import connection
    from slipway.ops.diagnosis import logs
    from slipway.ops.program import config

    if follow and previous:
        raise typer.BadParameter("--previous shows a run that has ended: leave --follow out")
    try:
        seconds = logs.parse_period(since) if since is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    try:
        trace_id = logs.parse_trace(trace) if trace is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--trace") from None
    settings = config.settings(stack)
    asked = logs.LogRequest(logs.select_services(settings, service), seconds, previous)
    cluster = connection.connect(stack, settings)
    mask = logs.secret_mask(cluster)
    lines = logs.follow_lines(cluster, asked) if follow else logs.read_lines(cluster, asked)
    if trace_id is not None:
        lines = logs.with_trace(lines, trace_id)
    try:
        logs.show(lines, mask, as_json=as_json)
    except (KeyboardInterrupt, BrokenPipeError):
        # Threads still wait for lines, and the reader may have gone: end at once, without another word.
        os._exit(0)


def port_forward(
    stack: Stack,
    service: Annotated[str, typer.Argument(help="A service or store of the stack.")],
    port: Annotated[int | None, typer.Argument(help="Local port. Default: the same number as the pod's.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="The port with metrics and health.")] = False,
    port_name: Annotated[str | None, typer.Option("--port", help="Name of the pod's port, such as grpc.")] = None,
) -> None:
    """Forward a local port to a pod of a service or store.

    It runs until Ctrl-C.

    Examples:
      ./slipway port-forward api --admin -s dev
      ./slipway port-forward mysql 13306 -s local
    """
    from slipway.ops.cluster import connection, port_forward
    from slipway.ops.program import config

    cluster = connection.connect(stack, config.settings(stack))
    port_forward.forward(port_forward.command_line(cluster, service, port, "admin" if admin else port_name))


def drift(
    stack: Stack,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a section for an issue.")] = False,
) -> None:
    """List what was changed by hand since the last update, by whom.

    What an autoscaler owns is not drift. `pulumi up --refresh` restores deleted objects. A field that another manager
    owns has to be changed back by that manager, or in the stack file.

    Examples:
      ./slipway drift -s prod
      ./slipway drift -s prod --json
    """
    from slipway.ops.cluster import connection
    from slipway.ops.diagnosis.drift import command
    from slipway.ops.program import config, engine_state

    cluster = connection.connect(stack, config.settings(stack))
    text, code = command(cluster, engine_state.export(stack), as_json=as_json, markdown=markdown)
    sys.stdout.write(text)
    sys.exit(code)


def doctor(
    stack: Stack,
    fix: Annotated[bool, typer.Option("--fix", help="Repair the state; check nothing else.")] = False,
    state: Annotated[bool, typer.Option("--state", help="Check the state only.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check what a stack needs; repair what a killed update left.

    Looks at Python, Pulumi, its plugins, Docker and the registry if images are built here, and the cluster: version,
    clock, your rights, kinds of objects, classes, metrics. Each failure comes with its fix.

    In the state it finds a lock nobody holds, operations without an end, and Jobs made anew. --fix changes the state,
    and in the cluster nothing but such a Job.

    Examples:
      ./slipway doctor -s prod
      ./slipway doctor -s prod --fix
    """
    if fix or state:
        from slipway.ops.diagnosis import doctor

        sys.exit(doctor.command(stack, fix=fix))
    from slipway.ops.prerequisites import report

    code = report.command(stack, as_json=as_json, quiet=quiet)
    sys.stdout.flush()
    sys.stderr.flush()
    # A check that has missed its deadline may still wait for an answer.
    os._exit(code)

"""`./slipway`: every verb, with what it is for."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import files
import httpx2
import policies as rules
import pulumi
import typer

from ops import (
    adopt,
    backup,
    certificates,
    cluster,
    config,
    destroy,
    diff,
    doctor,
    drift,
    drill,
    engine_state,
    features,
    forward,
    held,
    history,
    logs,
    policies,
    preview,
    refusal,
    render,
    rollback,
    status,
    up,
)
from ops.engine_state import NoState
from ops.models import NoModel
from ops.recorder import UnknownStack, declare

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode="rich")

Stack = Annotated[str, typer.Option("--stack", "-s", help="Name of the stack: local, dev, staging or prod.")]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def slipway() -> None:
    """Work with the environments of this project. Data goes to stdout, messages to stderr."""


@app.command("render")
def render_command(
    stack: Stack,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write one file per object into this folder.")
    ] = None,
) -> None:
    """Print the stack's Kubernetes objects as YAML, secrets as ***.

    Needs no cluster, Docker daemon, Pulumi CLI or secret. Example: ./slipway render -s prod -o out/
    """
    program = declare(stack)
    documents = render.documents(program)
    for finding in policies.findings(program):
        typer.echo(f"warning: {finding.told}", err=True)
    if output is None:
        sys.stdout.write(render.one_stream(documents))
        return
    written = render.write(documents, output)
    typer.echo(f"{len(written)} objects of {stack} in {output}", err=True)


@app.command("diff")
def diff_command(left: str, right: str, as_json: Json = False) -> None:
    """Show what differs between two stacks. Example: ./slipway diff staging prod"""
    diff.command(left, right, as_json=as_json)


@app.command("preview")
def preview_command(  # noqa: PLR0917 - options, which nobody gives by position
    stack: Annotated[list[str] | None, typer.Option("--stack", "-s", help="A stack; again for more of them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All stacks; the same as naming none.")] = False,
    base: Annotated[
        str | None, typer.Option(help="Compare with this git revision: no cluster, engine or secret is needed.")
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Let a forbidden class pass, such as loses-data.")] = None,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Print a comment for a pull request.")] = False,
) -> None:
    """Tell what a change does: rolls pods, replaces, exposes, loses data, ...

    Exit code 2: an environment forbids it. Example: ./slipway preview --all --base origin/main
    """
    names = [] if every else stack or []
    sys.exit(preview.command(names, base, allow or [], as_json=as_json, markdown=markdown))


@app.command("status")
def status_command(stack: Stack, as_json: Json = False) -> None:
    """Show on one screen what a stack runs, and why if something does not run.

    Exit code: 0 healthy, 1 not, 2 cannot tell. Example: ./slipway status -s prod
    """
    try:
        settings = config.settings(stack)
        served = certificates.Served(settings)
        found = cluster.connect(stack, settings)
        now = held.look(found)
        told = replace(status.read(found, now), notes=served.notes(found))
    except (cluster.NoCluster, cluster.Refused, pulumi.RunError, UnknownStack) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(status.CANNOT_TELL)
    sys.stdout.write(status.as_json(told) if as_json else status.screen(told, now))
    sys.exit(status.HEALTHY if told.healthy else status.UNHEALTHY)


@app.command("logs")
def logs_command(  # noqa: PLR0917 - options, which nobody gives by position
    stack: Stack,
    service: Annotated[str | None, typer.Argument(help="A service, store or job. Default: all services.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl-C.")] = False,
    since: Annotated[str | None, typer.Option(help="No lines older than that: 90s, 10m, 2h, 1d.")] = None,
    previous: Annotated[bool, typer.Option("--previous", help="Of the run before a container was restarted.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the pods of a stack write, in the order of time, secrets as ***.

    Example: ./slipway logs -s dev api -f
    """
    if follow and previous:
        raise typer.BadParameter("--previous is of a run that has ended: leave --follow out")
    try:
        seconds = logs.seconds(since) if since is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    settings = config.settings(stack)
    asked = logs.Asked(logs.services(settings, service), seconds, previous)
    found = cluster.connect(stack, settings)
    mask = logs.mask_of(found)
    try:
        logs.show(logs.followed(found, asked) if follow else logs.written(found, asked), mask, as_json=as_json)
    except (KeyboardInterrupt, BrokenPipeError):
        # Threads still wait for lines, and whoever read may have gone: nothing is left to be said.
        os._exit(0)


@app.command("port-forward")
def port_forward_command(
    stack: Stack,
    service: Annotated[str, typer.Argument(help="A service or store of the stack.")],
    port: Annotated[int | None, typer.Argument(help="Port of this machine. Default: the one it has there.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="The port with metrics and health.")] = False,
) -> None:
    """Have a port of this machine lead to a pod of a service or store, until Ctrl-C.

    Example: ./slipway port-forward api --admin -s dev, then curl localhost:9090/metrics
    """
    forward.forward(forward.command_line(cluster.connect(stack, config.settings(stack)), service, port, admin=admin))


@app.command("backup")
def backup_command(
    stack: Stack,
    show: Annotated[bool, typer.Option("--list", help="Only print the backups there are, the oldest first.")] = False,
) -> None:
    """Dump the stack's in-cluster MySQL to its backup volume now, with checksum and rows of each table."""
    store = backup.store(stack)
    (backup.names if show else backup.backup)(store)


@app.command("restore")
def restore_command(
    stack: Stack,
    name: Annotated[str | None, typer.Argument(help="Name of the backup. Default: the newest.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Replace the stack's in-cluster MySQL by a backup, and prove it: same rows, same checksum.

    The services that need it are stopped meanwhile. What was there before is kept as a backup too.
    """
    store = backup.store(stack)
    if not yes:
        typer.confirm(f"Replace the database of stack {stack} by {name or 'its newest backup'}?", abort=True, err=True)
    backup.restore(store, name)


@app.command("up")
def up_command(
    stack: Stack,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    no_return: Annotated[bool, typer.Option("--no-return", help="Leave a failed rollout as it is.")] = False,
) -> None:
    """`pulumi up` that tells why a rollout failed, and goes back to the release that was in force.

    With `rollout: canary` few pods of a new version are tried first, and withdrawn if they fail or are slow.
    Exit code 1 whenever the update failed. Secrets are not taken back. A mistake found before anything changes, and
    Ctrl-C, take nothing back.
    """
    sys.exit(up.command(stack, yes=yes, returns=not no_return))


@app.command("refresh")
def refresh_command(
    stack: Stack,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """`pulumi refresh`, on the cluster that the stack file accepts and no other: take its objects into the state."""
    sys.exit(destroy.command("refresh", stack, yes=yes))


@app.command("destroy")
def destroy_command(
    stack: Stack,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """`pulumi destroy`, on the cluster that the stack file accepts and no other: delete all objects of the stack.

    What is protected (prod's namespace) has to be unprotected first.
    """
    sys.exit(destroy.command("destroy", stack, yes=yes))


@app.command("adopt")
def adopt_command(
    stack: Stack,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take over what Helm or kubectl has made in the stack's namespace: no object is replaced, no request lost.

    A service of the stack file is the Deployment of that name. Exit code 1: something would have to be replaced, and
    nothing was changed; or the update failed, and running it again goes on.
    """
    sys.exit(adopt.command(stack, yes=yes))


@app.command("rollback")
def rollback_command(
    stack: Stack,
    revision: Annotated[str | None, typer.Argument(help="Of `history`. Default: the one before that in force.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Let a forbidden class pass, such as exposes.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Go back to a former release: its settings and its image, with today's secrets.

    A rotated secret stays rotated. What it will do is shown first. Exit code 2: the environment forbids it.
    """
    sys.exit(rollback.command(stack, revision, allow or [], yes=yes))


@app.command("drift")
def drift_command(stack: Stack, as_json: Json = False) -> None:
    """Print what was changed in the cluster since the last `pulumi up`, and which field manager did it; and orphans.

    Exit code: 0 nothing, 2 something. What an autoscaler owns is not drift. `pulumi up --refresh` brings back what is
    gone; a field that somebody else owns it does not take: put it back as that manager, or into the stack file.
    """
    found = cluster.connect(stack, config.settings(stack))
    text, code = drift.command(found, engine_state.export(stack), as_json=as_json)
    sys.stdout.write(text)
    sys.exit(code)


@app.command("doctor")
def doctor_command(
    stack: Stack,
    fix: Annotated[bool, typer.Option("--fix", help="Put it right.")] = False,
) -> None:
    """Tell what an update that was killed left: a lock nobody holds, operations without an end, Jobs made anew.

    Exit code: 0 the state is in order, 1 it is not. --fix changes the state, and in the cluster nothing but such a Job.
    """
    sys.exit(doctor.command(stack, fix=fix))


@app.command("drill")
def drill_command(
    name: Annotated[str | None, typer.Argument(help="A drill of --list, or all.")] = None,
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Name of the stack: local or dev.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Only print the drills there are.")] = False,
    as_json: Json = False,
) -> None:
    """Put a fault into a running stack under traffic, look at its effect, put everything back, and write a report.

    Exit code: 0 all was as expected, 1 not. Only for stacks without users. Example: ./slipway drill kill-pod -s local
    """
    if show:
        sys.stdout.write(drill.listing())
        return
    if name is None or stack is None:
        raise typer.BadParameter("say which drill, and to which stack: ./slipway drill NAME -s local; or --list")
    sys.exit(drill.command(name, stack, as_json=as_json))


@app.command("history")
def history_command(stack: Stack, as_json: Json = False) -> None:
    """Print what was deployed when, by whom, from which commit and image, and what came of it; * is in force."""
    history.command(stack, as_json=as_json)


app.add_typer(config.app)


@app.command("policies")
def policies_command(
    write: Annotated[bool, typer.Option("--write", help="Write docs/policies.md instead of printing it.")] = False,
) -> None:
    """Print the house rules, with what each is for. `./slipway render` tells which ones a stack breaks."""
    if write:
        files.write({policies.DOCUMENT: rules.document()})
        return
    sys.stdout.write(rules.document())


@app.command("features")
def features_command(
    write: Annotated[bool, typer.Option("--write", help="Also write docs/features.md.")] = False,
) -> None:
    """Print which rows of the feature table the tests prove."""
    table = features.table()
    if write:
        files.write({features.DOCUMENT: table})
    sys.stdout.write(table)


MISTAKES = (
    *(pulumi.RunError, NoModel, UnknownStack, render.NotOurs, backup.BackupFailed),
    *(cluster.NoCluster, cluster.Refused, logs.UnknownService, features.NotCollected, rollback.NoRelease, NoState),
    *(drill.NoDrill, forward.NoForward),
)


def main() -> None:
    """Run a verb; what a user got wrong or the system refuses is one message and exit code 1, never a traceback."""
    # A parent process may have closed them. Like print(), write to nowhere then.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    try:
        try:
            app(prog_name="slipway")
        finally:
            _flush()  # at the end of the process it would be too late to report a full disk
    except MISTAKES as error:
        _fail(str(error))
    except httpx2.HTTPError as error:  # of the client for models; Cluster's own methods raise Refused and NoCluster
        _fail(refusal.of(error))
    except OSError as error:
        _discard_output()
        _fail(files.message(error))


def _fail(message: str) -> None:
    typer.echo(f"error: {message}", err=True)
    sys.exit(1)


def _flush() -> None:
    """Write what is buffered. A reader that has read enough, as `head` does, changes no exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def _discard_output() -> None:
    """Keep Python from writing its buffer once more, and failing once more, at the end of the process."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()

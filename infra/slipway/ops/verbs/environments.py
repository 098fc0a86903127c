"""`./slipway env`: environments that come and go, and stacks that sleep."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from slipway.ops.verbs.options import Json

app = typer.Typer(name="env", help="Make, delete, put to sleep and wake environments.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the environment, such as pr-123.")]


@app.command()
def create(
    name: Name,
    base: Annotated[str, typer.Option("--from", help="The stack that it is like.")] = "dev",
    data: Annotated[
        str,
        typer.Option(metavar="BACKUP", help="Restore this backup of the base: a name of `backup --list`, or newest."),
    ] = "",
) -> None:
    """Make an environment like a stack, or update it.

    It has its own namespace, hosts, secrets and data. Refused for the tier prod, and for stacks whose stores are
    managed.

    Examples:
      ./slipway env create pr-123 --from dev
      ./slipway env create pr-123 --data newest
    """
    from slipway.ops.environments.create import command

    sys.exit(command(name, base, data))


@app.command()
def delete(
    name: Annotated[str | None, typer.Argument(help="Name of the environment.")] = None,
    idle: Annotated[
        str | None, typer.Option(metavar="TIME", help="All that nobody has changed for so long: 90m, 72h, 7d.")
    ] = None,
) -> None:
    """Delete an environment with its data.

    Checks that nothing is left of it. Only what `env create` has made. Deleting it again does nothing.

    Examples:
      ./slipway env delete pr-123
      ./slipway env delete --idle 72h
    """
    from slipway.ops.diagnosis import logs
    from slipway.ops.environments import delete

    if (name is None) == (idle is None):
        raise typer.BadParameter("name an environment, or give --idle TIME")
    if name is not None:
        delete.command(name)
        return
    try:
        seconds = logs.parse_period(str(idle))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--idle") from None
    sys.exit(delete.idle(seconds))


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """List the environments: age, last change, state, address.

    Examples:
      ./slipway env list
      ./slipway env list --json
    """
    from slipway.ops.environments.listing import command

    sys.exit(command(as_json=as_json))


@app.command()
def sleep(name: Annotated[str, typer.Argument(help="An environment, or any other stack but of tier prod.")]) -> None:
    """Stop all pods of a stack.

    Volumes, addresses and settings stay.

    Example:
      ./slipway env sleep dev
    """
    from slipway.ops.environments import sleep
    from slipway.ops.environments.create import opened

    sleep.sleep(opened(name))


@app.command()
def wake(name: Annotated[str, typer.Argument(help="A stack that sleeps.")]) -> None:
    """Start what `env sleep` has stopped, and wait until it is ready.

    Example:
      ./slipway env wake dev
    """
    from slipway.ops.environments import sleep
    from slipway.ops.environments.create import opened

    sleep.wake(opened(name))

"""Faults on purpose: drill."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from slipway.ops.verbs.options import Json


def drill(
    name: Annotated[str | None, typer.Argument(help="A drill of --list, or all.")] = None,
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Name of the stack, of tier local or dev.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Only print the names of the drills.")] = False,
    as_json: Json = False,
) -> None:
    """Rehearse a fault under traffic, and put everything back.

    Checks the effect of the fault, and writes a report. Only for the tiers local and dev.

    Examples:
      ./slipway drill --list
      ./slipway drill kill-pod -s local
    """
    from slipway.ops.drills import drill

    if show:
        sys.stdout.write(drill.listing_json() if as_json else drill.listing())
        return
    if name is None or stack is None:
        raise typer.BadParameter("name a drill and a stack, as in ./slipway drill NAME -s local; or --list")
    sys.exit(drill.command(name, stack, as_json=as_json))

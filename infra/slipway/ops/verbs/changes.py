"""What a change would do: diff, preview."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from slipway.ops.verbs.options import Allow, Json


def diff(left: str, right: str, as_json: Json = False) -> None:
    """Show what differs between two stacks.

    Compares the objects that both declare, apart from their names and namespaces. Needs no cluster.

    Example:
      ./slipway diff staging prod
    """
    from slipway.ops.changes.diff import command

    command(left, right, as_json=as_json)


def preview(  # noqa: PLR0917 - options, which nobody gives by position
    stack: Annotated[
        list[str] | None, typer.Option("--stack", "-s", help="Name of a stack; repeat it for more.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All stacks; the same as naming none.")] = False,
    base: Annotated[
        str | None, typer.Option(help="Compare with this git revision: no cluster, engine or secret is needed.")
    ] = None,
    allow: Allow = None,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Print a comment for a pull request.")] = False,
) -> None:
    """Show what a change would do, and whether the tier forbids it.

    It may roll pods, replace objects, expose them, lose data and more.

    Examples:
      ./slipway preview -s dev
      ./slipway preview --all --base origin/main
    """
    from slipway.ops.changes.preview import command

    names = [] if every else stack or []
    sys.exit(command(names, base, allow or [], as_json=as_json, markdown=markdown))

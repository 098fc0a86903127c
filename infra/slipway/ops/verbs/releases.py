"""Changes to a stack, and their history: up, dev, promote, refresh, destroy, adopt, rollback, history and backups."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from slipway.ops.verbs.options import Allow, Json, Stack, Yes


def up(
    stack: Stack,
    yes: Yes = False,
    no_return: Annotated[bool, typer.Option("--no-return", help="Leave a failed rollout as it is.")] = False,
    override_budget: Annotated[
        str, typer.Option(metavar="REASON", help="Update although an error budget is burnt; `history` shows why.")
    ] = "",
    override_freeze: Annotated[
        str, typer.Option(metavar="REASON", help="Update within a freeze window; `history` shows why.")
    ] = "",
) -> None:
    """Deploy a stack; if that fails, show the cause and roll back.

    Runs `pulumi up`. With `rollout: canary` a few pods of a new version are tried first, and withdrawn if they fail or
    are slow. A service whose error budget is burnt is not updated (`./slipway slo`), unless --override-budget says why;
    nor is a stack within a freeze window (`slipway:freeze`), unless --override-freeze does.

    Secrets are never rolled back. Nothing is rolled back after Ctrl-C, or after an error that was found before anything
    changed.

    Examples:
      ./slipway up -s dev
      ./slipway up -s prod --yes
    """
    from slipway.ops.releases.up import command

    overrides = {"freeze": override_freeze.strip()}
    sys.exit(command(stack, yes=yes, rolls_back=not no_return, override=override_budget.strip(), overrides=overrides))


def dev(
    stack: Stack,
    service: Annotated[str | None, typer.Argument(help="A service. Default: all that are compiled here.")] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Run the service in one pod under Delve, the debugger of Go.")
    ] = False,
) -> None:
    """Compile and roll out what you save, until Ctrl-C.

    Only the image of the pods changes; Ctrl-C puts that of the release back. With --debug one pod runs, under Delve,
    whose port is opened on this machine. Migrations and stack files take `./slipway up`. Refused for the tiers staging
    and prod.

    Examples:
      ./slipway dev -s local
      ./slipway dev -s local api --debug
    """
    from slipway.ops.development.session import command

    code = command(stack, service, debug=debug)
    # Threads still wait for log lines: end at once, without another word.
    os._exit(code)


def promote(
    source: Annotated[str, typer.Argument(help="The stack whose recorded release is promoted.")],
    target: Annotated[str, typer.Argument(help="The stack to update; its images have `from: SOURCE`.")],
    *,
    preview: Annotated[bool, typer.Option("--preview", help="Only print what would move, and the evidence.")] = False,
    override: Annotated[
        list[str] | None,
        typer.Option(metavar="EVIDENCE=REASON", help="Promote without a piece of evidence; `history` shows why."),
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Deploy the images of one stack's release to another stack.

    Prints each piece of evidence that the tier demands, and refuses if one is missing. Then updates the stack as
    `./slipway up` does.

    Examples:
      ./slipway promote dev staging --preview
      ./slipway promote dev staging
    """
    from slipway.ops.delivery.promote import command, parse_overrides

    reasons = parse_overrides(override or [])
    sys.exit(command(source, target, preview=preview, yes=yes, as_json=as_json, overrides=reasons))


def refresh(stack: Stack, yes: Yes = False) -> None:
    """Read the objects of the cluster into Pulumi's state.

    Runs `pulumi refresh` on the cluster that the stack file accepts and no other.

    Example:
      ./slipway refresh -s dev
    """
    from slipway.ops.releases.destroy import command

    sys.exit(command("refresh", stack, yes=yes))


def destroy(stack: Stack, yes: Yes = False) -> None:
    """Delete all objects of a stack.

    Runs `pulumi destroy` on the cluster that the stack file accepts and no other. What is protected, as in the tier
    prod, has to be unprotected first; the error shows the command.

    Example:
      ./slipway destroy -s dev
    """
    from slipway.ops.releases.destroy import command

    sys.exit(command("destroy", stack, yes=yes))


def adopt(stack: Stack, yes: Yes = False) -> None:
    """Take over what Helm or kubectl has made; replace nothing.

    Adopts the objects in the stack's namespace, without losing a request. A service of the stack file is the Deployment
    of that name. If an object would have to be replaced, nothing is changed. An update that failed is continued by
    running it again.

    Example:
      ./slipway adopt -s prod
    """
    from slipway.ops.releases.adopt import command

    sys.exit(command(stack, yes=yes))


def rollback(
    stack: Stack,
    revision: Annotated[
        str | None, typer.Argument(help="A revision of `history`. Default: the one before the release in force.")
    ] = None,
    allow: Allow = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Try the former release on today's schema, return, and note it.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Return to a former release, with today's secrets.

    Its settings and its image come back; a rotated secret stays rotated. Shows first what it will do.

    Examples:
      ./slipway rollback -s prod
      ./slipway rollback 012ed6e6 -s prod --yes
    """
    from slipway.ops.releases.rollback import command

    sys.exit(command(stack, revision, allow or [], yes=yes, rehearse=rehearse))


def history(
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Name of the stack.")] = None,
    of_all: Annotated[
        bool, typer.Option("--all", help="Print what each stack runs now, since when and by whom.")
    ] = False,
    figures: Annotated[bool, typer.Option("--figures", help="Print the four DORA figures of the stack.")] = False,
    days: Annotated[int, typer.Option(min=1, max=366, help="The days that --figures counts, up to now.")] = 30,
    as_json: Json = False,
) -> None:
    """List what was deployed when, by whom, with which result.

    Each line has the commit and the image; * is in force.

    Examples:
      ./slipway history -s prod
      ./slipway history --all
    """
    if of_all == (stack is not None) or (of_all and figures):
        raise typer.BadParameter("name a stack, as in ./slipway history -s prod; or --all, without --figures")
    if stack is None:
        from slipway.ops.delivery import running

        running.command(as_json=as_json)
    elif figures:
        from slipway.ops.delivery.figures import command

        command(stack, days, as_json=as_json)
    else:
        from slipway.ops.releases.history import command

        command(stack, as_json=as_json)


def backup(
    stack: Stack,
    show: Annotated[bool, typer.Option("--list", help="Only print the existing backups, the oldest first.")] = False,
    prove: Annotated[
        bool, typer.Option("--prove", help="Restore it into a second database, compare the two, and drop that.")
    ] = False,
) -> None:
    """Dump the stack's in-cluster MySQL to its backup volume.

    The dump has a checksum and the rows of each table.

    Examples:
      ./slipway backup -s prod --prove
      ./slipway backup -s prod --list
    """
    from slipway.ops.releases import backup

    database = backup.database_of(stack)
    (backup.names if show else backup.prove if prove else backup.backup)(database)


def restore(
    stack: Stack,
    name: Annotated[str | None, typer.Argument(help="Name of the backup. Default: the newest.")] = None,
    yes: Yes = False,
) -> None:
    """Replace the in-cluster MySQL by a backup, and prove it.

    Rows and checksum have to be the same. The services that need it are stopped meanwhile. The data before the restore
    is kept as a backup too.

    Examples:
      ./slipway restore -s dev
      ./slipway restore NAME -s prod --yes
    """
    from slipway.ops.releases import backup

    database = backup.database_of(stack)
    if not yes:
        typer.confirm(f"Replace the database of stack {stack} by {name or 'its newest backup'}?", abort=True, err=True)
    backup.restore(database, name)

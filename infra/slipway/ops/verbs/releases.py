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
    """Run `pulumi up`; if the rollout fails, show the cause and roll back to the release in force before.

    With `rollout: canary` a few pods of a new version are tried first, and withdrawn if they fail or are slow.
    A service whose error budget is burnt is not updated (`./slipway slo`), unless --override-budget says why;
    nor is a stack within a freeze window (`slipway:freeze`), unless --override-freeze does.
    Exit code 1 whenever the update failed. Secrets are never rolled back. Nothing is rolled back after Ctrl-C, or after
    an error that was found before anything changed.
    """
    from slipway.ops.releases.up import command

    overrides = {"freeze": override_freeze.strip()}
    sys.exit(command(stack, yes=yes, rolls_back=not no_return, override=override_budget.strip(), overrides=overrides))


def dev(
    stack: Stack,
    service: Annotated[str | None, typer.Argument(help="A service. Default: all that are compiled here.")] = None,
) -> None:
    """Compile and roll out a service each time its sources are saved, and stream its logs, until Ctrl-C.

    Only the image of the pods changes; Ctrl-C puts that of the release back. Migrations and stack files take
    `./slipway up`. Refused for the tiers staging and prod. Exit code 1: the release is not put back.
    Example: ./slipway dev -s local api
    """
    from slipway.ops.development.session import command

    code = command(stack, service)
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
    """Move the images of one stack's recorded release to another stack, and update that as `./slipway up` does.

    Prints each piece of evidence that the tier demands, and refuses if one is missing. Exit code 2: refused; 1: the
    update failed, and was rolled back. Example: ./slipway promote dev staging
    """
    from slipway.ops.delivery.promote import command, parse_overrides

    reasons = parse_overrides(override or [])
    sys.exit(command(source, target, preview=preview, yes=yes, as_json=as_json, overrides=reasons))


def refresh(stack: Stack, yes: Yes = False) -> None:
    """Run `pulumi refresh` on the cluster that the stack file accepts and no other: read its objects into the state."""
    from slipway.ops.releases.destroy import command

    sys.exit(command("refresh", stack, yes=yes))


def destroy(stack: Stack, yes: Yes = False) -> None:
    """Run `pulumi destroy` on the cluster that the stack file accepts and no other: delete all objects of the stack.

    What is protected, as in the tier prod, has to be unprotected first; the error shows the command.
    """
    from slipway.ops.releases.destroy import command

    sys.exit(command("destroy", stack, yes=yes))


def adopt(stack: Stack, yes: Yes = False) -> None:
    """Take over what Helm or kubectl has made in the stack's namespace: no object is replaced, no request lost.

    A service of the stack file is the Deployment of that name. Exit code 1: something would have to be replaced, and
    nothing was changed; or the update failed, and can be continued by running it again.
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
    """Roll back to a former release: its settings and its image, with today's secrets.

    A rotated secret stays rotated. Shows first what it will do. Exit code 2: the tier of the stack forbids it.
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
    """Print what was deployed when, by whom, from which commit and image, and the result; * is in force."""
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
    """Dump the stack's in-cluster MySQL to its backup volume now, with checksum and rows of each table."""
    from slipway.ops.releases import backup

    database = backup.database_of(stack)
    (backup.names if show else backup.prove if prove else backup.backup)(database)


def restore(
    stack: Stack,
    name: Annotated[str | None, typer.Argument(help="Name of the backup. Default: the newest.")] = None,
    yes: Yes = False,
) -> None:
    """Replace the stack's in-cluster MySQL by a backup, and prove it: same rows, same checksum.

    The services that need it are stopped meanwhile. The data before the restore is kept as a backup too.
    """
    from slipway.ops.releases import backup

    database = backup.database_of(stack)
    if not yes:
        typer.confirm(f"Replace the database of stack {stack} by {name or 'its newest backup'}?", abort=True, err=True)
    backup.restore(database, name)

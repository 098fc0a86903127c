"""The migrations that a promotion brings, and whether there is a way back from them.

They are the files of `slipway:promotion.migrations` that are new between the commits of the images, as git has them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from slipway.ops.delivery import schema_changes
from slipway.ops.delivery.checklist import Finding
from slipway.ops.delivery.columns import Schema
from slipway.ops.delivery.plan import PromotionPlan
from slipway.ops.delivery.stack_state import StackState
from slipway.ops.errors import UserError
from slipway.project import ROOT
from slipway.settings.settings import Settings

SUFFIX = ".sql"
# golang-migrate and others have the way back in a file of its own.
_DOWN = ".down.sql"
_DIRTY = "-dirty"


class UnknownMigrationsError(UserError):
    """Which migrations a promotion brings cannot be told; the message says why."""


@dataclass(frozen=True)
class Migration:
    """A file of the migrations that differs between two commits."""

    file: str
    change: str
    """As git names it: A added, M modified, D deleted."""
    text: str
    """As it is in the newer commit; empty for one that is deleted."""


def can_go_back(plan: PromotionPlan) -> Finding:
    """Find out whether the version that the target runs can run on the new schema, as far as the statements tell."""
    if why := nothing_to_go_back_from(plan):
        return Finding(True, why)
    try:
        pending = between_images(plan)
    except UnknownMigrationsError as error:
        return Finding(False, str(error))
    if not pending:
        return Finding(True, "no migration is new")
    settings = plan.target.settings
    schema = known_schema(_commit(plan.target), settings.promotion.migrations, _dialect(settings))
    if lost := list(losses(pending, schema)):
        return Finding(False, "; ".join(lost))
    names = ", ".join(migration.file.rpartition("/")[2] for migration in pending)
    why = f"no statement takes away what {plan.target.stack} runs on today, or refuses what it writes"
    return Finding(True, f"{names}: {why}")


def nothing_to_go_back_from(plan: PromotionPlan) -> str:
    """Return why no migration stands between the two releases; empty if one may."""
    if not any(service.migration for service in plan.target.settings.services.values()):
        return "no service has a migration"
    if plan.target.in_force is None:
        return f"{plan.target.stack} runs nothing yet"
    return ""


def between_images(plan: PromotionPlan) -> list[Migration]:
    """Return the migrations that the images bring. Raises UnknownMigrationsError if that cannot be told."""
    folders = plan.target.settings.promotion.migrations
    if not folders:
        raise UnknownMigrationsError(
            f"slipway:promotion.migrations of {plan.target.stack} names no folder, so nobody knows what they do"
        )
    return between(_commit(plan.target), _commit(plan.source), folders)


def _commit(state: StackState) -> str:
    """Return the commit that the images of a stack were built from."""
    commit = state.image_commit
    if not commit:
        raise UnknownMigrationsError(
            f"the commit that the images of {state.stack} were built from is not known; ./slipway promote records it"
        )
    if commit.endswith(_DIRTY):
        raise UnknownMigrationsError(
            f"the images of {state.stack} were built from {commit}: from files that no commit has"
        )
    return commit


def between(before: str, after: str, folders: Sequence[str]) -> list[Migration]:
    """Return the migrations that differ between two commits, in the order of their names."""
    for commit in (before, after):
        if not _has(f"{commit}^{{commit}}"):
            raise UnknownMigrationsError(f"commit {commit} is not in this clone; fetch the whole history")
    for folder in folders:
        if not _has(f"{before}:./{folder}"):
            raise UnknownMigrationsError(
                f"slipway:promotion.migrations: commit {before} has no folder {folder}, so it is not known what its "
                "database has. If these are the first migrations, say so by --override"
            )
    # With -z, names are as they are: otherwise those with other letters than ASCII stand in quotes.
    listed = _git("diff", "-z", "--name-status", "--no-renames", "--relative", f"{before}..{after}", "--", *folders)
    fields = listed.split("\0")
    return [
        Migration(file, change, _git("show", f"{after}:./{file}") if change != "D" else "")
        for change, file in sorted(zip(fields[::2], fields[1::2], strict=False), key=lambda pair: _order(pair[1]))
        if _is_migration(file)
    ]


def _order(file: str) -> list[int | str]:
    """Return the key that sorts migrations as their tools do: 9_a.sql before 10_b.sql."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"([0-9]+)", file))]


def _is_migration(file: str) -> bool:
    return file.endswith(SUFFIX) and not file.endswith(_DOWN)


def known_schema(commit: str, folders: Sequence[str], dialect: str) -> Schema:
    """Return the schema that the migrations of a commit lead to, as far as they can be read."""
    schema = Schema(dialect)
    listed = _git("ls-tree", "-r", "-z", "--name-only", commit, "--", *folders)
    for file in sorted(filter(_is_migration, listed.split("\0")), key=_order):
        schema_changes.losses(_git("show", f"{commit}:./{file}"), schema)
    return schema.in_force()


def losses(pending: Iterable[Migration], schema: Schema) -> Iterator[str]:
    """Yield what the migrations take away from the version before, each with its file."""
    for migration in pending:
        name = migration.file.rpartition("/")[2]
        if migration.change != "A":
            how = "deleted" if migration.change == "D" else "changed"
            yield f"{name} was {how} after it may have run; add another one instead"
            continue
        yield from (f"{name} {loss}" for loss in schema_changes.losses(migration.text, schema))


def _dialect(settings: Settings) -> str:
    return "postgres" if settings.postgres and not settings.mysql else "mysql"


def _has(name: str) -> bool:
    """Return whether this clone has a commit, or a file or folder of one."""
    return _run("cat-file", "-e", name).returncode == 0


def _git(*arguments: str) -> str:
    """Return the output of git. Raises UnknownMigrationsError if it fails: no answer is not an empty one."""
    done = _run(*arguments)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnknownMigrationsError(f"`git {arguments[0]}`: {reason}; fetch the whole history with all files")
    return done.stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise UnknownMigrationsError("there is no `git` on the PATH, which has the migrations") from None

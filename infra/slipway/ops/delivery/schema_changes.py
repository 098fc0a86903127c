"""What the statements of a migration take away from the version before, each by the name of its table or column.

The version before has to run on the new schema, while a rollout is half done and after a rollback. What it reads must
stay, and what it does not write must not be required. Statements that cannot be read are named as well.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

# What undoes the migration, up to where a part begins that makes it: goose, sql-migrate, dbmate.
_MARK = r"^--\s*(?:\+goose|\+migrate|migrate:)\s*"
_DOWN = re.compile(rf"{_MARK}down\b.*?(?={_MARK}up\b|\Z)", re.IGNORECASE | re.MULTILINE | re.DOTALL)
# The parser takes it for a comment, and MySQL runs what is in it.
_EXECUTED_COMMENT = re.compile(r"/\*M?!")
_RENAME = re.compile(r"(?<![\w`.])([\w`.]++)\s++TO\s++([\w`.]+)", re.IGNORECASE)
_DROPPED = {"TABLE", "VIEW", "DATABASE", "SCHEMA", "PROCEDURE", "FUNCTION", "TRIGGER", "SEQUENCE", "TYPE"}
# What the version before neither reads nor writes by name, or what only adds.
_HARMLESS = (exp.Insert, exp.Update, exp.Select, exp.Set, exp.Semicolon, exp.Comment, exp.Transaction, exp.Commit)


def losses(text: str, dialect: str, added: set[str]) -> list[str]:
    """Return what a migration takes away: `drops column reviews.text`.

    `added` has the tables that are new since the version before, which knows none of them; this adds further ones.
    """
    # The parser warns of each statement that it does not know; they are in the result.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    text = _DOWN.sub("", text)
    if comment := _EXECUTED_COMMENT.search(text):
        return [f"cannot be judged: {_one_line(text[comment.start() :])}"]
    try:
        statements = sqlglot.parse(text, read=dialect)
    except SqlglotError as error:
        return [f"cannot be read: {_one_line(str(error))}"]
    return [loss for statement in statements if statement for loss in _of_statement(statement, added)]


def _of_statement(statement: Any, added: set[str]) -> Iterator[str]:
    """Yield the losses of one statement."""
    table = getattr(statement.find(exp.Table), "name", "")
    if isinstance(statement, exp.Create) and statement.args.get("kind") == "TABLE":
        if statement.args.get("replace"):
            yield f"replaces table {table}"
        added.add(table)
    elif isinstance(statement, exp.Drop):
        kind = str(statement.args.get("kind"))
        dropped = [name.name for name in statement.args.get("tables") or [] if kind in _DROPPED]
        yield from (f"drops {kind.lower()} {name}" for name in dropped if name not in added)
    elif isinstance(statement, exp.TruncateTable):
        names = [found.name for found in statement.expressions]
        yield from (f"empties table {name}" for name in names if name not in added)
    elif isinstance(statement, exp.Delete):
        if not statement.args.get("where") and table not in added:
            yield f"empties table {table}"
    elif isinstance(statement, exp.Alter) and table not in added:
        for action in statement.args.get("actions") or []:
            yield from _of_action(action, table)
    elif isinstance(statement, exp.Command):
        yield from _of_command(statement)
    elif not isinstance(statement, (exp.Alter, exp.Create, *_HARMLESS)) or statement.find(exp.Delete):
        yield f"cannot be judged: {_one_line(statement.sql())}"


def _of_action(action: Any, table: str) -> Iterator[str]:
    """Yield the loss of one change of a table, if it is one."""
    for type_, loss in _ACTIONS.items():
        if isinstance(action, type_):
            yield from loss(action, table)


def _dropped(action: Any, table: str) -> Iterator[str]:
    if action.args.get("kind") == "COLUMN":
        yield from (f"drops column {table}.{column.name}" for column in action.args["tables"])


def _renamed_column(action: Any, table: str) -> Iterator[str]:
    yield f"renames column {table}.{action.this.name} to {action.args['to'].name}"


def _renamed_table(action: Any, table: str) -> Iterator[str]:
    yield f"renames {table} to {action.this.name}"


def _modified(action: Any, table: str) -> Iterator[str]:
    """Yield a column that `CHANGE` gives another name. Whether `MODIFY` takes something away, only a test tells."""
    before, after = action.args.get("rename_from"), action.this.this
    if before and before.name != after.name:
        yield f"renames column {table}.{before.name} to {after.name}"


def _altered(action: Any, table: str) -> Iterator[str]:
    if action.args.get("allow_null") is False:
        yield f"requires column {table}.{action.this.name}, which the version before may leave NULL"


def _added(action: Any, table: str) -> Iterator[str]:
    kinds = [constraint.args.get("kind") for constraint in action.args.get("constraints") or []]
    filled = (exp.DefaultColumnConstraint, exp.AutoIncrementColumnConstraint, exp.ComputedColumnConstraint)
    filled = (*filled, exp.GeneratedAsIdentityColumnConstraint)
    required = any(isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null") for kind in kinds)
    if required and not any(isinstance(kind, filled) for kind in kinds):
        yield f"requires column {table}.{action.this.name}, which the version before does not write: give it a default"


_ACTIONS: dict[type, Callable[[Any, str], Iterator[str]]] = {
    exp.Drop: _dropped,
    exp.RenameColumn: _renamed_column,
    exp.AlterRename: _renamed_table,
    exp.ModifyColumn: _modified,
    exp.AlterColumn: _altered,
    exp.ColumnDef: _added,
}


def _of_command(statement: Any) -> Iterator[str]:
    """Yield the losses of a statement that the parser knows by its first word only."""
    rest = statement.expression or ""
    text = f"{statement.name} {rest if isinstance(rest, str) else rest.name}"
    pairs = _RENAME.findall(text) if re.match(r"RENAME\s+TABLE\b", text, re.IGNORECASE) else []
    yield from (f"renames table {before.strip('`')} to {after.strip('`')}" for before, after in pairs)
    if not pairs:
        yield f"cannot be judged: {_one_line(text)}"


def _one_line(text: str) -> str:
    without_colors = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return " ".join(without_colors.split())[:100]

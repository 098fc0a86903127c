"""What the statements of a migration take away from the version before, each by the name of its table or column.

The version before has to run on the new schema, while a rollout is half done and after a rollback. What it reads must
stay, and it must be able to write: no column is newly required or narrower, and no constraint is new. Statements that
cannot be read are named as well.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from slipway.ops.delivery import constraints
from slipway.ops.delivery.columns import Column, Schema

# What undoes the migration, up to where a part begins that makes it: goose, sql-migrate, dbmate.
_MARK = r"^--\s*(?:\+goose|\+migrate|migrate:)\s*"
_DOWN = re.compile(rf"{_MARK}down\b.*?(?={_MARK}up\b|\Z)", re.IGNORECASE | re.MULTILINE | re.DOTALL)
# The parser takes it for a comment, and MySQL runs what is in it.
_EXECUTED_COMMENT = re.compile(r"/\*M?!")
_RENAME = re.compile(r"(?<![\w`.])([\w`.]++)\s++TO\s++([\w`.]+)", re.IGNORECASE)
_ALTERED = re.compile(r"ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?([\w`.\"]+)", re.IGNORECASE)
_DROPPED = {"TABLE", "VIEW", "DATABASE", "SCHEMA", "PROCEDURE", "FUNCTION", "TRIGGER", "SEQUENCE", "TYPE"}
# Changes of a table that take nothing from a column.
_HARMLESS_ACTIONS = (exp.RenameIndex, exp.AlterIndex, exp.AlterSet, exp.DropPrimaryKey, exp.ForceProperty)
# What the version before neither reads nor writes by name, or what only adds.
_HARMLESS = (exp.Insert, exp.Select, exp.Set, exp.Semicolon, exp.Comment, exp.Transaction, exp.Commit)


def losses(text: str, schema: Schema) -> list[str]:
    """Return what a migration takes away: `drops column reviews.text`. The schema is then that after it."""
    # The parser warns of each statement that it does not know; they are in the result.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    text = _DOWN.sub("", text)
    if comment := _EXECUTED_COMMENT.search(text):
        schema.forget()
        return [f"cannot be judged: {_one_line(text[comment.start() :])}"]
    try:
        statements = sqlglot.parse(text, read=schema.dialect)
    except SqlglotError as error:
        schema.forget()
        return [f"cannot be read: {_one_line(str(error))}"]
    return [loss for statement in statements if statement for loss in _of_statement(statement, schema)]


def _of_statement(statement: Any, schema: Schema) -> Iterator[str]:
    """Yield the losses of one statement, and note what it changes."""
    table = getattr(statement.find(exp.Table), "name", "")
    is_new = schema.is_new(table)
    if isinstance(statement, exp.Create):
        yield from _created(statement, table, schema)
    elif isinstance(statement, exp.Drop):
        kind = str(statement.args.get("kind"))
        dropped = [name.name for name in statement.args.get("tables") or [] if kind in _DROPPED]
        yield from (f"drops {kind.lower()} {name}" for name in dropped if not schema.is_new(name))
        for name in dropped:
            schema.drop(name)
    elif isinstance(statement, exp.TruncateTable):
        names = [found.name for found in statement.expressions]
        yield from (f"empties table {name}" for name in names if not schema.is_new(name))
    elif isinstance(statement, exp.Update):
        yield from _updated(statement, table, schema)
    elif isinstance(statement, exp.Delete):
        if not statement.args.get("where") and not is_new:
            yield f"empties table {table}"
    elif isinstance(statement, exp.Alter):
        found = list(_of_alter(statement, table, schema))
        yield from () if is_new else found
    elif isinstance(statement, exp.Command):
        yield from _of_command(statement, schema)
    elif not isinstance(statement, _HARMLESS) or statement.find(exp.Delete):
        yield f"cannot be judged: {_one_line(statement.sql())}"


def _updated(statement: exp.Update, table: str, schema: Schema) -> Iterator[str]:
    """Yield each column that an update sets to NULL in all rows."""
    if statement.find(exp.Delete):
        yield f"cannot be judged: {_one_line(statement.sql(schema.dialect))}"
    if statement.args.get("where") or schema.is_new(table):
        return
    for change in statement.expressions:
        name = change.this.name
        if isinstance(change.expression, exp.Null) and not _is_new(table, name, schema):
            yield f"empties column {table}.{name}"


def _of_alter(statement: exp.Alter, table: str, schema: Schema) -> Iterator[str]:
    """Yield the losses of all changes of one `ALTER` statement."""
    if statement.args.get("kind") == "INDEX":
        return
    actions = statement.args.get("actions") or []
    for action in actions:
        yield from _of_action(action, table, schema)
    if not all(isinstance(action, (*_ACTIONS, *_HARMLESS_ACTIONS)) for action in actions):
        schema.forget_columns(table)
        yield f"cannot be judged: {_one_line(statement.sql(schema.dialect))}"


def _created(statement: exp.Create, table: str, schema: Schema) -> Iterator[str]:
    """Yield the losses of what replaces something, and of a unique index."""
    kind = statement.args.get("kind")
    if kind == "INDEX" and not schema.is_new(table):
        yield from constraints.of_index(statement, table, schema)
    if kind != "TABLE":
        if kind == "TRIGGER" or statement.args.get("replace") or statement.find(exp.Delete):
            yield f"cannot be judged: {_one_line(statement.sql(schema.dialect))}"
        return
    if statement.args.get("replace"):
        yield f"replaces table {table}"
    elif schema.has(table) or (statement.args.get("exists") and not schema.is_complete):
        return  # `IF NOT EXISTS`: it may be one that the version before knows
    schema.create(table)
    definitions = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
    for definition in definitions:
        if isinstance(definition, exp.ColumnDef):
            schema.set(table, definition.name, Column.of(definition))
    for key in statement.find_all(exp.PrimaryKey):
        for column in key.expressions:
            schema.change(table, column.name, is_nullable=False)


def _of_action(action: Any, table: str, schema: Schema) -> Iterator[str]:
    """Yield the loss of one change of a table, if it is one, and note the change."""
    for type_, loss in _ACTIONS.items():
        if isinstance(action, type_):
            yield from loss(action, table, schema)


def _dropped(action: Any, table: str, schema: Schema) -> Iterator[str]:
    if action.args.get("kind") == "COLUMN":
        for column in action.args["tables"]:
            if not _is_new(table, column.name, schema):
                yield f"drops column {table}.{column.name}"
            schema.set(table, column.name, None)


def _renamed_column(action: Any, table: str, schema: Schema) -> Iterator[str]:
    yield from _moved(table, action.this.name, action.args["to"].name, schema)


def _renamed_table(action: Any, table: str, schema: Schema) -> Iterator[str]:
    after = action.this.name
    # PostgreSQL need not say COLUMN.
    to = [option.this.name for option in action.parent.args.get("options") or [] if option.this]
    if to:
        yield from _moved(table, after, to[0], schema)
    else:
        yield f"renames {table} to {after}"
        schema.rename(table, after)


def _moved(table: str, before: str, after: str, schema: Schema) -> Iterator[str]:
    if not _is_new(table, before, schema):
        yield f"renames column {table}.{before} to {after}"
    schema.set(table, after, schema.column(table, before))
    schema.set(table, before, None)


def _is_new(table: str, name: str, schema: Schema) -> bool:
    """Return whether the version before does not know a column."""
    column = schema.column(table, name)
    return bool(column and column.is_new)


def _modified(action: Any, table: str, schema: Schema) -> Iterator[str]:
    """Yield what MySQL's `MODIFY` and `CHANGE` take away: they define the column anew."""
    definition, renamed = action.this, action.args.get("rename_from")
    name = definition.name
    before = renamed.name if renamed else name
    if before != name:
        yield from _moved(table, before, name, schema)
    former, column = schema.column(table, name), Column.of(definition)
    schema.set(table, name, column and replace(column, is_new=bool(former and former.is_new)))
    if former is None or column is None:
        yield f"changes column {table}.{name}, and no migration that can be read says what it was"
        return
    yield from _narrowed(former, column, f"{table}.{name}", schema.dialect)
    yield from constraints.of_column(definition, table, schema)


def _altered(action: Any, table: str, schema: Schema) -> Iterator[str]:
    """Yield what `ALTER COLUMN` takes away."""
    name, arguments = action.this.name, action.args
    where, former = f"{table}.{name}", schema.column(table, name)
    if arguments.get("allow_null") is False:
        if former is None or former.is_nullable:
            yield from _required(former, where, is_filled=bool(former and former.is_filled))
        schema.change(table, name, is_nullable=False)
    elif arguments.get("allow_null"):
        schema.change(table, name, is_nullable=True)
    elif arguments.get("drop") or isinstance(arguments.get("default"), exp.Null):
        if former is None or (former.is_filled and not former.is_nullable):
            yield f"takes the default from column {where}, which the version before may leave out"
        schema.change(table, name, is_filled=False)
    elif arguments.get("default"):
        schema.change(table, name, is_filled=True)
    if type_ := arguments.get("dtype"):
        if former is None:
            yield f"changes the type of column {where}, and no migration that can be read says what it was"
            return
        column = replace(former, type=type_)
        yield from _narrowed(former, column, where, schema.dialect)
        schema.set(table, name, column)


def _narrowed(former: Column, column: Column, where: str, dialect: str) -> Iterator[str]:
    """Yield why the version before may fail to write a column as it is now."""
    if former.is_nullable and not column.is_nullable:
        yield from _required(former, where, is_filled=column.is_filled)
    elif former.is_filled and not column.is_filled and not column.is_nullable:
        yield f"takes the default from column {where}, which the version before may leave out"
    if former.is_new:
        return
    if column.is_computed and not former.is_computed:
        yield f"computes column {where}, which the version before may write"
    if not column.holds_all_of(former, dialect):
        change = f"from {former.type.sql(dialect)} to {column.type.sql(dialect)}"
        yield f"changes column {where} {change}, which may not hold what the version before writes"


def _required(former: Column | None, where: str, *, is_filled: bool) -> Iterator[str]:
    if not (former and former.is_new):
        yield f"requires column {where}, which the version before may leave NULL"
    elif not is_filled:
        yield f"requires column {where}, which the version before does not write: give it a default"


def _added(action: Any, table: str, schema: Schema) -> Iterator[str]:
    if action.args.get("exists") and schema.column(table, action.name):
        return  # `IF NOT EXISTS`: it changes nothing
    column = Column.of(action)
    schema.set(table, action.name, column and replace(column, is_new=True))
    if column is None or not (column.is_nullable or column.is_filled):
        yield f"requires column {table}.{action.name}, which the version before does not write: give it a default"
    yield from constraints.of_column(action, table, schema)


_ACTIONS: dict[type, Callable[[Any, str, Schema], Iterator[str]]] = {
    exp.Drop: _dropped,
    exp.RenameColumn: _renamed_column,
    exp.AlterRename: _renamed_table,
    exp.ModifyColumn: _modified,
    exp.AlterColumn: _altered,
    exp.ColumnDef: _added,
    exp.AddConstraint: constraints.of_table,
}


def _of_command(statement: Any, schema: Schema) -> Iterator[str]:
    """Yield the losses of a statement that the parser knows by its first word only."""
    rest = statement.expression or ""
    text = f"{statement.name} {rest if isinstance(rest, str) else rest.name}"
    pairs = _RENAME.findall(text) if re.match(r"RENAME\s+TABLE\b", text, re.IGNORECASE) else []
    for before, after in pairs:
        yield f"renames table {before.strip('`')} to {after.strip('`')}"
        schema.rename(before.strip("`"), after.strip("`"))
    if not pairs:
        yield f"cannot be judged: {_one_line(text)}"
        # It may have changed any column; what defines a function or grants a right has not.
        if not re.match(r"(CREATE|GRANT|REVOKE|LOCK|UNLOCK|ANALYZE)\b", text, re.IGNORECASE):
            if altered := _ALTERED.match(text):
                schema.forget_columns(altered[1].rpartition(".")[2].strip('`"'))
            else:
                schema.forget()


def _one_line(text: str) -> str:
    without_colors = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return " ".join(without_colors.split())[:100]

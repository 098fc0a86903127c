"""New constraints that rows of the version before may not meet, since it does not know them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlglot import exp

from slipway.ops.delivery.columns import Column, Schema

_NAMES: dict[type, str] = {
    exp.UniqueColumnConstraint: "a unique key",
    exp.PrimaryKey: "a primary key",
    exp.PrimaryKeyColumnConstraint: "a primary key",
    exp.CheckColumnConstraint: "a check",
    exp.ForeignKey: "a foreign key",
    exp.ExcludeColumnConstraint: "an exclusion",
    exp.Index: "a unique key",
    exp.Reference: "a foreign key",
}
# What may be false or a value where a column is NULL. AND and OR are functions, too.
_SEES_NULL = (exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Func)
# NULL in, NULL out.
_KEEPS_NULL = (exp.Connector, exp.Length, exp.Lower, exp.Upper, exp.Trim, exp.Abs, exp.RegexpLike, exp.Cast)
# These speak of other columns as well, which a new number does not fill.
_ABOUT_ROWS = (exp.CheckColumnConstraint, exp.ForeignKey, exp.Reference)


def of_table(action: exp.AddConstraint, table: str, schema: Schema) -> Iterator[str]:
    """Yield each constraint of `ALTER TABLE ... ADD` that rows of the version before may not meet."""
    for added in action.expressions:
        for constraint in added.expressions if isinstance(added, exp.Constraint) else [added]:
            yield from _loss(constraint, _columns(constraint), table, schema)


def of_column(definition: exp.ColumnDef, table: str, schema: Schema) -> Iterator[str]:
    """Yield each constraint in the definition of a column that rows of the version before may not meet."""
    for constraint in definition.args.get("constraints") or []:
        kind = constraint.args.get("kind")
        # A unique column names no columns, and a reference those of the other table.
        names = [] if isinstance(kind, exp.Reference) else _columns(kind)
        yield from _loss(kind, names or [definition.name], table, schema)


def of_index(created: exp.Create, table: str, schema: Schema) -> Iterator[str]:
    """Yield the constraint that a unique index is, if rows of the version before may not meet it."""
    if created.args.get("unique"):
        yield from _loss(created.this, _columns(created.this.args.get("params")), table, schema)


def _columns(constraint: Any) -> list[str]:
    """Return the columns that a constraint names, but those of the table that it refers to."""
    if isinstance(constraint, exp.CheckColumnConstraint):
        parts = [constraint.this]
    elif isinstance(constraint, exp.IndexParameters):
        parts = constraint.args.get("columns") or []
    elif isinstance(constraint, exp.ExcludeColumnConstraint):
        return _columns(constraint.this)
    else:
        parts = getattr(constraint, "expressions", []) or getattr(constraint.this, "expressions", [])
    return list(dict.fromkeys(found.name for part in parts for found in part.find_all(exp.Identifier)))


def _loss(constraint: Any, names: list[str], table: str, schema: Schema) -> Iterator[str]:
    what = next((name for kind, name in _NAMES.items() if isinstance(constraint, kind)), "")
    if what and not _is_always_met(constraint, [schema.column(table, name) for name in names]):
        yield f"adds {what} on {table}({', '.join(names)}), which the version before does not know and may not meet"


def _is_always_met(constraint: Any, columns: list[Column | None]) -> bool:
    """Return whether each row of the version before meets a constraint: it writes nothing into new columns."""
    new = [column for column in columns if column and column.is_new]
    if any(column.is_numbered for column in new) and not isinstance(constraint, _ABOUT_ROWS):
        return True
    # The condition of an index only makes it smaller.
    is_index = isinstance(constraint, exp.Index)
    parts = constraint.args["params"].args.get("columns") or [] if is_index else [constraint]
    nodes = [node for part in parts for node in part.walk()]
    sees_null = any(isinstance(node, _SEES_NULL) and not isinstance(node, _KEEPS_NULL) for node in nodes)
    if isinstance(constraint, exp.CheckColumnConstraint):
        return len(new) == len(columns) and not sees_null
    may_be_null = not isinstance(constraint, (exp.PrimaryKey, exp.PrimaryKeyColumnConstraint))
    is_null = any(column.is_nullable and not column.is_filled for column in new)
    return is_null and may_be_null and not sees_null and not constraint.args.get("nulls")

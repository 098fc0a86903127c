"""The columns of a database as migrations declare them: what each may hold, and whether an insert may leave it out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot import exp
from sqlglot.expressions import DType

# What fills a column that an insert does not name. The first of them numbers the rows.
_NUMBERS = (exp.AutoIncrementColumnConstraint, exp.GeneratedAsIdentityColumnConstraint)
_FILLS = (*_NUMBERS, exp.DefaultColumnConstraint, exp.ComputedColumnConstraint)
_SERIAL = {DType.SMALLSERIAL: DType.SMALLINT, DType.SERIAL: DType.INT, DType.BIGSERIAL: DType.BIGINT}
# Each type holds what those before it do.
_FAMILIES = {
    "integer": (DType.TINYINT, DType.SMALLINT, DType.MEDIUMINT, DType.INT, DType.BIGINT),
    "unsigned": (DType.UTINYINT, DType.USMALLINT, DType.UMEDIUMINT, DType.UINT, DType.UBIGINT),
    "float": (DType.FLOAT, DType.DOUBLE),
}
_BYTES = {
    **{DType.TINYTEXT: 2**8 - 1, DType.TEXT: 2**16 - 1, DType.MEDIUMTEXT: 2**24 - 1, DType.LONGTEXT: 2**32 - 1},
    **{DType.TINYBLOB: 2**8 - 1, DType.BLOB: 2**16 - 1, DType.MEDIUMBLOB: 2**24 - 1, DType.LONGBLOB: 2**32 - 1},
}
_TIMES = (DType.TIME, DType.DATETIME, DType.TIMESTAMP, DType.TIMESTAMPTZ)
_DEFAULT_DIGITS = {"mysql": 0, "postgres": 6}
_UNBOUNDED = 2**62
_UTF8 = "utf8mb4"


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    type: exp.DataType
    character_set: str
    """As the column names it itself; else empty."""
    is_nullable: bool
    is_filled: bool
    """Whether a row gets a value in it that no insert has named."""
    is_numbered: bool
    is_computed: bool
    is_new: bool = False
    """Whether the version before does not know it."""

    @classmethod
    def of(cls, definition: exp.ColumnDef) -> Column | None:
        """Return the column that a statement defines; None for one without a type."""
        declared = definition.args.get("kind")
        if not isinstance(declared, exp.DataType):
            return None
        kinds = [constraint.args.get("kind") for constraint in definition.args.get("constraints") or []]
        is_serial = declared.this in _SERIAL
        required = any(
            isinstance(kind, exp.PrimaryKeyColumnConstraint)
            or (isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null"))
            for kind in kinds
        )
        character_sets = [kind.name.lower() for kind in kinds if isinstance(kind, exp.CharacterSetColumnConstraint)]
        return cls(
            type=exp.DataType(this=_SERIAL[declared.this]) if is_serial else declared,
            character_set="".join(character_sets),
            is_nullable=not (required or is_serial),
            is_filled=is_serial or any(map(_fills, kinds)),
            is_numbered=is_serial or any(isinstance(kind, _NUMBERS) for kind in kinds),
            is_computed=any(isinstance(kind, exp.ComputedColumnConstraint) for kind in kinds),
        )

    def holds_all_of(self, before: Column, dialect: str) -> bool:
        """Return whether it can hold whatever it could hold before."""
        is_other_set = self.character_set not in ("", _UTF8, before.character_set)
        return _holds_all(self.type, before.type, dialect) and not is_other_set


def _fills(kind: Any) -> bool:
    return isinstance(kind, _FILLS) and not isinstance(kind.this, exp.Null)


def _holds_all(after: exp.DataType, before: exp.DataType, dialect: str) -> bool:
    if after == before:
        return True
    if before.this == after.this and before.this in (DType.ENUM, DType.SET):
        # MySQL stores the position.
        return after.expressions[: len(before.expressions)] == before.expressions
    if before.this == after.this == DType.DECIMAL:
        (digits, scale), (new_digits, new_scale) = _digits(before, dialect), _digits(after, dialect)
        return new_scale >= scale and new_digits - new_scale >= digits - scale
    # As many characters as it may have held, and as few as it may hold.
    (family, width), (new_family, new_width) = _width(before, dialect, bytes_each=1), _width(after, dialect)
    if (family, new_family) == ("unsigned", "integer"):
        return new_width > width
    return family == new_family and new_width >= width


def _width(type_: exp.DataType, dialect: str, bytes_each: int = 4) -> tuple[str, int]:
    """Return the family of a type, of which wider types hold what narrower ones do, and its width in it.

    `bytes_each` is the size of a character of text, at most 4.
    """
    kind, sizes = type_.this, _sizes(type_)
    for family, members in _FAMILIES.items():
        if kind in members:
            return family, members.index(kind)
    if kind in (DType.VARCHAR, DType.VARBINARY):
        return kind.name, sizes[0] if sizes else _UNBOUNDED
    if kind in _BYTES:
        family = "VARCHAR" if kind.name.endswith("TEXT") else "VARBINARY"
        # PostgreSQL's text is of any length.
        return family, _UNBOUNDED if dialect != "mysql" else _BYTES[kind] // (bytes_each if family == "VARCHAR" else 1)
    if kind in _TIMES:
        # Digits of the fraction of a second.
        return kind.name, sizes[0] if sizes else _DEFAULT_DIGITS[dialect]
    # Longer CHAR and BINARY are filled up, so that nothing is found by its former value: the same type only.
    return type_.sql(dialect), 0


def _sizes(type_: exp.DataType) -> list[int]:
    sizes = [size.name for size in type_.expressions if isinstance(size, exp.DataTypeParam)]
    return [int(size) for size in sizes if size.isdigit()]


def _digits(type_: exp.DataType, dialect: str) -> tuple[int, int]:
    """Return how many digits a decimal has, and how many of them behind the point."""
    digits, scale = [*_sizes(type_), 0, 0][:2]
    if digits:
        return digits, scale
    return (10, 0) if dialect == "mysql" else (_UNBOUNDED, _UNBOUNDED // 2)


@dataclass
class Schema:
    """What is known of a database, and what of it the version before does not know.

    Names are compared without regard to case, which is the careful choice: MySQL on Linux tells Reviews from reviews,
    PostgreSQL without quotes does not.
    """

    dialect: str
    """As sqlglot names it: mysql or postgres."""
    tables: dict[str, dict[str, Column]] = field(default_factory=dict[str, dict[str, Column]])
    new_tables: set[str] = field(default_factory=set[str])
    is_complete: bool = True
    """Whether all that was said of it could be read."""

    def has(self, table: str) -> bool:
        """Return whether a table is known."""
        return table.lower() in self.tables

    def is_new(self, table: str) -> bool:
        """Return whether the version before does not know a table."""
        return table.lower() in self.new_tables

    def create(self, table: str) -> None:
        """Note a table that the version before does not know; its columns are to be set."""
        self.tables[table.lower()] = {}
        self.new_tables.add(table.lower())

    def drop(self, table: str) -> None:
        """Note that a table is gone."""
        self.tables.pop(table.lower(), None)

    def rename(self, before: str, after: str) -> None:
        """Note the new name of a table."""
        self.tables[after.lower()] = self.tables.pop(before.lower(), {})

    def forget_columns(self, table: str) -> None:
        """Note that any column of a table may have changed."""
        self.tables[table.lower()] = {}

    def column(self, table: str, name: str) -> Column | None:
        """Return a column; None if no migration that could be read declares it."""
        return self.tables.get(table.lower(), {}).get(name.lower())

    def set(self, table: str, name: str, column: Column | None) -> None:
        """Note what a column is now; None if that is not known, or it is gone."""
        columns = self.tables.setdefault(table.lower(), {})
        columns.pop(name.lower(), None)
        if column:
            columns[name.lower()] = column

    def change(self, table: str, name: str, **fields: Any) -> None:
        """Note what has changed of a column, if it is known."""
        if column := self.column(table, name):
            self.set(table, name, replace(column, **fields))

    def forget(self) -> None:
        """Note that anything may have changed."""
        self.tables.clear()
        self.is_complete = False

    def in_force(self) -> Schema:
        """Return the same schema as the one that the version before knows."""
        known = {
            table: {name: replace(column, is_new=False) for name, column in columns.items()}
            for table, columns in self.tables.items()
        }
        return Schema(self.dialect, known, is_complete=self.is_complete)

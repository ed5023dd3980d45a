"""Cursors: the columns by which new and changed rows are found, and the SQL that compares them.

All comparing is done by the server, with the column's own type and collation; values travel as its exact text (H-4).
A row is found by the first of its cursors that is not NULL: by the primary one, else by the fallback (OLake's rule).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from olake_reconcile.errors import CannotGoOn, DataRefused, ReconcileError
from olake_reconcile.model.stream import NullCursor, Stream
from olake_reconcile.sources.postgres.catalog import Column, Relation
from olake_reconcile.sources.postgres.connection import Connection
from olake_reconcile.sources.postgres.sql import identifier, literal, relation

# Types whose order is that of their text's meaning, by family: a column that changes within one keeps its position.
_FAMILIES = {
    "int2": "integer", "int4": "integer", "int8": "integer", "oid": "integer", "numeric": "numeric",
    "float4": "float", "float8": "float", "text": "text", "varchar": "text", "bpchar": "bpchar", "name": "text",
    "date": "date", "timestamp": "timestamp", "timestamptz": "timestamptz", "time": "time", "uuid": "uuid",
    "bytea": "bytea", "xid8": "xid8", "pg_lsn": "pg_lsn",
}  # fmt: skip

#: What a value is compared with to see that it is not of the clock's making, and what counts in its place. A column
#: without a time zone may be of any zone's clock. `now()` is when the snapshot's transaction began: whoever takes the
#: time later, and is in flight at the snapshot, is listed.
_FUTURE = {
    "timestamptz": ("now() + interval '1 hour'", "now()"),
    "timestamp": (
        "timezone('UTC', now()) + interval '15 hours'",
        "timezone('UTC', now()) - interval '13 hours'",
    ),
    "date": ("(timezone('UTC', now()))::date + 2", "(timezone('UTC', now()))::date - 2"),
}
#: Clocks without a zone go back when daylight saving ends (H-7): so far back is read again. No zone ever went back more.
_GOES_BACK = {"timestamp": "interval '2 hours'", "date": "1"}


@dataclass(frozen=True, slots=True)
class Cursor:
    """One cursor column. `family` names the kind of its values, `type` is its type in SQL."""

    name: str
    family: str
    type: str
    nullable: bool

    @property
    def sql(self) -> str:
        """The column's name in SQL."""
        return identifier(self.name)

    def value(self, text: str) -> str:
        """Return a value, given by its text, as a typed literal."""
        return f"{literal(text)}::{self.type}"


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursor of a stream, and its fallback if it has one."""

    all: tuple[Cursor, ...]

    @property
    def primary(self) -> Cursor:
        """The cursor that is looked at first."""
        return self.all[0]

    @property
    def may_be_null(self) -> bool:
        """Whether there can be rows that no cursor finds."""
        return all(c.nullable for c in self.all)

    @property
    def all_null(self) -> str:
        """The condition that no cursor has a value."""
        return " AND ".join(f"{c.sql} IS NULL" for c in self.all)

    def found_by(self, number: int) -> str:
        """Return the condition that a row is found by this cursor."""
        before = [f"{c.sql} IS NULL" for c in self.all[:number]]
        return " AND ".join([*before, f"{self.all[number].sql} IS NOT NULL"])

    def from_(self, lower: Sequence[str | None]) -> str:
        """Return the condition that a row's cursor is at or above its bound in `lower` (None: any value)."""
        return self._either(lower, ">=", unbounded=True)

    def upto(self, top: Sequence[str | None]) -> str:
        """Return the condition that a row's cursor is at or below its bound in `top` (None: no value)."""
        return self._either(top, "<=", unbounded=False)

    def _either(self, values: Sequence[str | None], operator: str, *, unbounded: bool) -> str:
        parts = []
        for number, (cursor, value) in enumerate(zip(self.all, values, strict=True)):
            if value is not None:
                before = [f"{c.sql} IS NULL" for c in self.all[:number]]
                parts.append(" AND ".join([*before, f"{cursor.sql} {operator} {cursor.value(value)}"]))
            elif unbounded:
                parts.append(self.found_by(number))
        return " OR ".join(f"({p})" for p in parts) if parts else "FALSE"


def cursors_of(table: Relation, stream: Stream) -> Cursors:
    """Return the cursors that `stream` names. Raises `ReconcileError` when they cannot be."""
    names = [n for n in (stream.cursor, stream.fallback_cursor) if n is not None]
    if not names:
        raise ReconcileError(
            f"{stream.id}: sync_mode incremental needs a cursor", remedy="Set cursor: COLUMN."
        )
    return Cursors(tuple(_cursor(table, stream, name) for name in dict.fromkeys(names)))


def _cursor(table: Relation, stream: Stream, name: str) -> Cursor:
    column = next((c for c in table.columns if c.name == name), None)
    if column is None:
        raise CannotGoOn(
            f"{stream.id} has no column {name}",
            why="It is the stream's cursor; it may have been renamed or dropped at the source.",
            remedy="Name another cursor: the stream is then loaded anew.",
        )
    family = _family(column)
    if family is None:
        raise CannotGoOn(
            f"{stream.id}: {name} cannot be a cursor: its type is {column.type_text}",
            why="Values of this type have no order in which rows are written.",
            remedy="Use a timestamp that every write sets, or a number from a sequence.",
        )
    if not stream.columns.selects(name):
        raise ReconcileError(
            f"{stream.id}: the cursor {name} is not among the replicated columns",
            why="What was read already is found at the destination by it.",
            remedy=f"Replicate {name}, or name another cursor.",
        )
    return Cursor(name, family, column.type_text, column.nullable)


def _family(column: Column) -> str | None:
    if column.type.form == "e":
        return column.type.name
    if column.type.namespace != "pg_catalog" or column.type.element is not None:
        return None
    return _FAMILIES.get(column.type.name)


@dataclass(frozen=True, slots=True)
class Highest:
    """The greatest value of one cursor: as it is, and as far as it is believed (no clock shows a later time)."""

    top: str | None
    believed: str | None


def highest(connection: Connection, table: Relation, cursors: Cursors) -> tuple[Highest, ...]:
    """Return the greatest values in the snapshot of `connection`. Raises `DataRefused` for NaN and infinity."""
    source = relation(table.id.namespace, table.id.name)
    return tuple(_highest(connection, source, cursors, number) for number in range(len(cursors.all)))


def _highest(connection: Connection, source: str, cursors: Cursors, number: int) -> Highest:
    cursor = cursors.all[number]
    # Not max(): it has no uuid, no bytea. An index that begins with the column gives the row at once.
    inner = (
        f"SELECT {cursor.sql} AS v FROM {source} WHERE {cursors.found_by(number)} "
        f"ORDER BY {cursor.sql} DESC LIMIT 1"
    )
    future = _FUTURE.get(cursor.family)
    believed = f"CASE WHEN v > {future[0]} THEN {future[1]} ELSE v END" if future else "v"
    row = connection.execute(f"SELECT v::text, ({believed})::text FROM ({inner}) s").fetchone()
    top, value = row if row else (None, None)
    if cursor.family in ("float", "numeric") and top in ("NaN", "Infinity"):
        raise DataRefused(
            f"column {cursor.name} is the cursor and holds {top}",
            why="It is greater than every number: no later row would ever be found.",
            remedy=f"Correct these rows: SELECT * FROM {source} WHERE {cursor.sql} = '{top}'.",
        )
    return Highest(top, value)


def greatest(connection: Connection, cursor: Cursor, values: Sequence[str | None]) -> str | None:
    """Return the greatest of `values`, by the server's order; None counts as none."""
    return _extreme(connection, cursor, "GREATEST", [v for v in values if v is not None])


def is_below(connection: Connection, cursor: Cursor, one: str, other: str) -> bool:
    """Whether `one` is less than `other`, by the server's order."""
    row = connection.execute(f"SELECT {cursor.value(one)} < {cursor.value(other)}").fetchone()
    return bool(row and row[0])


def lower_bound(connection: Connection, cursor: Cursor, values: Sequence[str | None]) -> str | None:
    """Return where reading has to begin: the least of `values`, and a clock's step back below it. None: anywhere."""
    known = [v for v in values if v is not None]
    if not known or len(known) < len(values):
        return None
    return _extreme(connection, cursor, "LEAST", known, _GOES_BACK.get(cursor.family))


def _extreme(
    connection: Connection, cursor: Cursor, function: str, values: Sequence[str], back: str | None = None
) -> str | None:
    values = list(dict.fromkeys(values))
    if not values:
        return None
    if len(values) == 1 and not back:
        return values[0]
    chosen = f"{function}({', '.join(cursor.value(v) for v in values)})"
    row = connection.execute(f"SELECT ({chosen}{f' - {back}' if back else ''})::text").fetchone()
    return row[0] if row else None


_INDEXED = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
  WHERE i.indrelid = %s::oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = %s)
"""


def has_index(connection: Connection, table: Relation, cursor: Cursor) -> bool:
    """Whether an index begins with the cursor: without one every run reads the whole table, at the server."""
    row = connection.execute(_INDEXED, (table.oid, cursor.name)).fetchone()
    return bool(row and row[0])


def any_row(connection: Connection, table: Relation, where: str) -> bool:
    """Whether a row of `table` fulfils `where`, in the snapshot of `connection`."""
    source = relation(table.id.namespace, table.id.name)
    row = connection.execute(f"SELECT EXISTS (SELECT FROM {source} WHERE {where})").fetchone()
    return bool(row and row[0])


def count_null(connection: Connection, table: Relation, cursors: Cursors, filter_: str) -> int:
    """Count the rows that no cursor finds."""
    if not cursors.may_be_null:
        return 0
    where = " AND ".join(f"({c})" for c in (cursors.all_null, filter_) if c)
    source = relation(table.id.namespace, table.id.name)
    row = connection.execute(f"SELECT count(*) FROM {source} WHERE {where}").fetchone()
    return int(row[0]) if row else 0


def refuse_null(table: Relation, cursors: Cursors, count: int, policy: NullCursor) -> None:
    """Raise `DataRefused` for rows without a cursor when the policy is to fail."""
    if policy is NullCursor.FAIL and count:
        rows = "1 row" if count == 1 else f"{count:,} rows"
        raise DataRefused(
            f"{rows} of {table.id} have no cursor value, and null_cursor is fail",
            why="A change of such a row would never be found.",
            remedy=f"Find them: SELECT * FROM {relation(table.id.namespace, table.id.name)} WHERE {cursors.all_null}; "
            "or set null_cursor to reload or ignore.",
        )

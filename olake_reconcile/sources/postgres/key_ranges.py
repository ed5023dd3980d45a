"""Cutting a table into ranges of a key, which mean the same rows in every snapshot: a load that is killed goes on.

The cuts are rows of the table, found by sampling (H-15: keys may be sparse), ordered and compared by the server alone
(H-14): ranges are half-open, the first is open below and the last above, so every row is in exactly one, whatever was
written since. Rows whose key is NULL are a range of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.stream import Stream
from olake_reconcile.sources.postgres.catalog import Column, Relation
from olake_reconcile.sources.postgres.chunks import (
    BATCH_ROWS,
    SPLIT_ABOVE,
    WIDE_BATCH_ROWS,
    is_wide,
    measure,
    wanted_chunks,
)
from olake_reconcile.sources.postgres.connection import Connection
from olake_reconcile.sources.postgres.position import Backfill
from olake_reconcile.sources.postgres.sql import identifier, literal, relation

MAX_RANGES = 512
#: Each range of a key that has nothing to do with where rows lie reads nearly all pages of the table.
MAX_SCATTERED = 8
#: What the cuts may take as JSON: they are in every checkpoint's position.
CUTS_BYTES = 16 << 10
_SAMPLED_PAGES = 2000

_CUTS = """
SELECT {texts} FROM (
  SELECT {columns}, row_number() OVER (ORDER BY {columns}) AS n, count(*) OVER () AS total
  FROM {source} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1) WHERE {given}
) s WHERE n < total AND n * {count} / total <> (n - 1) * {count} / total ORDER BY n
"""


@dataclass(frozen=True, slots=True)
class Ranges:
    """A backfill's ranges over the columns of its key."""

    backfill: Backfill
    columns: tuple[Column, ...]

    def condition(self, number: int) -> str:
        """Return the range as SQL; empty for everything."""
        cuts = self.backfill.cuts
        if number > len(cuts):
            return f"{identifier(self.columns[0].name)} IS NULL"
        low = f"{self._key} >= {self._row(cuts[number - 1])}" if number else ""
        high = f"{self._key} < {self._row(cuts[number])}" if number < len(cuts) else ""
        if not cuts and self.backfill.nulls:
            return f"{identifier(self.columns[0].name)} IS NOT NULL"
        return " AND ".join(c for c in (low, high) if c)

    @property
    def _key(self) -> str:
        return _tuple([identifier(c.name) for c in self.columns])

    def _row(self, values: tuple[str, ...]) -> str:
        return _tuple([f"{literal(v)}::{c.type_text}" for v, c in zip(values, self.columns, strict=True)])


def _tuple(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"ROW({', '.join(parts)})"


def key_of(table: Relation, stream: Stream) -> tuple[Column, ...]:
    """Return the columns to cut by: `chunk_column`, else the primary key; none when there is no such key.

    Raises `ReconcileError` for a `chunk_column` that is not there.
    """
    if table.kind not in ("r", "p", "m"):
        return ()  # nothing can be sampled
    names = (stream.chunk_column,) if stream.chunk_column else table.primary_key
    known = {c.name: c for c in table.columns}
    if missing := [n for n in names if n not in known]:
        raise ReconcileError(
            f"{stream.id} has no column {missing[0]}",
            why="It is the stream's chunk_column; it may have been renamed or dropped at the source.",
            remedy="Name another column, or leave chunk_column out.",
        )
    return tuple(known[n] for n in names)


def cut(connection: Connection, table: Relation, key: tuple[Column, ...], threads: int) -> Backfill:
    """Return the ranges in which `table` is loaded, none of them finished."""
    sizes = measure(connection, table)
    count = min(wanted_chunks(sizes, threads), MAX_RANGES)
    if sizes.total > SPLIT_ABOVE and _scattered(connection, table, key[0]):
        count = min(count, MAX_SCATTERED)
    # Partitions may each have a few pages only: of them all are sampled.
    pages = max(1, sizes.total // sizes.block)
    percent = min(100.0, 100.0 * max(_SAMPLED_PAGES, 4 * count) / pages)
    cuts = _cuts(connection, table, key, count, percent) if count > 1 else ()
    while sum(len(text) + 5 for row in cuts for text in row) > CUTS_BYTES:
        cuts = cuts[1::2]
    return Backfill(key=tuple(c.name for c in key), cuts=cuts, nulls=any(c.nullable for c in key))


def ranges(table: Relation, backfill: Backfill) -> Ranges | None:
    """Return the ranges of a backfill that was begun earlier; None when its key is not there any more."""
    known = {c.name: c for c in table.columns}
    if any(name not in known for name in backfill.key):
        return None
    return Ranges(backfill, tuple(known[name] for name in backfill.key))


def batch_rows(connection: Connection, table: Relation) -> int:
    """Return how many rows are handled at once."""
    return WIDE_BATCH_ROWS if is_wide(measure(connection, table)) else BATCH_ROWS


def _cuts(
    connection: Connection, table: Relation, key: tuple[Column, ...], count: int, percent: float
) -> tuple[tuple[str, ...], ...]:
    names = [identifier(c.name) for c in key]
    query = _CUTS.format(
        texts=", ".join(f"{n}::text" for n in names),
        columns=", ".join(names),
        source=relation(table.id.namespace, table.id.name),
        percent=f"{percent:.6f}",
        given=" AND ".join(f"{n} IS NOT NULL" for n in names),
        count=count,
    )
    return tuple(dict.fromkeys(tuple(row) for row in connection.execute(query).fetchall()))


def _scattered(connection: Connection, table: Relation, column: Column) -> bool:
    row = connection.execute(
        "SELECT min(abs(correlation)) FROM pg_catalog.pg_stats "
        "WHERE schemaname = %s AND tablename = %s AND attname = %s",
        (table.id.namespace, table.id.name, column.name),
    ).fetchone()
    return bool(row and row[0] is not None and row[0] < 0.5)

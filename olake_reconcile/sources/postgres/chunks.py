"""Cutting a table into ranges of row addresses (`ctid`) that several connections read side by side.

The ranges are exact inside one snapshot only: a row that moves gets a new place, and another snapshot would see it
there, or nowhere (hazards H-5, H-13). Sizes are counted by `pg_relation_size`, never taken from statistics (H-12), and
the last range is open: pages added since hold nothing that the snapshot sees, but nobody needs to prove it.

Usually the cuts are between pages. Where most of a table lies out of line (TOAST), a page may stand for gigabytes: there
the rows' own widths decide. They are known without fetching the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from olake_reconcile.sources.postgres.catalog import Relation
from olake_reconcile.sources.postgres.connection import Connection
from olake_reconcile.sources.postgres.sql import identifier, relation

#: What one statement reads at most, counted with out-of-line values: small enough to show progress, to share the work
#: evenly at the end, and to bound what a table of very wide rows holds in memory at once.
CHUNK_BYTES = 128 << 20
#: Below this a second connection costs more than it saves.
SPLIT_ABOVE = 32 << 20
MAX_CHUNKS = 100_000
#: The same for tables of wide rows, counted uncompressed: DuckDB holds 2048 rows at once, however wide they are.
WIDE_CHUNK_BYTES = 16 << 20
#: Rows that DuckDB hands over at once; more cost memory and gain nothing.
BATCH_ROWS = 20_000
#: DuckDB's own unit.
WIDE_BATCH_ROWS = 2048

# The pages of the largest member: a range of pages applies to every partition by itself, so ranges that cover the
# largest cover all. Only heaps have pages.
_SIZES = """
SELECT coalesce(max(pg_catalog.pg_relation_size(m.oid)), 0)::int8,
       coalesce(sum(pg_catalog.pg_table_size(m.oid)), 0)::int8,
       coalesce(sum(pg_catalog.pg_relation_size(nullif(m.reltoastrelid, 0))), 0)::int8,
       coalesce(bool_and(m.relkind IN ('r', 'm') AND am.amname = 'heap'), false),
       pg_catalog.current_setting('block_size')::int
FROM (
  WITH RECURSIVE family(oid) AS (
    SELECT %(oid)s::oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN family f ON i.inhparent = f.oid
  )
  SELECT c.* FROM family JOIN pg_catalog.pg_class c ON c.oid = family.oid WHERE c.relkind NOT IN ('p', 'I')
) m
LEFT JOIN pg_catalog.pg_am am ON am.oid = m.relam
"""


# Texts and bytes know their length without being fetched; other values are taken to shrink to a quarter.
_KNOWN_LENGTH = ("text", "varchar", "bpchar", "bytea")
_CUTS = """
SELECT min(ctid)::text FROM (
  SELECT ctid, (sum({width}) OVER (ORDER BY ctid) / {size})::int8 AS part FROM {source}
) rows GROUP BY part ORDER BY min(ctid)
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One range of addresses, `[first, end)`; None is open, both None everything."""

    first: str | None = None
    end: str | None = None

    @property
    def condition(self) -> str:
        """The range as SQL; empty for everything."""
        low = f"ctid >= '{self.first}'::tid" if self.first else ""
        high = f"ctid < '{self.end}'::tid" if self.end else ""
        return " AND ".join(c for c in (low, high) if c)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a table and its whole family: of the largest member's pages, of all, of what lies out of line."""

    largest: int
    total: int
    out_of_line: int
    heaps_only: bool
    block: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The ranges that together are the whole of a table, and how many of its rows are handled at once."""

    chunks: tuple[Chunk, ...] = (Chunk(),)
    batch_rows: int = BATCH_ROWS


def plan_chunks(connection: Connection, table: Relation, threads: int) -> Plan:
    """Return how `table` is cut."""
    # A range of addresses is a scan of these alone since PostgreSQL 14 only; views have none.
    if table.kind not in ("r", "p", "m") or connection.info.server_version < 140000:
        return Plan()
    sizes = measure(connection, table)
    if not sizes.heaps_only:
        return Plan()
    if is_wide(sizes):
        return Plan(_between(_wide_cuts(connection, table)), WIDE_BATCH_ROWS)
    pages = -(-sizes.largest // sizes.block)
    count = max(1, min(wanted_chunks(sizes, threads), pages, MAX_CHUNKS))
    return Plan(_between([f"({pages * i // count},0)" for i in range(1, count)]))


def measure(connection: Connection, table: Relation) -> Sizes:
    """Return how large `table` is now."""
    row = connection.execute(_SIZES, {"oid": table.oid}).fetchone()
    assert row is not None
    return Sizes(*row)


def is_wide(sizes: Sizes) -> bool:
    """Whether most of the table lies out of line: few of its rows may be held at once."""
    return sizes.out_of_line > max(sizes.total // 2, WIDE_CHUNK_BYTES // 4)


def wanted_chunks(sizes: Sizes, threads: int) -> int:
    """Return into how many statements reading the table is best divided."""
    wanted = -(-sizes.total // CHUNK_BYTES)
    return max(wanted, threads) if sizes.total > min(SPLIT_ABOVE, CHUNK_BYTES) else max(wanted, 1)


def _between(cuts: list[str]) -> tuple[Chunk, ...]:
    """Return the ranges between `cuts`, open at both ends."""
    bounds = [None, *cuts, None]
    return tuple(Chunk(a, b) for a, b in pairwise(bounds))


def _wide_cuts(connection: Connection, table: Relation) -> list[str]:
    widths = []
    for column in table.columns:
        name = identifier(column.name)
        known = column.type.element is None and column.type.name in _KNOWN_LENGTH
        size = f"pg_catalog.octet_length({name})" if known else f"4 * pg_catalog.pg_column_size({name})"
        widths.append(f"coalesce({size}, 0)::int8")
    source = relation(table.id.namespace, table.id.name)
    query = _CUTS.format(width=" + ".join(widths), size=WIDE_CHUNK_BYTES, source=source)
    return [row[0] for row in connection.execute(query).fetchall()][1:]

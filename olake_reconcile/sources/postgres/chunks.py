"""Cutting a table into page ranges that several connections read side by side.

The ranges are exact inside one snapshot only: a row that moves gets a new place, and another snapshot would see it
there, or nowhere (hazards H-5, H-13). Sizes are counted by `pg_relation_size`, never taken from statistics (H-12), and
the last range is open: pages added since hold nothing that the snapshot sees, but nobody needs to prove it.
"""

from __future__ import annotations

from dataclasses import dataclass

from olake_reconcile.sources.postgres.catalog import Relation
from olake_reconcile.sources.postgres.connection import Connection

#: What one statement reads at most, counted with out-of-line values: small enough to show progress, to share the work
#: evenly at the end, and to bound what a table of very wide rows holds in memory at once.
CHUNK_BYTES = 128 << 20
#: Below this a second connection costs more than it saves.
SPLIT_ABOVE = 32 << 20
MAX_CHUNKS = 100_000

# The pages of the largest member: a range of pages applies to every partition by itself, so ranges that cover the
# largest cover all. Only heaps have pages.
_SIZES = """
SELECT coalesce(max(pg_catalog.pg_relation_size(m.oid)), 0)::int8,
       coalesce(sum(pg_catalog.pg_table_size(m.oid)), 0)::int8,
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


@dataclass(frozen=True, slots=True)
class Chunk:
    """One range of pages, `[first, end)`; open above when `end` is None, everything when `first` is 0 too."""

    first: int
    end: int | None

    @property
    def condition(self) -> str:
        """The range as SQL; empty for everything."""
        low = f"ctid >= '({self.first},0)'::tid" if self.first else ""
        high = f"ctid < '({self.end},0)'::tid" if self.end is not None else ""
        return " AND ".join(c for c in (low, high) if c)


EVERYTHING = (Chunk(0, None),)


def plan_chunks(connection: Connection, table: Relation, threads: int) -> tuple[Chunk, ...]:
    """Return the ranges that together are the whole of `table`."""
    # A range of pages is a scan of these pages alone since PostgreSQL 14 only; views have no pages.
    if table.kind not in ("r", "p", "m") or connection.info.server_version < 140000:
        return EVERYTHING
    row = connection.execute(_SIZES, {"oid": table.oid}).fetchone()
    assert row is not None
    largest, total, heaps_only, block = row
    if not heaps_only:
        return EVERYTHING
    pages = -(-largest // block)
    wanted = -(-total // CHUNK_BYTES)
    if total > min(SPLIT_ABOVE, CHUNK_BYTES):
        wanted = max(wanted, threads)
    count = max(1, min(wanted, pages, MAX_CHUNKS))
    bounds = [pages * i // count for i in range(count)]
    return tuple(Chunk(a, b) for a, b in zip(bounds, [*bounds[1:], None], strict=True))

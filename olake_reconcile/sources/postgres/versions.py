"""Telling by a row's transaction id (`xmin`) that the last run has read it, so that the server leaves it out.

A row version whose transaction id is below the last snapshot's xmin was visible to that snapshot: everything below had
ended. Nothing else is used: between xmin and xmax a subtransaction's id tells nothing of its parent. The rule holds
within one history of one server, and while the same pieces of storage make up the table: a partition attached since
brings old row versions that nobody has read. And it holds for ids that are durable: after a crash the server gives ids
out again which it had not yet written to its log.
"""

from __future__ import annotations

from dataclasses import dataclass

from olake_reconcile.sources.postgres.catalog import Relation
from olake_reconcile.sources.postgres.connection import Connection
from olake_reconcile.sources.postgres.discover import identity

_STORAGE = """
WITH RECURSIVE family(oid) AS (
  SELECT %(oid)s::oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN family f ON i.inhparent = f.oid
)
SELECT pg_catalog.md5(string_agg(c.oid::text, ',' ORDER BY c.oid)),
       bool_and(c.relkind = 'p' OR c.relkind IN ('r', 'm') AND coalesce(am.amname = 'heap', false))
       AND NOT pg_catalog.row_security_active(%(oid)s::oid)
FROM family JOIN pg_catalog.pg_class c ON c.oid = family.oid LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
"""
_TIMELINE = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby'
       ELSE substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END
"""
_FLUSHED = "SELECT pg_catalog.pg_current_wal_flush_lsn() >= %s::pg_lsn"
# The log writer needs three rounds at most (PostgreSQL, "Asynchronous Commit").
_LOG_END = """
SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_insert_lsn()::text END,
       3 * setting::float8 / 1000
FROM pg_catalog.pg_settings WHERE name = 'wal_writer_delay'
"""


def storage_of(connection: Connection, table: Relation) -> str:
    """Name the pieces of storage that make up `table`; empty when its rows have no transaction ids to go by."""
    if table.kind not in ("r", "p", "m"):
        return ""
    row = connection.execute(_STORAGE, {"oid": table.oid}).fetchone()
    return row[0] if row and row[1] else ""


def history_of(connection: Connection) -> str:
    """Name the server's history: another server, or the same after it was promoted or restored, has another."""
    row = connection.execute(_TIMELINE).fetchone()
    return f"{identity(connection)}@{row[0] if row else ''}"


def unseen(horizon: str, seen: int) -> str:
    """Return the condition that the snapshot `horizon` shows a row version whose id is at or above `seen`."""
    return f"{_full_id(horizon)} >= {seen}"


def _full_id(horizon: str) -> str:
    """Return a row version's id in 64 bits: of its 32 bits, the greatest id that is not above the snapshot's xmax."""
    epoch, low = divmod(xmax(horizon), 1 << 32)
    row = "xmin::text::int8"
    return f"({row} + CASE WHEN {row} < 3 THEN 0 WHEN {row} > {low} THEN {epoch - 1 << 32} ELSE {epoch << 32} END)"


def xmin(horizon: str) -> int:
    """Return the id below which every transaction has ended, of a snapshot as `pg_current_snapshot` has it."""
    return int(horizon.split(":")[0])


def xmax(horizon: str) -> int:
    """Return the first id that had not ended yet."""
    return int(horizon.split(":")[1])


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The end of the server's log when a snapshot was taken; None on a standby, which shows what is durable only.

    Ends of transactions are on disk at the latest `delay` seconds later, whether or not anything else is.
    """

    position: str | None
    delay: float


def log_end(connection: Connection) -> LogEnd:
    """Return the end of the log as it is now, whatever the snapshot of `connection`."""
    row = connection.execute(_LOG_END).fetchone()
    return LogEnd(*row) if row else LogEnd(None, 0)


def is_durable(connection: Connection, end: LogEnd, age: float) -> bool:
    """Whether every transaction that had ended by `end`, `age` seconds ago, is on disk."""
    if end.position is None or age > end.delay:
        return True
    row = connection.execute(_FLUSHED, (end.position,)).fetchone()
    return bool(row and row[0])

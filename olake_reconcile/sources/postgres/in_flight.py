"""Which transactions are in flight: rows of theirs may still appear below the highest cursor seen (H-1).

The list is taken before a snapshot and after it. A transaction that was in flight at the snapshot is in one of them,
or has begun and ended between them; of that, the transaction ids completed meanwhile tell. Transactions are known by
their virtual id, which they have from their first moment on and which every user may see (`pg_locks`); prepared ones
have lost it, and are known by their transaction id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from olake_reconcile.sources.postgres.connection import APPLICATION, Connection

# Our own sessions are left out: they only read. A process that is not in pg_stat_activity yet may be of this database.
_RUNNING = """
SELECT 'v' || l.virtualxid, l.pid, a.xact_start
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted
  AND l.pid <> pg_catalog.pg_backend_pid() AND (a.datname IS NULL OR a.datname = pg_catalog.current_database())
  AND NOT (coalesce(a.application_name = %(application)s, false)
           AND coalesce(a.usename = session_user, false))
"""
_PREPARED = """
SELECT 'x' || transaction::text, NULL::int, prepared FROM pg_catalog.pg_prepared_xacts
WHERE database = pg_catalog.current_database()
"""
_COMPLETED = "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text, pg_catalog.pg_is_in_recovery()"

PREPARED = "x"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction in flight. `since` is None where this user may not see it."""

    key: str
    pid: int | None
    since: datetime | None


class Window:
    """What was in flight while a snapshot was taken: made before it, closed after it."""

    def __init__(self, connection: Connection) -> None:
        """Look for the first time. `connection` is in autocommit, and not the one that takes the snapshot."""
        self._connection = connection
        self._completed, self.standby = _completed(connection)
        self.transactions = list_transactions(connection)
        #: Whether others may have begun and ended within.
        self.unlisted = False

    def close(self) -> None:
        """Look for the second time."""
        self.transactions |= list_transactions(self._connection)
        completed, _ = _completed(self._connection)
        # A standby does not know which transactions of its primary have begun, only which have written.
        self.unlisted = self.standby or completed != self._completed


def list_transactions(connection: Connection) -> dict[str, Transaction]:
    """Return the transactions in flight in this database, but our own."""
    # Running ones first: what is prepared in between is in the second list, what was before has left the first.
    found = connection.execute(_RUNNING, {"application": APPLICATION}).fetchall()
    found += connection.execute(_PREPARED).fetchall()
    return {key: Transaction(key, pid, since) for key, pid, since in found}


def _completed(connection: Connection) -> tuple[str, bool]:
    row = connection.execute(_COMPLETED).fetchone()
    assert row is not None
    return row[0], row[1]

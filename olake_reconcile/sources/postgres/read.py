"""Reading one table over several connections that all see the same snapshot.

A *keeper* (psycopg) opens the snapshot, exports it and holds it and a lock on the table for as long as the load takes:
nobody can drop, rewrite or truncate the table meanwhile. Each *session* (DuckDB) enters that snapshot in a transaction
of its own and proves it before it reads.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.names import StreamId
from olake_reconcile.sources.postgres.catalog import Relation, relations
from olake_reconcile.sources.postgres.connection import Access, Connection
from olake_reconcile.sources.postgres.extension import load_extension
from olake_reconcile.sources.postgres.sql import PINNED_SETTINGS, literal, pin_settings, relation

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_LIMIT = "256MB"
#: How long a lock may be in the way before it is told of.
TOLD_AFTER = "2s"
_DATABASE = "source"


class SourceError(ReconcileError):
    """The server refused a statement, or went away; `summary` has its words."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """An exported snapshot, held open."""

    connection: Connection
    snapshot: str  # its name, for SET TRANSACTION SNAPSHOT
    horizon: str  # what it sees, as pg_current_snapshot has it
    opened_at: datetime

    def relation(self, stream: StreamId, tell: Callable[[str], None] = lambda text: None) -> Relation:
        """Return the table as the snapshot sees it, and keep others from changing its shape until the end.

        `tell` is told when somebody's lock on the table is in the way, and who that is; the wait goes on.
        """
        connection, whole = self.connection, PINNED_SETTINGS["lock_timeout"]
        connection.execute(f"SAVEPOINT locked; SET LOCAL lock_timeout = '{TOLD_AFTER}'")
        try:
            table = self._locked(stream)
        except psycopg.errors.LockNotAvailable:
            connection.execute("ROLLBACK TO SAVEPOINT locked")
            tell(f"waits for {self._lockers(stream)}, {whole} at most")
            table = self._locked(stream)
        connection.execute(f"SET LOCAL lock_timeout = '{whole}'; RELEASE SAVEPOINT locked")
        return table

    def _lockers(self, stream: StreamId) -> str:
        """Return who keeps readers off the table, as far as this user may know."""
        found = self.connection.execute(
            """SELECT DISTINCT l.pid, a.usename::text, nullif(a.application_name, '')
               FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
               -- One that waits is in the way too: readers queue behind it.
               WHERE l.mode = 'AccessExclusiveLock' AND n.nspname = %s AND c.relname = %s""",
            (stream.namespace, stream.name),
        ).fetchall()
        who = [f"process {pid}" + "".join(f", {x}" for x in about if x) for pid, *about in found]
        return f"a lock on the table ({'; '.join(who)})" if who else "a lock on the table"

    def _locked(self, stream: StreamId) -> Relation:
        found = relations(self.connection, only=stream)
        if not found:
            raise ReconcileError(
                f"the source has no table or view {stream} that this user may read",
                why="It was dropped or renamed, or the user lost the right to read it.",
                remedy=f"Grant SELECT on {stream} and USAGE on its schema, or remove the stream.",
            )
        table = found[0]
        # Even an empty SELECT holds ACCESS SHARE on the table, its partitions, and what a view is made of.
        self.connection.execute(f"SELECT FROM {relation(stream.namespace, stream.name)} LIMIT 0")
        return table

    def filtered_by_policy(self, table: Relation) -> bool:
        """Whether row-level security hides rows of `table` from this user."""
        row = self.connection.execute(
            "SELECT pg_catalog.row_security_active(%s::oid)", (table.oid,)
        ).fetchone()
        return bool(row and row[0])


@contextmanager
def keep_snapshot(access: Access) -> Iterator[Keeper]:
    """Open a snapshot for the length of a `with` block."""
    connection = access.connect()
    access.interruptible.add(connection)
    try:
        with server_errors(access):
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute(pin_settings(connection.info.server_version))
            row = connection.execute(
                "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_current_snapshot()::text, now()"
            ).fetchone()
        assert row is not None
        yield Keeper(connection, *row)
    finally:
        access.interruptible.discard(connection)
        connection.close()


class Scanner:
    """One DuckDB, shared by the sessions of a run, with its own memory limit and temporary folder.

    It is started for the first session: a run that finds nothing new reads nothing.
    """

    def __init__(self, access: Access, scratch: Path) -> None:
        self._access = access
        self._scratch = scratch
        self._lock = threading.Lock()
        self._started: duckdb.DuckDBPyConnection | None = None

    def _start(self) -> duckdb.DuckDBPyConnection:
        started = duckdb.connect(
            config={
                # Each session works in its own Python thread: more of DuckDB's would only get in their way.
                "threads": "1",
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(self._scratch / "duckdb"),
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
                # Uuids keep their type; long texts their length.
                "arrow_lossless_conversion": "true",
                "arrow_large_buffer_size": "true",
            }
        )
        try:
            load_extension(started, "postgres_scanner")
            with server_errors(self._access):
                self._attach(started)
        except BaseException:
            started.close()
            raise
        return started

    def _attach(self, started: duckdb.DuckDBPyConnection) -> None:
        config = self._access.config
        # The secret keeps the password out of ATTACH, which is shown when it fails.
        parameters = {
            "HOST": config.host,
            "PORT": config.port,
            "USER": config.username,
            "DATABASE": config.database,
            "PASSWORD": config.password or None,
        }
        options = ", ".join(f"{k} {literal(str(v))}" for k, v in parameters.items() if v is not None)
        started.execute(f"CREATE SECRET login (TYPE postgres, {options})")
        started.execute(
            f"ATTACH {literal(self._access.attach_text)} AS {_DATABASE} (TYPE postgres, SECRET login, READ_ONLY)"
        )

    def session(self, keeper: Keeper) -> Session:
        """Open a session inside the keeper's snapshot."""
        with self._lock:
            self._started = self._started or self._start()
            cursor = self._started.cursor()
        return Session(self._access, cursor, keeper)

    def close(self) -> None:
        """Drop every connection; sessions are closed before."""
        if self._started is not None:
            self._started.close()


class Session:
    """One connection inside the snapshot, for one thread."""

    def __init__(self, access: Access, cursor: duckdb.DuckDBPyConnection, keeper: Keeper) -> None:
        self._access = access
        self._cursor = cursor
        version = keeper.connection.info.server_version
        try:
            with server_errors(access):
                cursor.begin()
                self._execute(f"SET TRANSACTION SNAPSHOT {literal(keeper.snapshot)}")
                self._execute(pin_settings(version))
                self.backend, horizon = self._row(
                    "SELECT pg_catalog.pg_backend_pid() AS a, pg_catalog.pg_current_snapshot()::text AS b"
                )
        except BaseException:
            self.close()
            raise
        if horizon != keeper.horizon:
            self.close()
            raise SourceError(
                "a reading connection did not get the load's snapshot",
                why="Parts of the table would be read as of different moments: rows could be missing or twice.",
                remedy="A pooler in transaction mode does this; connect to PostgreSQL directly.",
            )

    def read(self, client_sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Run one statement and give its rows, a batch at a time."""
        with server_errors(self._access):
            yield from self._cursor.execute(client_sql).to_arrow_reader(batch_rows)

    def interrupt(self) -> None:
        """Make the thread that reads stop soon; called from another thread."""
        self._cursor.interrupt()

    def close(self) -> None:
        """Leave the snapshot."""
        with suppress(duckdb.Error):
            self._cursor.rollback()
        self._cursor.close()

    def _execute(self, statement: str) -> None:
        self._cursor.execute(f"CALL postgres_execute('{_DATABASE}', {literal(statement)})")

    def _row(self, query: str) -> tuple[Any, ...]:
        row = self._cursor.execute(f"FROM postgres_query('{_DATABASE}', {literal(query)})").fetchone()
        assert row is not None
        return row


def cancel_backends(access: Access, backends: list[int]) -> None:
    """Ask the server to stop what our sessions run; DuckDB's interrupt alone waits for the server's next row."""
    if not backends:
        return
    with suppress(ReconcileError, psycopg.Error), access.connect() as connection:
        connection.execute(
            "SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity "
            "WHERE pid = ANY (%s) AND application_name = %s",
            (backends, access.parameters["application_name"]),
        )


@contextmanager
def server_errors(access: Access) -> Iterator[None]:
    """Turn the errors of DuckDB and psycopg into ours, in the server's own words and without secrets."""
    try:
        yield
    except (psycopg.Error, duckdb.Error, OSError) as error:
        # Arrow's stream hands DuckDB's errors on as OSError.
        raise _source_error(access, str(error)) from None


def server_words(message: str) -> str:
    """Return what the server said, without the statement and the layers that DuckDB wraps around it."""
    match = re.search(r"(?:ERROR|FATAL):\s+(.*?)(?:\n(?:LINE|CONTEXT|SQL)|\Z)", message, re.DOTALL)
    return re.sub(r"\s+", " ", match.group(1) if match else message).strip()[:1000]


@dataclass(frozen=True, slots=True)
class _Known:
    """Words of the server, what to do about them, and whether they may pass by themselves."""

    words: str
    remedy: str
    passes: bool = True


_WENT_AWAY = "The connection or the server went away: run again when it is back."
_KNOWN = (
    _Known("conflict with recovery", "Raise max_standby_streaming_delay, or read the primary."),
    _Known("permission denied", "Grant SELECT to the user of this source.", passes=False),
    _Known("lock timeout", "Somebody changes the table's definition or locks it; run again afterwards."),
    _Known("deadlock detected", "Somebody changes the table's definition; run again afterwards."),
    _Known(
        "Out of Memory", "Rows are very wide: lower threads, or leave the widest columns out.", passes=False
    ),
    _Known(
        "No space left on device", "The server's or this host's disk for temporary files is full: free some."
    ),
    _Known(
        "connection slots", "The server has no free connections: lower max_threads, or raise max_connections."
    ),
    _Known(
        "too many clients", "The server has no free connections: lower max_threads, or raise max_connections."
    ),
    *(
        _Known(words, _WENT_AWAY)
        for words in (
            "server closed the connection",
            "terminating connection",
            "the database system is",
            "connection is closed",
            "connection is lost",
            "connection reset",
            "connection refused",
            "no connection to the server",
            "could not receive data",
            "could not send data",
            "consuming input failed",
            "SSL SYSCALL",
            "server process exited",
        )
    ),
)


def _source_error(access: Access, message: str) -> SourceError:
    known = next((k for k in _KNOWN if k.words.lower() in message.lower()), None)
    summary = f"PostgreSQL: {access.redact(server_words(message))}"
    error = SourceError(summary, remedy=known.remedy if known else "")
    error.retryable = known is not None and known.passes
    return error

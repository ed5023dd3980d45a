"""SQLite as the state's database: transactions, creation, and what its errors mean.

Each transaction has a connection of its own. SQLite must not be carried across a fork, not even unused, because the
child would believe that it holds the parent's locks: no transaction runs while this process forks.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from olake_reconcile.errors import ReconcileError, StateUnusable, Unreachable
from olake_reconcile.state.filesystem import refuse_network_folder
from olake_reconcile.state.format import is_older, prepare, ready

BUSY_SECONDS = 30.0

_between_forks = threading.RLock()
os.register_at_fork(
    before=_between_forks.acquire,
    after_in_parent=_between_forks.release,
    after_in_child=_between_forks.release,
)


class SqliteDatabase:
    """A database file. It comes into being with the first write, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._prepared = False
        self._local = False

    @contextmanager
    def read(self) -> Iterator[sa.Connection | None]:
        """Give a connection that sees one moment; None when there is no store yet, and none is made."""
        with _between_forks, self.errors():
            if not self._path.exists():
                yield None
                return
            self._refuse_network()
            with self._engine.connect() as connection, connection.begin():
                if is_older(connection):
                    with _upgraded_copy(connection) as copy:
                        yield copy
                else:
                    yield connection if ready(connection) else None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection that alone may write. What it wrote is durable on leaving, and undone by an error."""
        if not self._prepared:
            self.create()
        with self._writing(self._path) as connection:
            ready(connection)
            yield connection

    def exists(self) -> bool:
        """Whether there is a store."""
        return self._path.exists()

    def create(self) -> None:
        """Make the store, or bring it up to date. Done again, or by several at once, it changes nothing."""
        with _between_forks, self.errors():
            self._refuse_network()
            if not self._path.exists():
                self._make()
        with self._writing(self._path) as connection:
            prepare(connection)
        self._prepared = True

    def _refuse_network(self) -> None:
        if not self._local:
            refuse_network_folder(self._path.parent)
            self._local = True

    def _make(self) -> None:
        """Build the store beside its place and put it there: a half-made one is never seen, whoever dies."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.{threading.get_ident()}.new")
        draft.unlink(missing_ok=True)
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(draft)) as plain:
                plain.execute("PRAGMA journal_mode = WAL")
            with self._writing(draft) as connection:
                prepare(connection)
            with suppress(FileExistsError):  # another process was faster: its store is the store
                os.link(draft, self._path)
            # So that a power cut takes back neither the file's name nor its folder's.
            _sync_folder(self._path.parent)
            _sync_folder(self._path.parent.parent)
        finally:
            for left in (draft, Path(f"{draft}-wal"), Path(f"{draft}-shm")):
                left.unlink(missing_ok=True)

    @cached_property
    def _engine(self) -> sa.Engine:
        return _engine(self._path)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[sa.Connection]:
        engine = self._engine if path == self._path else _engine(path)
        with _between_forks, self.errors(), engine.connect() as connection:
            # Immediate: a transaction that reads first and writes later fails at once if another wrote in between.
            connection.execution_options(immediate=True)
            with connection.begin():
                yield connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Say what goes wrong inside in the words of `errors.py`."""
        try:
            yield
        except DBAPIError as error:
            if not isinstance(error.orig, sqlite3.Error):
                raise
            raise self._translated(error.orig) from error
        except sqlite3.Error as error:
            raise self._translated(error) from error
        except OSError as error:
            raise StateUnusable(
                f"The state store {self._path} cannot be opened or made: {error.strerror or error}"
            ) from error
        except ValueError as error:  # pydantic's included: a record that is not what its model writes
            raise self._damaged(error) from error

    def _translated(self, error: sqlite3.Error) -> Exception:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        store = f"The state store {self._path}"
        match code:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                # Not `Locked`: a holder whose heartbeat meets this has lost nothing yet.
                return Unreachable(
                    f"{store} is busy: another process has been writing for {BUSY_SECONDS:.0f} seconds",
                    remedy="Try again; if it lasts, find the process that has the file open.",
                )
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_ERROR:
                return self._damaged(error)
            case sqlite3.SQLITE_FULL:
                return ReconcileError(f"{store} could not be written: the disk is full")
            case (
                sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_IOERR
            ):
                return StateUnusable(
                    f"{store} cannot be opened or written: {error}",
                    remedy="Make sure that this user may write the file and its folder.",
                )
            case _:
                return error

    def _damaged(self, error: Exception) -> StateUnusable:
        return StateUnusable(
            f"The state store {self._path} is damaged: {error}",
            why="What was applied cannot be read from it. It has been left as it is.",
            remedy="Put back a copy of the file, or move it away: tables that carry our markers can be imported.",
        )


def _engine(path: Path) -> sa.Engine:
    # mode=rw: SQLite would make an empty file where none is.
    uri = f"file:{quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        # isolation_level None: the driver would begin transactions by itself, and never immediate ones.
        raw = sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            raw.execute("PRAGMA foreign_keys = ON")
            raw.execute("PRAGMA synchronous = FULL")
        except BaseException:
            raw.close()
            raise
        return raw

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextmanager
def _upgraded_copy(connection: sa.Connection) -> Iterator[sa.Connection]:
    """Give what a store of an older format will be, in memory: who only reads changes nothing."""
    with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as memory:
        original = connection.connection.driver_connection
        assert isinstance(original, sqlite3.Connection)
        original.backup(memory)
        engine = sa.create_engine("sqlite://", creator=lambda: memory, poolclass=StaticPool)
        with engine.connect() as copy, copy.begin():
            prepare(copy)
            yield copy


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

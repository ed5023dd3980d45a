"""Reading pieces of a table into data files, spread over threads; what is committed, and when, its callers decide.

Threads share the pieces; each has a connection inside the load's snapshot and a writer of its own. A load that fails
or is cancelled deletes the files that it wrote since the last commit.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow.compute as pc

from olake_reconcile.clock import Clock
from olake_reconcile.destinations.iceberg.catalog import Lakehouse
from olake_reconcile.destinations.iceberg.files import DataWriter, WrittenFile, remove_empty_folders
from olake_reconcile.destinations.iceberg.target import Target
from olake_reconcile.engine.aside import Aside
from olake_reconcile.engine.base import Cancelled, Emit, StreamTask
from olake_reconcile.errors import DataRefused
from olake_reconcile.model.event import PolicyCount, Progress
from olake_reconcile.model.stream import TypePolicy
from olake_reconcile.sources.postgres.connection import Access
from olake_reconcile.sources.postgres.read import Keeper, Scanner, cancel_backends
from olake_reconcile.sources.postgres.select import Check, Selection

if TYPE_CHECKING:
    import pyarrow as pa

#: How often a running load looks at the cancel flag and reports progress.
POLL_SECONDS = 0.1
#: How long counting refused values may take; the load has failed already.
COUNT_TIMEOUT = "60s"

#: A piece of a table: its number, and the SQL condition of its rows (empty: all).
Piece = tuple[int, str]


class LoadCancelled(Exception):
    """The load stopped because the caller said so; nothing was committed since the last checkpoint."""


class _Refused(Exception):
    def __init__(self, check: Check) -> None:
        super().__init__(check.column)
        self.check = check


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the loads of one run share."""

    run_id: str
    access: Access
    scanner: Scanner
    house: Lakehouse
    threads: int
    clock: Clock
    scratch: Path


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one reading brought: files of new rows, rows that may be there already, and the pieces that it finished."""

    files: list[WrittenFile]
    aside: Aside | None
    pieces: list[int]


@dataclass(slots=True)
class _Shared:
    """What the threads of a load tell each other; guarded by `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    rows: int = 0
    finished: list[int] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)
    writers: list[DataWriter] = field(default_factory=list)
    sessions: list[Any] = field(default_factory=list)


def never() -> bool:
    """Say that there is no reason to pause."""
    return False


class Load:
    """The reading and writing of one stream in one snapshot, in one go or with pauses for checkpoints."""

    def __init__(
        self,
        run: Run,
        keeper: Keeper,
        selection: Selection,
        task: StreamTask,
        batch_rows: int,
        before: Progress | None = None,
    ) -> None:
        """`before` is what other loads of the same run have read of the stream."""
        self._run = run
        self._keeper = keeper
        self._selection = selection
        self._task = task
        self._batch_rows = batch_rows
        self._target: Target | None = None
        self._aside: Aside | None = None
        self._shared = _Shared()
        self._before = before or Progress(stream=task.stream.id, rows=0, bytes=0, chunks=0)

    def read(
        self,
        target: Target,
        pieces: Sequence[Piece],
        emit: Emit,
        cancelled: Cancelled,
        pause: Callable[[], bool] = never,
    ) -> Loaded:
        """Read pieces into files of `target`, until all are read or `pause` says yes between two.

        Raises `LoadCancelled` or what the first failing thread raised; then the files of this reading are gone.
        """
        self._begin(target)
        todo = iter(pieces)
        workers = max(1, min(self._task.stream.threads or self._run.threads, len(pieces)))
        try:
            with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
                futures = [pool.submit(self._work, number, todo, pause) for number in range(workers)]
                try:
                    was_cancelled = self._watch(futures, emit, cancelled)
                except BaseException:
                    self._stop()
                    raise
            if was_cancelled:
                raise LoadCancelled
            files = [file for future in futures for file in future.result()]
        except _Refused as refused:
            self.abandon()
            raise self._refusal(refused.check) from None
        except BaseException:
            self.abandon()
            raise
        if self._aside is not None:
            self._aside.finish()
        return Loaded(files, self._aside, sorted(self._shared.finished))

    def writer(self, suffix: str) -> DataWriter:
        """Return one more writer of this reading's files; `abandon` deletes its files too."""
        assert self._target is not None
        # The commit's own id keeps a run that is repeated under its old id from writing over live files.
        name = f"{self._run.run_id}-{self._target.commit_id[:8]}-{suffix}"
        writer = DataWriter(self._target.io, self._target.format, name)
        with self._shared.lock:
            self._shared.writers.append(writer)
        return writer

    def abandon(self) -> None:
        """Delete every file of this reading."""
        for writer in self._shared.writers:
            writer.abandon()
        if self._target is not None:
            remove_empty_folders(self._target.staged.location)

    def policy_counts(self) -> tuple[PolicyCount, ...]:
        """Return how many values met which policy."""
        counts: Counter[int] = Counter()
        for digits, rows in self._shared.marks.items():
            for position, digit in enumerate(digits):
                counts[position] += rows if digit == "1" else 0
        return tuple(
            PolicyCount(column=check.column, kind=check.kind, policy=check.policy, count=counts[position])
            for position, check in enumerate(self._selection.checks)
            if counts[position]
        )

    def progress(self) -> Progress:
        """Return what was read so far."""
        with self._shared.lock:
            return Progress(
                stream=self._task.stream.id,
                rows=self._before.rows + self._shared.rows,
                bytes=self._before.bytes + sum(w.bytes_written for w in self._shared.writers),
                chunks=self._before.chunks + len(self._shared.finished),
            )

    def _begin(self, target: Target) -> None:
        self._before = self.progress()
        marks = self._shared.marks
        self._shared = _Shared(marks=marks)
        self._target = target
        if self._selection.flagged:
            self._aside = Aside(self._run.scratch, target.format.arrow())

    # -- in the caller's thread ------------------------------------------------------------------

    def _watch(self, futures: Sequence[Future[list[WrittenFile]]], emit: Emit, cancelled: Cancelled) -> bool:
        """Report progress until every thread has ended; tell whether the load was cancelled."""
        shown = None
        pending = set(futures)
        was_cancelled = False
        while pending:
            done, pending = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_EXCEPTION)
            if not was_cancelled and cancelled():
                was_cancelled = True
                self._stop()
            elif any(f.exception() for f in done):
                self._stop()
            progress = self.progress()
            if progress != shown:
                emit(progress)
                shown = progress
        return was_cancelled

    def _stop(self) -> None:
        """Make every thread stop soon: between batches, inside DuckDB, and at the server."""
        self._shared.stop.set()
        with self._shared.lock:
            sessions = list(self._shared.sessions)
            for session in sessions:
                session.interrupt()
        cancel_backends(self._run.access, [s.backend for s in sessions])

    def _refusal(self, check: Check) -> DataRefused:
        stream = self._task.stream.id
        return DataRefused(
            f"{self._count(check)} of column {check.column} in {stream} do not fit, and their policy is fail",
            why=f"The destination's type cannot hold them ({check.kind}); the old table is untouched.",
            remedy=f"Find them: SELECT * FROM {self._selection.source} WHERE {check.find}; "
            f"or set the policy of {check.kind} to null or text.",
        )

    def _count(self, check: Check) -> str:
        connection = self._keeper.connection
        try:
            connection.execute(f"SET LOCAL statement_timeout = '{COUNT_TIMEOUT}'")
            row = connection.execute(self._selection.count_sql(check)).fetchone()
        except psycopg.Error:
            return "values"
        count = row[0] if row else 0
        return "1 value" if count == 1 else f"{count:,} values"

    # -- in the threads --------------------------------------------------------------------------

    def _work(self, number: int, todo: Iterator[Piece], pause: Callable[[], bool]) -> list[WrittenFile]:
        shared = self._shared
        writer = self.writer(f"{number:02d}")
        with ExitStack() as stack:
            session = stack.enter_context(closing(self._run.scanner.session(self._keeper)))
            with shared.lock:
                shared.sessions.append(session)
            # After this the session belongs to nobody: its backend must not be cancelled any more.
            stack.callback(self._forget, session)
            while not shared.stop.is_set():
                with shared.lock:
                    piece = None if shared.finished and pause() else next(todo, None)
                if piece is None:
                    return writer.finish()
                sql = self._selection.client_sql(self._selection.server_sql(piece[1]), "source")
                for batch in session.read(sql, self._batch_rows):
                    if shared.stop.is_set():
                        return []
                    self._take(batch, writer)
                with shared.lock:
                    shared.finished.append(piece[0])
        return []

    def _forget(self, session: object) -> None:
        with self._shared.lock:
            self._shared.sessions.remove(session)

    def _take(self, batch: pa.RecordBatch, writer: DataWriter) -> None:
        marks = batch.column(batch.num_columns - 1)
        if marks.null_count < len(marks):
            self._note(marks)
        rows = batch.num_rows
        if self._aside is not None:
            flags = batch.column(batch.num_columns - 2)
            aside = pc.equal(flags, 1)
            if pc.any(aside).as_py():
                with self._shared.lock:
                    self._aside.take(batch.filter(aside))
                batch = batch.filter(pc.invert(aside))
                rows = batch.num_rows
        if rows:
            writer.write(batch)
        with self._shared.lock:
            self._shared.rows += rows

    def _note(self, marks: pa.Array) -> None:
        found = {
            entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(marks.drop_null())
        }
        for digits in found:
            for check, digit in zip(self._selection.checks, digits, strict=True):
                if digit == "1" and check.policy is TypePolicy.FAIL:
                    raise _Refused(check)
        with self._shared.lock:
            self._shared.marks.update(found)

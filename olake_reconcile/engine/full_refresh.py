"""One full refresh: every row of a table as of one moment, then one commit that replaces the destination's table.

Threads share the chunks of the table; each has a connection inside the load's snapshot and a writer of its own. Until
the commit nothing of the load is visible. A load that fails or is cancelled deletes the files that it wrote.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow.compute as pc

from olake_reconcile.clock import Clock
from olake_reconcile.destinations.iceberg import replace
from olake_reconcile.destinations.iceberg.catalog import Lakehouse, open_catalog
from olake_reconcile.destinations.iceberg.files import DataWriter, WrittenFile, remove_empty_folders
from olake_reconcile.engine.base import Cancelled, Emit, StreamTask
from olake_reconcile.errors import DataRefused, OutcomeUnknown
from olake_reconcile.model.event import (
    Level,
    Logged,
    PolicyCount,
    Progress,
    StreamCommitted,
    StreamStarted,
)
from olake_reconcile.model.stream import TypePolicy
from olake_reconcile.sources.postgres.chunks import Chunk, Plan, plan_chunks
from olake_reconcile.sources.postgres.connection import Access
from olake_reconcile.sources.postgres.read import (
    Keeper,
    Scanner,
    cancel_backends,
    keep_snapshot,
    server_errors,
)
from olake_reconcile.sources.postgres.select import Check, Selection, select

if TYPE_CHECKING:
    import pyarrow as pa

#: How often a running load looks at the cancel flag and reports progress.
POLL_SECONDS = 0.1
#: How long counting refused values may take; the load has failed already.
COUNT_TIMEOUT = "60s"


class LoadCancelled(Exception):
    """The load stopped because the caller said so; nothing was committed."""


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


def full_refresh(run: Run, task: StreamTask, emit: Emit, cancelled: Cancelled) -> StreamCommitted:
    """Load one stream. Raises `LoadCancelled`, or a `ReconcileError` after which the old table is untouched."""
    began = run.clock.monotonic()
    stream = task.stream
    with keep_snapshot(run.access) as keeper, open_catalog(run.house) as catalog:
        with server_errors(run.access):
            table = keeper.relation(stream.id)
            plan = plan_chunks(keeper.connection, table, stream.threads or run.threads)
            hidden = keeper.filtered_by_policy(table)
        if hidden:
            message = (
                "row-level security hides rows of this table from the source's user: they are not replicated"
            )
            emit(Logged(level=Level.WARNING, message=message, stream=stream.id))
        selection = select(table, stream, keeper.opened_at)
        target = replace.begin(
            catalog,
            run.house,
            task.place,
            task.owner,
            selection.columns,
            stream.partition_by,
            selection.destination_names,
        )
        emit(StreamStarted(stream=stream.id, chunks=len(plan.chunks), rows=table.rows))
        load = _Load(run, keeper, selection, target, plan, task)
        files = load.run(emit, cancelled)
        try:
            if cancelled():
                raise LoadCancelled
            snapshot = replace.commit(catalog, target, files, run.run_id)
        except OutcomeUnknown:
            raise  # the files may be the table's by now
        except BaseException:
            load.abandon()
            raise
    return StreamCommitted(
        stream=stream.id,
        rows=sum(f.statistics.rows for f in files),
        bytes=sum(f.size for f in files),
        files=len(files),
        seconds=round(run.clock.monotonic() - began, 3),
        snapshot=str(snapshot),
        policies=load.policy_counts(),
    )


@dataclass(slots=True)
class _Shared:
    """What the threads of a load tell each other; guarded by `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    rows: int = 0
    chunks: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    writers: list[DataWriter] = field(default_factory=list)
    sessions: list[Any] = field(default_factory=list)


class _Load:
    """The reading and writing of one load, spread over threads."""

    def __init__(
        self,
        run: Run,
        keeper: Keeper,
        selection: Selection,
        target: replace.Replacement,
        plan: Plan,
        task: StreamTask,
    ) -> None:
        self._run = run
        self._keeper = keeper
        self._selection = selection
        self._target = target
        self._plan = plan
        self._task = task
        self._shared = _Shared()

    def run(self, emit: Emit, cancelled: Cancelled) -> list[WrittenFile]:
        """Read every chunk; return the files. Raises `LoadCancelled` or what the first failing thread raised."""
        todo = iter(self._plan.chunks)
        workers = min(self._task.stream.threads or self._run.threads, len(self._plan.chunks))
        try:
            with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
                futures = [pool.submit(self._work, number, todo) for number in range(workers)]
                try:
                    was_cancelled = self._watch(futures, emit, cancelled)
                except BaseException:
                    self._stop()
                    raise
            if was_cancelled:
                raise LoadCancelled
            return [file for future in futures for file in future.result()]
        except _Refused as refused:
            self.abandon()
            raise self._refusal(refused.check) from None
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Delete every file of this load."""
        for writer in self._shared.writers:
            writer.abandon()
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
            progress = self._progress()
            if progress != shown:
                emit(progress)
                shown = progress
        return was_cancelled

    def _progress(self) -> Progress:
        with self._shared.lock:
            return Progress(
                stream=self._task.stream.id,
                rows=self._shared.rows,
                bytes=sum(w.bytes_written for w in self._shared.writers),
                chunks=self._shared.chunks,
            )

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

    def _work(self, number: int, todo: Iterator[Chunk]) -> list[WrittenFile]:
        shared = self._shared
        # The commit's own id keeps a run that is repeated under its old id from writing over live files.
        name = f"{self._run.run_id}-{self._target.commit_id[:8]}-{number:02d}"
        writer = DataWriter(self._target.io, self._target.format, name)
        with ExitStack() as stack:
            session = stack.enter_context(closing(self._run.scanner.session(self._keeper)))
            with shared.lock:
                shared.writers.append(writer)
                shared.sessions.append(session)
            # After this the session belongs to nobody: its backend must not be cancelled any more.
            stack.callback(self._forget, session)
            while not shared.stop.is_set():
                with shared.lock:
                    chunk = next(todo, None)
                if chunk is None:
                    return writer.finish()
                sql = self._selection.client_sql(self._selection.server_sql(chunk.condition), "source")
                for batch in session.read(sql, self._plan.batch_rows):
                    if shared.stop.is_set():
                        return []
                    self._take(batch, writer)
                with shared.lock:
                    shared.chunks += 1
        return []

    def _forget(self, session: object) -> None:
        with self._shared.lock:
            self._shared.sessions.remove(session)

    def _take(self, batch: pa.RecordBatch, writer: DataWriter) -> None:
        marks = batch.column(batch.num_columns - 1)
        if marks.null_count < len(marks):
            self._note(marks)
        writer.write(batch)
        with self._shared.lock:
            self._shared.rows += batch.num_rows

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

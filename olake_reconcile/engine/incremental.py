"""One stream read by its cursor: a first load in ranges of its key, then what is new or changed since.

The position is committed with the rows that it stands for, and read back from the table: a run that is killed anywhere
is as if it had stopped at its last commit. Rows are read from the lower bound on (`moment.py`), so the same row may
come again. What the last run has certainly read the server leaves out (`versions.py`); what it may have read, at or
below the greatest cursor seen, is compared with the table, and dropped when it is there with equal values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table.metadata import TableMetadata

from olake_reconcile.destinations.iceberg import replace
from olake_reconcile.destinations.iceberg.catalog import load_table, open_catalog
from olake_reconcile.destinations.iceberg.change import Change, append, open_change
from olake_reconcile.destinations.iceberg.evolve import file_schema
from olake_reconcile.destinations.iceberg.files import WrittenFile
from olake_reconcile.destinations.iceberg.merge import merge
from olake_reconcile.destinations.iceberg.overlap import absent
from olake_reconcile.destinations.iceberg.position import position_of
from olake_reconcile.destinations.iceberg.target import checked
from olake_reconcile.engine.base import Cancelled, Emit, StreamTask
from olake_reconcile.engine.load import Load, LoadCancelled, Piece, Run
from olake_reconcile.engine.moment import Moment, moment, wait_for
from olake_reconcile.errors import OutcomeUnknown, ReconcileError
from olake_reconcile.model.event import (
    Level,
    Logged,
    PolicyCount,
    Progress,
    StreamCheckpoint,
    StreamCommitted,
    StreamStarted,
)
from olake_reconcile.model.stream import Columns, NullCursor, WriteMode
from olake_reconcile.sources.postgres import cursor, key_ranges, versions
from olake_reconcile.sources.postgres.catalog import Relation
from olake_reconcile.sources.postgres.chunks import BATCH_ROWS, plan_chunks
from olake_reconcile.sources.postgres.key_ranges import Ranges
from olake_reconcile.sources.postgres.position import (
    VERSION,
    Backfill,
    Position,
    read_position,
    show_position,
)
from olake_reconcile.sources.postgres.read import server_errors
from olake_reconcile.sources.postgres.select import Selection, select

#: A first load commits what it has after so long, later after a tenth of the time that it has taken: whatever its
#: length, a kill costs little, and the table does not drown in snapshots.
CHECKPOINT_SECONDS = 30.0
CHECKPOINT_SHARE = 0.1

Commit = Callable[[Change, list[WrittenFile], Position], int | None]


def incremental(run: Run, task: StreamTask, emit: Emit, cancelled: Cancelled) -> StreamCommitted:
    """Bring one stream up to date. Raises `LoadCancelled`, or a `ReconcileError`; what was committed stays."""
    with open_catalog(run.house) as catalog:
        return _Incremental(run, task, emit, cancelled, catalog).run()


@dataclass(slots=True)
class _Totals:
    """What a run has committed so far."""

    began: float
    rows: int = 0
    bytes: int = 0
    files: int = 0
    policies: list[PolicyCount] = field(default_factory=list)

    def add(self, files: Sequence[WrittenFile]) -> None:
        self.rows += sum(f.statistics.rows for f in files)
        self.bytes += sum(f.size for f in files)
        self.files += len(files)


class _Incremental:
    """One run of one stream."""

    def __init__(
        self, run: Run, task: StreamTask, emit: Emit, cancelled: Cancelled, catalog: SqlCatalog
    ) -> None:
        self._run = run
        self._task = task
        self._stream = task.stream
        self._emit = emit
        self._cancelled = cancelled
        self._catalog = catalog
        self._threads = task.stream.threads or run.threads
        self._totals = _Totals(run.clock.monotonic())
        self._read: Progress | None = None
        self._started = False

    def run(self) -> StreamCommitted:
        """Go on from where the table stands, or begin."""
        known = self._known()
        if known is None:
            return self._first_load()
        if known.backfill is None:
            return self._pass(known)
        return self._go_on(known, known.backfill)

    # -- where the table stands --------------------------------------------------------------------

    def _known(self) -> Position | None:
        """Return the position of the table's rows: the table knows first, the state what a run without news found."""
        metadata = self._table()
        if metadata is None:
            return None
        stored = position_of(metadata)
        if stored is not None and stored.get("version", VERSION) > VERSION:
            raise ReconcileError(
                f"the table {self._task.place} was written by a later release",
                why="Its position is in a form that this one does not know.",
                remedy="Use that release, or clear the stream.",
            )
        state = read_position(self._task.position)
        if state is not None and state.head is not None and state.head == str(metadata.current_snapshot_id):
            return state
        return read_position(stored)

    def _table(self) -> TableMetadata | None:
        found = load_table(self._catalog, self._task.place)
        return checked(found, self._task.place, self._task.owner)

    # -- the first load ----------------------------------------------------------------------------

    def _first_load(self) -> StreamCommitted:
        with self._bookmark() as now:
            self._check(now)
            with server_errors(self._run.access):
                backfill = self._ranges(now)
            if backfill is None:
                return self._whole(now)
            position, snapshot = self._backfill(now, self._settled(now), backfill)
            return self._end(position, snapshot)

    @contextmanager
    def _bookmark(self) -> Iterator[Moment]:
        """Hold the first moment. What was in flight then has no floor: a little patience saves a second reading."""
        with ExitStack() as stack:
            now = stack.enter_context(moment(self._run, self._task, None, self._emit))
            if waiting := now.position.floors.keys():
                before = now.position
                stack.close()
                wait_for(self._run, set(waiting), self._cancelled)
                now = stack.enter_context(moment(self._run, self._task, before, self._emit))
            yield now

    def _ranges(self, now: Moment) -> Backfill | None:
        """Return the ranges to load; None when the table is small, has no key, or must be replaced as a whole."""
        key = key_ranges.key_of(now.table, self._stream)
        if not key or self._table() is not None:
            return None
        backfill = key_ranges.cut(now.keeper.connection, now.table, key, self._threads)
        return backfill if backfill.cuts else None

    def _whole(self, now: Moment) -> StreamCommitted:
        """Load everything into one commit that replaces whatever there is."""
        table = now.table
        with server_errors(self._run.access):
            plan = plan_chunks(now.keeper.connection, table, self._threads)
        selection = select(table, self._stream, now.keeper.opened_at)
        target = replace.begin(
            self._catalog,
            self._run.house,
            self._task.place,
            self._task.owner,
            selection.columns,
            self._stream.partition_by,
            selection.destination_names,
        )
        self._start(len(plan.chunks), table.rows)
        load = Load(self._run, now.keeper, selection, self._task, plan.batch_rows)
        pieces = [(number, chunk.condition) for number, chunk in enumerate(plan.chunks)]
        loaded = load.read(target, pieces, self._emit, self._cancelled)
        with self._committing(load, loaded.files):
            position = self._settled(now)
            shown = show_position(position)
            snapshot = replace.commit(self._catalog, target, loaded.files, self._run.run_id, shown)
        return self._end(position, str(snapshot))

    def _go_on(self, known: Position, backfill: Backfill) -> StreamCommitted:
        """Load the ranges that are left, as they are now, and then what came since the load began."""
        with moment(self._run, self._task, known, self._emit) as now:
            if not known.of(now.cursors) or key_ranges.ranges(now.table, backfill) is None:
                return self._whole(now)
            self._check(now)
            tops = [m.top for m in now.position.marks]
            marks = [m.model_copy(update={"top": t}) for m, t in zip(known.marks, tops, strict=True)]
            bookmark = known.model_copy(update={"marks": tuple(marks)})
            position, _ = self._backfill(now, bookmark, backfill, resumed=True)
        return self._pass(position)

    def _backfill(
        self, now: Moment, bookmark: Position, backfill: Backfill, *, resumed: bool = False
    ) -> tuple[Position, str]:
        """Load the unfinished ranges, with a commit every now and then; return the position and snapshot at the end."""
        table = now.table
        ranges = key_ranges.ranges(table, backfill)
        assert ranges is not None
        selection = select(table, self._stream, now.keeper.opened_at)
        with server_errors(self._run.access):
            batch_rows = key_ranges.batch_rows(now.keeper.connection, table)
        load = Load(self._run, now.keeper, selection, self._task, batch_rows)
        pieces = [(number, ranges.condition(number)) for number in backfill.unfinished()]
        self._start(len(pieces), table.rows)
        commit = self._merge(table, selection) if resumed and _may_repeat(table, ranges) else self._append
        position = bookmark
        snapshot = ""
        while pieces:
            change = self._open(selection)
            loaded = load.read(change, pieces, self._emit, self._cancelled, self._pause())
            backfill = backfill.finish(loaded.pieces)
            pieces = [(number, text) for number, text in pieces if number not in set(loaded.pieces)]
            position = bookmark.model_copy(update={"backfill": backfill if pieces else None})
            with self._committing(load, loaded.files):
                snapshot = str(commit(change, loaded.files, position) or _head(change) or "")
            if pieces or resumed:
                self._checkpoint(snapshot, position)
        return position, snapshot

    def _pause(self) -> Callable[[], bool]:
        now = self._run.clock.monotonic
        began = now()
        length = max(CHECKPOINT_SECONDS, CHECKPOINT_SHARE * (began - self._totals.began))
        return lambda: now() - began >= length

    # -- what is new -------------------------------------------------------------------------------

    def _pass(self, known: Position) -> StreamCommitted:
        """Read what is new or changed since `known`."""
        with moment(self._run, self._task, known, self._emit) as now:
            if not known.of(now.cursors):
                message = "the cursor is not the one that the table was loaded by: it is loaded anew"
                self._emit(Logged(level=Level.WARNING, message=message, stream=self._stream.id))
                return self._whole(now)
            self._check(now)
            with server_errors(self._run.access):
                where, flag = self._conditions(now, known)
                pieces = self._pieces(now, where)
            selection = select(now.table, self._stream, now.keeper.opened_at, op_type="u", flag=flag)
            change = self._open(selection)
            self._start(len(pieces), None)
            gone = self._gone(now, change, pieces) if self._may_leave(selection) else None
            load = Load(self._run, now.keeper, selection, self._task, BATCH_ROWS, self._read)
            loaded = load.read(change, pieces, self._emit, self._cancelled)
            files = loaded.files
            commit = self._merge(now.table, selection, gone)
            with self._committing(load, files):
                if loaded.aside is not None and loaded.aside.rows:
                    writer = load.writer("a")
                    column = selection.destination_names[now.cursors.primary.name]
                    for batch in absent(change, loaded.aside.batches(), column):
                        writer.write(batch)
                    files.extend(writer.finish())
                if not files and not gone and not change.evolved:
                    return self._nothing_new(change, now, known)
                position = self._settled(now)
                snapshot = commit(change, files, position) or _head(change)
            return self._end(position, str(snapshot or ""))

    def _conditions(self, now: Moment, known: Position) -> tuple[str, str]:
        """Return which rows to read, and which of them the table may hold already."""
        cursors, connection = now.cursors, now.keeper.connection
        lower = [
            cursor.lower_bound(connection, one, [values[i] for values in known.bounds])
            for i, one in enumerate(cursors.all)
        ]
        where = f"({cursors.from_(lower)})"
        flag = f"({cursors.upto([m.top for m in known.marks])})"
        if cursors.may_be_null and self._stream.null_cursor is NullCursor.RELOAD:
            where = f"({where} OR ({cursors.all_null}))"
            flag = f"({flag} OR ({cursors.all_null}))"
        # Of rows without a key only the number of equal ones counts: all of them have to be compared.
        if now.table.primary_key and _comparable(known, now):
            assert known.seen is not None
            where += f" AND {versions.unseen(now.keeper.horizon, known.seen)}"
        return where, flag

    def _may_leave(self, selection: Selection) -> bool:
        return bool(selection.filter) and self._stream.write_mode is WriteMode.UPSERT

    def _gone(self, now: Moment, change: Change, pieces: Sequence[Piece]) -> pa.Table | None:
        """Return the keys of rows that changed and do not match the filter now: to the destination they are deleted."""
        keys = self._stream.model_copy(update={"columns": Columns(include=now.table.primary_key)})
        selection = select(now.table, keys, now.keeper.opened_at, op_type="d", flag="TRUE").outside_filter()
        format_ = dataclasses.replace(change.format, schema=file_schema(change.schema, selection.columns))
        load = Load(self._run, now.keeper, selection, self._task, BATCH_ROWS, self._read)
        narrow = dataclasses.replace(change, format=format_)
        aside = load.read(narrow, pieces, lambda event: None, self._cancelled).aside
        if aside is None or not aside.rows:
            return None
        names = [selection.destination_names[k] for k in now.table.primary_key]
        return pa.Table.from_batches(aside.batches()).select([*names, "_op_type", "_olake_timestamp"])

    def _pieces(self, now: Moment, where: str) -> list[Piece]:
        """Return the statements that read `where`: without an index the whole table is read, then by all threads."""
        connection, table = now.keeper.connection, now.table
        if cursor.has_index(connection, table, now.cursors.primary):
            return [(0, where)]
        plan = plan_chunks(connection, table, self._threads)
        conditions = [" AND ".join(c for c in (where, chunk.condition) if c) for chunk in plan.chunks]
        return list(enumerate(conditions))

    def _check(self, now: Moment) -> None:
        """Refuse what cannot be done before anything is read; count rows that no cursor finds."""
        selection = select(now.table, self._stream, now.keeper.opened_at)
        self._merge(now.table, selection)
        policy = self._stream.null_cursor
        if policy is NullCursor.RELOAD:
            return
        with server_errors(self._run.access):
            count = cursor.count_null(now.keeper.connection, now.table, now.cursors, selection.filter)
        cursor.refuse_null(now.table, now.cursors, count, policy)
        if count:
            message = (
                f"{count:,} rows have no cursor value: they are loaded once, and changes of them are not seen"
            )
            self._emit(Logged(level=Level.WARNING, message=message, stream=self._stream.id))

    def _settled(self, now: Moment) -> Position:
        with server_errors(self._run.access):
            position = now.settled()
        assert position is not None
        return position

    # -- committing --------------------------------------------------------------------------------

    def _open(self, selection: Selection) -> Change:
        return open_change(
            self._catalog,
            self._run.house,
            self._task.place,
            self._task.owner,
            selection.columns,
            self._stream.partition_by,
            selection.destination_names,
            fence=self._run.fence,
            scratch=self._run.scratch,
        )

    def _append(self, change: Change, files: list[WrittenFile], position: Position) -> int | None:
        return append(self._catalog, change, files, self._run.run_id, show_position(position))

    def _merge(self, table: Relation, selection: Selection, gone: pa.Table | None = None) -> Commit:
        """Return how rows that may be there already are committed, and `gone`, the keys of those that left the filter."""
        if self._stream.write_mode is WriteMode.APPEND:
            return self._append
        missing = [k for k in table.primary_key if k not in selection.destination_names]
        if not table.primary_key or missing:
            raise ReconcileError(
                f"{self._stream.id} cannot be upserted: "
                + (
                    f"{', '.join(missing)} of its primary key is left out"
                    if missing
                    else "it has no primary key"
                ),
                why="Without its key nobody can tell which row a changed one replaces.",
                remedy="Replicate the key, give the table one, or set write_mode: append.",
            )
        key = [selection.destination_names[k] for k in table.primary_key]

        def commit(change: Change, files: list[WrittenFile], position: Position) -> int | None:
            return merge(
                self._catalog,
                change,
                files,
                key,
                self._run.run_id,
                show_position(position),
                deletes=gone,
                mode=self._stream.delete_mode,
            )

        return commit

    @contextmanager
    def _committing(self, load: Load, files: list[WrittenFile]) -> Iterator[None]:
        """Count the files when they are committed; delete them when they are not."""
        try:
            if self._cancelled():
                raise LoadCancelled
            yield
        except OutcomeUnknown:
            raise  # the files may be the table's by now
        except BaseException:
            load.abandon()
            raise
        self._totals.add(files)
        self._totals.policies = list(load.policy_counts())
        self._read = load.progress()

    # -- telling -----------------------------------------------------------------------------------

    def _start(self, chunks: int, rows: int | None) -> None:
        if not self._started:
            self._emit(StreamStarted(stream=self._stream.id, chunks=chunks, rows=rows))
        self._started = True

    def _checkpoint(self, snapshot: str, position: Position) -> None:
        self._emit(
            StreamCheckpoint(
                stream=self._stream.id,
                rows=self._totals.rows,
                bytes=self._totals.bytes,
                snapshot=snapshot,
                position=show_position(position),
            )
        )

    def _nothing_new(self, change: Change, now: Moment, known: Position) -> StreamCommitted:
        """End without a commit: the state alone learns that the table, as it is, is up to date."""
        head = _head(change)
        with server_errors(self._run.access):
            position = now.settled(wait=False)
        if position is None or head is None:
            return self._end(known, str(head or ""))
        return self._end(position.model_copy(update={"head": str(head)}), str(head))

    def _end(self, position: Position, snapshot: str) -> StreamCommitted:
        return StreamCommitted(
            stream=self._stream.id,
            rows=self._totals.rows,
            bytes=self._totals.bytes,
            files=self._totals.files,
            seconds=round(self._run.clock.monotonic() - self._totals.began, 3),
            snapshot=snapshot,
            position=show_position(position),
            policies=tuple(self._totals.policies),
        )


def _head(change: Change) -> int | None:
    head = change.staged.current_snapshot() if change.existing is not None else None
    return head.snapshot_id if head else None


def _may_repeat(table: Relation, ranges: Ranges) -> bool:
    """Whether a row may have moved from a finished range into another: a primary key never moves."""
    return tuple(c.name for c in ranges.columns) != table.primary_key


def _comparable(known: Position, now: Moment) -> bool:
    """Whether transaction ids of `known` mean the same now."""
    return (
        known.seen is not None
        and bool(known.storage)
        and (known.history, known.storage) == (now.position.history, now.position.storage)
        and versions.xmax(now.keeper.horizon) >= known.seen
    )

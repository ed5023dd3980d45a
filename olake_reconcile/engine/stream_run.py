"""One run of one stream that is read by a cursor: where its table stands, how it is committed to, what is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table.metadata import TableMetadata

from olake_reconcile.destinations.iceberg.catalog import load_table
from olake_reconcile.destinations.iceberg.change import Change, Conflict, append, open_change
from olake_reconcile.destinations.iceberg.files import WrittenFile
from olake_reconcile.destinations.iceberg.merge import merge
from olake_reconcile.destinations.iceberg.owner import is_older
from olake_reconcile.destinations.iceberg.position import position_of
from olake_reconcile.destinations.iceberg.target import Target, checked
from olake_reconcile.engine.base import Cancelled, Emit, StreamTask
from olake_reconcile.engine.continuity import require_table
from olake_reconcile.engine.load import Load, LoadCancelled, Run
from olake_reconcile.engine.moment import Moment
from olake_reconcile.errors import CannotGoOn, OutcomeUnknown, ReconcileError
from olake_reconcile.model.event import (
    Level,
    Logged,
    PolicyCount,
    Progress,
    StreamCheckpoint,
    StreamCommitted,
    StreamStarted,
)
from olake_reconcile.model.stream import NullCursor, WriteMode
from olake_reconcile.sources.postgres import cursor
from olake_reconcile.sources.postgres.catalog import Relation
from olake_reconcile.sources.postgres.position import VERSION, Position, read_position, show_position
from olake_reconcile.sources.postgres.read import server_errors
from olake_reconcile.sources.postgres.select import Selection, select

Commit = Callable[[Change, list[WrittenFile], Position], int | None]


@dataclass(slots=True)
class Totals:
    """What a run has committed so far."""

    began: float
    rows: int = 0
    bytes: int = 0
    files: int = 0
    policies: dict[Load, tuple[PolicyCount, ...]] = field(default_factory=dict)

    def add(self, files: Sequence[WrittenFile]) -> None:
        """Count files that were committed."""
        self.rows += sum(f.statistics.rows for f in files)
        self.bytes += sum(f.size for f in files)
        self.files += len(files)


class StreamRun:
    """What the phases of a stream's run share."""

    def __init__(
        self, run: Run, task: StreamTask, emit: Emit, cancelled: Cancelled, catalog: SqlCatalog
    ) -> None:
        self.run = run
        self.task = task
        self.stream = task.stream
        self.emit = emit
        self.cancelled = cancelled
        self.catalog = catalog
        self.threads = task.stream.threads or run.threads
        self.totals = Totals(run.clock.monotonic())
        self.read: Progress | None = None
        self._started = False
        self._serial = 0  # of the table's position

    def known(self) -> Position | None:
        """Return the position of the table's rows: the table knows first, the state what a run without news found.

        None when there is no table, or one of an earlier generation, which the first load replaces. Raises `NeedsResync`
        when the state knows of a completed load, and the table is not the one that it left.
        """
        found = load_table(self.catalog, self.task.place)
        require_table(self.task, found)
        metadata = checked(found, self.task.place, self.task.owner)
        if metadata is None or is_older(metadata.properties, self.task.owner):
            return None
        stored = position_of(metadata)
        if stored is not None and stored.get("version", VERSION) > VERSION:
            raise ReconcileError(
                f"the table {self.task.place} was written by a later release",
                why="Its position is in a form that this one does not know.",
                remedy="Use that release, or clear the stream.",
            )
        position = read_position(stored)
        self._serial = position.serial if position else 0
        state = read_position(self.task.position)
        if state is not None and state.head is not None and state.head == str(metadata.current_snapshot_id):
            return state
        return position

    def table(self) -> TableMetadata | None:
        """Return the metadata of our table. Raises `Blocked` when it is another's."""
        found = load_table(self.catalog, self.task.place)
        return checked(found, self.task.place, self.task.owner)

    def check(self, now: Moment) -> None:
        """Refuse what cannot be done before anything is read; count rows that no cursor finds."""
        selection = select(now.table, self.stream, now.keeper.opened_at)
        self.merge(now.table, selection)
        policy = self.stream.null_cursor
        if policy is NullCursor.RELOAD:
            return
        with server_errors(self.run.access):
            count = cursor.count_null(now.keeper.connection, now.table, now.cursors, selection.filter)
        cursor.refuse_null(now.table, now.cursors, count, policy)
        if count:
            message = (
                f"{count:,} rows have no cursor value: they are loaded once, and changes of them are not seen"
            )
            self.emit(Logged(level=Level.WARNING, message=message, stream=self.stream.id))

    def settled(self, now: Moment) -> Position:
        """Return the position after `now`, waiting until no crash of the server can undo what it has seen."""
        with server_errors(self.run.access):
            position = now.settled()
        assert position is not None
        return position

    def numbered(self, target: Target, position: Position) -> Position:
        """Return `position` as the next commit of `target` has it."""
        self._serial += 1
        return position.model_copy(update={"table": str(target.staged.table_uuid), "serial": self._serial})

    def unmoved(self, target: Target, position: Position) -> Position:
        """Return `position` as the state alone gets it: the table stays where it is."""
        return position.model_copy(update={"table": str(target.staged.table_uuid), "serial": self._serial})

    def open(self, selection: Selection) -> Change:
        """Look at the table as it is now. Raises `Conflict` when another runner moved it since its position was read."""
        change = open_change(
            self.catalog,
            self.run.house,
            self.task.place,
            self.task.owner,
            selection.columns,
            self.stream.partition_by,
            selection.destination_names,
            scratch=self.run.scratch,
        )
        stands = read_position(change.position)
        if stands is not None and stands.serial != self._serial:
            raise Conflict(
                f"another runner wrote to the table {self.task.place} meanwhile",
                why="This run began from an older position: writing now would repeat rows.",
                remedy="Nothing: the next run goes on from there.",
            )
        return change

    def append(self, change: Change, files: list[WrittenFile], position: Position) -> int | None:
        """Commit rows that are not there yet."""
        return append(self.catalog, change, files, self.run.run_id, show_position(position))

    def merge(self, table: Relation, selection: Selection, gone: pa.Table | None = None) -> Commit:
        """Return how rows that may be there already are committed, and `gone`, the keys of those that left the filter."""
        if self.stream.write_mode is WriteMode.APPEND:
            return self.append
        missing = [k for k in table.primary_key if k not in selection.destination_names]
        if not table.primary_key or missing:
            raise CannotGoOn(
                f"{self.stream.id} cannot be upserted: "
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
                self.catalog,
                change,
                files,
                key,
                self.run.run_id,
                show_position(position),
                deletes=gone,
                mode=self.stream.delete_mode,
            )

        return commit

    @contextmanager
    def committing(self, load: Load, files: list[WrittenFile]) -> Iterator[None]:
        """Count the files when they are committed; delete them when they are not."""
        try:
            if self.cancelled():
                raise LoadCancelled
            yield
        except OutcomeUnknown:
            raise  # the files may be the table's by now
        except BaseException:
            load.abandon()
            raise
        self.totals.add(files)
        self.totals.policies[load] = load.policy_counts()
        self.read = load.progress()

    def start(self, chunks: int, rows: int | None) -> None:
        """Say once that the stream begins."""
        if not self._started:
            self.emit(StreamStarted(stream=self.stream.id, chunks=chunks, rows=rows))
        self._started = True

    def checkpoint(self, snapshot: str, position: Position) -> None:
        """Tell of a commit that is not the last."""
        self.emit(
            StreamCheckpoint(
                stream=self.stream.id,
                rows=self.totals.rows,
                bytes=self.totals.bytes,
                snapshot=snapshot,
                position=show_position(position),
            )
        )

    def end(self, position: Position, snapshot: str) -> StreamCommitted:
        """Return what the run has come to."""
        return StreamCommitted(
            stream=self.stream.id,
            rows=self.totals.rows,
            bytes=self.totals.bytes,
            files=self.totals.files,
            seconds=round(self.run.clock.monotonic() - self.totals.began, 3),
            snapshot=snapshot,
            position=show_position(position),
            policies=_together(self.totals.policies.values()),
        )


def head_of(change: Change) -> int | None:
    """Return the snapshot that a change starts from."""
    head = change.staged.current_snapshot() if change.existing is not None else None
    return head.snapshot_id if head else None


def _together(counts: Iterable[Iterable[PolicyCount]]) -> tuple[PolicyCount, ...]:
    found: dict[PolicyCount, int] = {}
    for count in chain.from_iterable(counts):
        what = count.model_copy(update={"count": 0})
        found[what] = found.get(what, 0) + count.count
    return tuple(what.model_copy(update={"count": n}) for what, n in found.items())

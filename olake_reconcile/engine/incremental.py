"""One stream read by its cursor: a first load (`first_load.py`), then what is new or changed since.

The position is committed with the rows that it stands for, and read back from the table: a run that is killed anywhere
is as if it had stopped at its last commit. Rows are read from the lower bound on (`moment.py`), so the same row may
come again. What the last run has certainly read the server leaves out (`versions.py`); what it may have read, at or
below the greatest cursor seen, is compared with the table, and dropped when it is there with equal values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pyarrow as pa

from olake_reconcile.destinations.iceberg.catalog import open_catalog
from olake_reconcile.destinations.iceberg.change import Change
from olake_reconcile.destinations.iceberg.evolve import file_schema
from olake_reconcile.destinations.iceberg.overlap import absent
from olake_reconcile.engine.base import Cancelled, Emit, StreamTask
from olake_reconcile.engine.continuity import require_source
from olake_reconcile.engine.first_load import first_load, go_on
from olake_reconcile.engine.load import Load, Loaded, Piece, Run
from olake_reconcile.engine.moment import Moment, moment
from olake_reconcile.engine.stream_run import StreamRun, head_of
from olake_reconcile.model.event import StreamCommitted
from olake_reconcile.model.stream import Columns, NullCursor, WriteMode
from olake_reconcile.sources.postgres import cursor, versions
from olake_reconcile.sources.postgres.chunks import BATCH_ROWS, plan_chunks
from olake_reconcile.sources.postgres.position import Position
from olake_reconcile.sources.postgres.read import server_errors
from olake_reconcile.sources.postgres.select import Selection, select


def incremental(run: Run, task: StreamTask, emit: Emit, cancelled: Cancelled) -> StreamCommitted:
    """Bring one stream up to date. Raises `LoadCancelled`, or a `ReconcileError`; what was committed stays."""
    with open_catalog(run.house) as catalog:
        work = StreamRun(run, task, emit, cancelled, catalog)
        known = work.known()
        if known is None:
            return first_load(work)
        if known.backfill is None:
            return _pass(work, known)
        reached = go_on(work, known, known.backfill)
        return _pass(work, reached) if isinstance(reached, Position) else reached


def _pass(work: StreamRun, known: Position) -> StreamCommitted:
    """Read what is new or changed since `known`."""
    with moment(work.run, work.task, known, work.emit) as now:
        require_source(work.task, known, now.position, now.cursors)
        work.check(now)
        with server_errors(work.run.access):
            where, flag = _conditions(work, now, known)
            pieces = _pieces(work, now, where)
        selection = select(now.table, work.stream, now.keeper.opened_at, op_type="u", flag=flag)
        change = work.open(selection)
        work.start(max(1, len(pieces)), None)
        gone = _gone(work, now, change, pieces) if pieces and _may_leave(work, selection) else None
        load = Load(work.run, now.keeper, selection, work.task, BATCH_ROWS, work.read)
        # Without news no reader is started at all.
        loaded = load.read(change, pieces, work.emit, work.cancelled) if pieces else Loaded([], None, [])
        files = loaded.files
        commit = work.merge(now.table, selection, gone)
        with work.committing(load, files):
            if loaded.aside is not None and loaded.aside.rows:
                writer = load.writer("a")
                column = selection.destination_names[now.cursors.primary.name]
                for batch in absent(change, loaded.aside.batches(), column):
                    writer.write(batch)
                files.extend(writer.finish())
            if not files and not gone and not change.evolved:
                return _nothing_new(work, change, now, known)
            position = work.numbered(change, work.settled(now))
            snapshot = commit(change, files, position) or head_of(change)
        return work.end(position, str(snapshot or ""))


def _conditions(work: StreamRun, now: Moment, known: Position) -> tuple[str, str]:
    """Return which rows to read, and which of them the table may hold already."""
    cursors, connection = now.cursors, now.keeper.connection
    lower = [
        cursor.lower_bound(connection, one, [values[i] for values in known.bounds])
        for i, one in enumerate(cursors.all)
    ]
    where = f"({cursors.from_(lower)})"
    flag = f"({cursors.upto([m.top for m in known.marks])})"
    if cursors.may_be_null and work.stream.null_cursor is NullCursor.RELOAD:
        where = f"({where} OR ({cursors.all_null}))"
        flag = f"({flag} OR ({cursors.all_null}))"
    # Of rows without a key only the number of equal ones counts: all of them have to be compared.
    if now.table.primary_key and _comparable(known, now):
        assert known.seen is not None
        where += f" AND {versions.unseen(now.keeper.horizon, known.seen)}"
    return where, flag


def _may_leave(work: StreamRun, selection: Selection) -> bool:
    return bool(selection.filter) and work.stream.write_mode is WriteMode.UPSERT


def _gone(work: StreamRun, now: Moment, change: Change, pieces: Sequence[Piece]) -> pa.Table | None:
    """Return the keys of rows that changed and do not match the filter now: to the destination they are deleted."""
    keys = work.stream.model_copy(update={"columns": Columns(include=now.table.primary_key)})
    selection = select(now.table, keys, now.keeper.opened_at, op_type="d", flag="TRUE").outside_filter()
    format_ = dataclasses.replace(change.format, schema=file_schema(change.schema, selection.columns))
    load = Load(work.run, now.keeper, selection, work.task, BATCH_ROWS, work.read)
    narrow = dataclasses.replace(change, format=format_)
    aside = load.read(narrow, pieces, lambda event: None, work.cancelled).aside
    if aside is None or not aside.rows:
        return None
    names = [selection.destination_names[k] for k in now.table.primary_key]
    return pa.Table.from_batches(aside.batches()).select([*names, "_op_type", "_olake_timestamp"])


def _pieces(work: StreamRun, now: Moment, where: str) -> list[Piece]:
    """Return the statements that read `where`: without an index the whole table is read, then by all threads.

    With one a look tells whether there is anything to read; none when there is not.
    """
    connection, table = now.keeper.connection, now.table
    if cursor.has_index(connection, table, now.cursors.primary):
        return [(0, where)] if cursor.any_row(connection, table, where) else []
    plan = plan_chunks(connection, table, work.threads)
    conditions = [" AND ".join(c for c in (where, chunk.condition) if c) for chunk in plan.chunks]
    return list(enumerate(conditions))


def _nothing_new(work: StreamRun, change: Change, now: Moment, known: Position) -> StreamCommitted:
    """End without a commit: the state alone learns that the table, as it is, is up to date."""
    head = head_of(change)
    with server_errors(work.run.access):
        position = now.settled(wait=False)
    if position is None or head is None:
        return work.end(known, str(head or ""))
    position = work.unmoved(change, position)
    return work.end(position.model_copy(update={"head": str(head)}), str(head))


def _comparable(known: Position, now: Moment) -> bool:
    """Whether transaction ids of `known` mean the same now."""
    return (
        known.seen is not None
        and bool(known.storage)
        and (known.history, known.storage) == (now.position.history, now.position.storage)
        and versions.xmax(now.keeper.horizon) >= known.seen
    )

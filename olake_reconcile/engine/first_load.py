"""The first load of a stream that is read by a cursor: in ranges of its key, or in one commit.

The bookmark, from where later runs read, is taken before the first range. Ranges mean the same rows in every snapshot but
for what changed since the bookmark, so a load that was stopped goes on with those that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from olake_reconcile.destinations.iceberg import replace
from olake_reconcile.engine.continuity import same_source
from olake_reconcile.engine.load import Load
from olake_reconcile.engine.moment import Moment, moment, wait_for
from olake_reconcile.engine.stream_run import StreamRun, head_of
from olake_reconcile.model.event import StreamCommitted
from olake_reconcile.sources.postgres import key_ranges
from olake_reconcile.sources.postgres.catalog import Relation
from olake_reconcile.sources.postgres.chunks import plan_chunks
from olake_reconcile.sources.postgres.key_ranges import Ranges
from olake_reconcile.sources.postgres.position import Backfill, Position, show_position
from olake_reconcile.sources.postgres.read import server_errors
from olake_reconcile.sources.postgres.select import select

#: A first load commits what it has after so long, later after a tenth of the time that it has taken: whatever its
#: length, a kill costs little, and the table does not drown in snapshots.
CHECKPOINT_SECONDS = 30.0
CHECKPOINT_SHARE = 0.1


def first_load(work: StreamRun) -> StreamCommitted:
    """Load a table that has no position."""
    with _bookmark(work) as now:
        work.check(now)
        with server_errors(work.run.access):
            backfill = _ranges(work, now)
        if backfill is None:
            return whole(work, now)
        position, snapshot = _backfill(work, now, work.settled(now), backfill)
        return work.end(position, snapshot)


@contextmanager
def _bookmark(work: StreamRun) -> Iterator[Moment]:
    """Hold the first moment. What was in flight then has no floor: a little patience saves a second reading."""
    with ExitStack() as stack:
        now = stack.enter_context(moment(work.run, work.task, None, work.emit))
        if waiting := now.position.floors.keys():
            before = now.position
            stack.close()
            wait_for(work.run, set(waiting), work.cancelled)
            now = stack.enter_context(moment(work.run, work.task, before, work.emit))
        yield now


def _ranges(work: StreamRun, now: Moment) -> Backfill | None:
    """Return the ranges to load; None when the table is small, has no key, or must be replaced as a whole."""
    key = key_ranges.key_of(now.table, work.stream)
    if not key or work.table() is not None:
        return None
    backfill = key_ranges.cut(now.keeper.connection, now.table, key, work.threads)
    return backfill if backfill.cuts else None


def whole(work: StreamRun, now: Moment) -> StreamCommitted:
    """Load everything into one commit that replaces whatever there is."""
    table = now.table
    with server_errors(work.run.access):
        plan = plan_chunks(now.keeper.connection, table, work.threads)
    selection = select(table, work.stream, now.keeper.opened_at)
    target = replace.begin(
        work.catalog,
        work.run.house,
        work.task.place,
        work.task.owner,
        selection.columns,
        work.stream.partition_by,
        selection.destination_names,
    )
    work.start(len(plan.chunks), table.rows)
    load = Load(work.run, now.keeper, selection, work.task, plan.batch_rows)
    pieces = [(number, chunk.condition) for number, chunk in enumerate(plan.chunks)]
    loaded = load.read(target, pieces, work.emit, work.cancelled)
    with work.committing(load, loaded.files):
        position = work.numbered(target, work.settled(now))
        shown = show_position(position)
        snapshot = replace.commit(work.catalog, target, loaded.files, work.run.run_id, shown)
    return work.end(position, str(snapshot))


def go_on(work: StreamRun, known: Position, backfill: Backfill) -> Position | StreamCommitted:
    """Load the ranges that are left, as they are now; return from where what came since the load began is to be read.

    When the ranges mean nothing any more, or the source's table is another, it is loaded as a whole, and that is the end of the run.
    """
    with moment(work.run, work.task, known, work.emit) as now:
        same = known.of(now.cursors) and same_source(known, now.position)
        if not same or key_ranges.ranges(now.table, backfill) is None:
            return whole(work, now)
        work.check(now)
        tops = [m.top for m in now.position.marks]
        marks = [m.model_copy(update={"top": t}) for m, t in zip(known.marks, tops, strict=True)]
        bookmark = known.model_copy(update={"marks": tuple(marks)})
        position, _ = _backfill(work, now, bookmark, backfill, resumed=True)
    return position


def _backfill(
    work: StreamRun, now: Moment, bookmark: Position, backfill: Backfill, *, resumed: bool = False
) -> tuple[Position, str]:
    """Load the unfinished ranges, with a commit every now and then; return the position and snapshot at the end."""
    table = now.table
    ranges = key_ranges.ranges(table, backfill)
    assert ranges is not None
    selection = select(table, work.stream, now.keeper.opened_at)
    with server_errors(work.run.access):
        batch_rows = key_ranges.batch_rows(now.keeper.connection, table)
    load = Load(work.run, now.keeper, selection, work.task, batch_rows)
    pieces = [(number, ranges.condition(number)) for number in backfill.unfinished()]
    work.start(len(pieces), table.rows)
    commit = work.merge(table, selection) if resumed and _may_repeat(table, ranges) else work.append
    position = bookmark
    snapshot = ""
    while pieces:
        change = work.open(selection)
        loaded = load.read(change, pieces, work.emit, work.cancelled, _pause(work))
        backfill = backfill.finish(loaded.pieces)
        pieces = [(number, text) for number, text in pieces if number not in set(loaded.pieces)]
        position = bookmark.model_copy(update={"backfill": backfill if pieces else None})
        with work.committing(load, loaded.files):
            position = work.numbered(change, position)
            snapshot = str(commit(change, loaded.files, position) or head_of(change) or "")
        if pieces or resumed:
            work.checkpoint(snapshot, position)
    return position, snapshot


def _pause(work: StreamRun) -> Callable[[], bool]:
    now = work.run.clock.monotonic
    began = now()
    length = max(CHECKPOINT_SECONDS, CHECKPOINT_SHARE * (began - work.totals.began))
    return lambda: now() - began >= length


def _may_repeat(table: Relation, ranges: Ranges) -> bool:
    """Whether a row may have moved from a finished range into another: a primary key never moves."""
    return tuple(c.name for c in ranges.columns) != table.primary_key

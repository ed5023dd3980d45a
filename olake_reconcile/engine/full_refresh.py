"""One full refresh: every row of a table as of one moment, then one commit that replaces the destination's table.

Until the commit nothing of the load is visible. A load that fails or is cancelled deletes the files that it wrote.
"""

from __future__ import annotations

from olake_reconcile.destinations.iceberg import replace
from olake_reconcile.destinations.iceberg.catalog import open_catalog
from olake_reconcile.engine.base import Cancelled, Emit, StreamTask
from olake_reconcile.engine.load import Load, LoadCancelled, Run
from olake_reconcile.errors import OutcomeUnknown
from olake_reconcile.model.event import Level, Logged, StreamCommitted, StreamStarted
from olake_reconcile.sources.postgres.chunks import plan_chunks
from olake_reconcile.sources.postgres.read import keep_snapshot, server_errors
from olake_reconcile.sources.postgres.select import select


def full_refresh(run: Run, task: StreamTask, emit: Emit, cancelled: Cancelled) -> StreamCommitted:
    """Load one stream. Raises `LoadCancelled`, or a `ReconcileError` after which the old table is untouched."""
    began = run.clock.monotonic()
    stream = task.stream

    def tell(text: str) -> None:
        emit(Logged(level=Level.WARNING, message=text, stream=stream.id))

    with keep_snapshot(run.access) as keeper, open_catalog(run.house) as catalog:
        with server_errors(run.access):
            table = keeper.relation(stream.id, tell)
            plan = plan_chunks(keeper.connection, table, stream.threads or run.threads)
            hidden = keeper.filtered_by_policy(table)
        if hidden:
            message = (
                "row-level security hides rows of this table from the source's user: they are not replicated"
            )
            tell(message)
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
        load = Load(run, keeper, selection, task, plan.batch_rows)
        pieces = [(number, chunk.condition) for number, chunk in enumerate(plan.chunks)]
        files = load.read(target, pieces, emit, cancelled).files
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

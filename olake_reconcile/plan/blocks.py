"""What forbids an action, whoever consents: holds, pauses, tables that are not ours."""

from __future__ import annotations

from olake_reconcile.model.codec import place_of
from olake_reconcile.model.names import Address
from olake_reconcile.model.stored import StoredJob, StoredStream
from olake_reconcile.model.stream import Stream
from olake_reconcile.model.table import Owner, TableFacts, TablePlace
from olake_reconcile.plan.actions import Block
from olake_reconcile.plan.context import Context
from olake_reconcile.plan.words import written


def held(stored_job: StoredJob, consequence: str) -> tuple[Block, ...]:
    """Block what a held job may not do: `consequence` says what that means here."""
    if stored_job.hold is None:
        return ()
    why = f" ({stored_job.hold.why})" if stored_job.hold.why else ""
    return (
        Block(
            code="job-held",
            message=f"{stored_job.name} is held by {stored_job.hold.who}{why}, and a held job {consequence}",
            remedy=f"olake-reconcile resume {stored_job.name}",
        ),
    )


def not_runnable(wanted_active: bool, stored_job: StoredJob) -> tuple[Block, ...]:
    """Block a clear of a job that is held, or inactive and not to be activated by the same apply."""
    if stored_job.hold is not None:
        return held(stored_job, "clears nothing")
    if not stored_job.active and not wanted_active:
        return (
            Block(
                code="job-inactive",
                message=f"{stored_job.name} is inactive, and an inactive job clears nothing",
                remedy=f"Set `active: true` in job {stored_job.name}; the same apply may do both.",
            ),
        )
    return ()


def taken(
    context: Context, destination: str, place: TablePlace, stream_uid: str | None, new: Address | None = None
) -> tuple[Block, ...]:
    """Block when a table that is not this stream's stands where a new one is to be built.

    A stream that is `new` may adopt it instead.
    """
    status = context.observed.tables.get((destination, place))
    if not isinstance(status, TableFacts):
        return ()
    owner = status.owner
    if owner is not None and owner.project == context.desired.project.uid and owner.stream == stream_uid:
        return ()
    adoptable = new is not None and not (owner and is_deployed(context, owner))
    document = f"{{kind: Import, address: {written(new.short)}}}" if new and adoptable else ""
    return (
        Block(
            code="table-exists",
            message=f"table {place} exists in destination.{destination} and {_whose(context, owner)}: "
            "it would be overwritten",
            remedy="Choose another destination_table, "
            + (f"drop the table, or commit {document} to adopt it." if document else "or drop the table."),
        ),
    )


def not_ours(context: Context, destination: str, stored: StoredStream) -> tuple[Block, ...]:
    """Block the clear of a table that somebody has put in the place of the stream's own."""
    status = context.observed.tables.get((destination, stored.place))
    if not isinstance(status, TableFacts):
        return ()
    owner = status.owner
    if owner is not None and (owner.project, owner.stream) == (context.desired.project.uid, stored.uid):
        return ()
    return (
        Block(
            code="table-not-ours",
            message=f"table {stored.place} in destination.{destination} is another one than was loaded: "
            f"{_whose(context, owner)}",
            remedy="Drop it by hand if it may go, or put it somewhere else.",
        ),
    )


def is_deployed(context: Context, owner: Owner) -> bool:
    """Whether the marks are those of a stream that is stored: its table is taken by nobody."""
    return any(s.uid == owner.stream for j in context.stored.jobs.values() for s in j.streams.values())


def _whose(context: Context, owner: Owner | None) -> str:
    if owner is None:
        return "it is not ours"
    stream = f"/{owner.stream_id}" if owner.stream_id else ""
    if owner.project != context.desired.project.uid:
        return f"it belongs to job {owner.job}{stream} of project {owner.project}"
    environment = context.options.environment
    other = f" in environment {owner.environment}" if owner.environment != environment else ""
    return f"its marks say that it is of job {owner.job}{stream}{other}"


def moved_onto(context: Context, destination: str, stored: StoredStream, stream: Stream) -> tuple[Block, ...]:
    """Block when a stream that never synced is to be built where another table stands."""
    new = place_of(stream)
    return taken(context, destination, new, stored.uid) if new != stored.place else ()

"""Tables that exist and shall be a new stream's: adopted with no action on their data (design §4 and §6).

A file may say so (`kind: Import`). And where the state was lost, a table's own marks may: project, environment, job and
stream are those of the stream that is declared, and no stored stream has its uid.
"""

from __future__ import annotations

from olake_reconcile.model.codec import place_of
from olake_reconcile.model.desired import Imported
from olake_reconcile.model.job import Job
from olake_reconcile.model.names import Address
from olake_reconcile.model.stored import StoredJob
from olake_reconcile.model.stream import Stream, SyncMode, show_stream
from olake_reconcile.model.table import Owner, TableAbsent, TableFacts, TablePlace, TableStatus
from olake_reconcile.plan.actions import Block, Import
from olake_reconcile.plan.blocks import is_deployed
from olake_reconcile.plan.context import Context


def adoption(context: Context, job: Job, stored_job: StoredJob | None, stream: Stream) -> Import | None:
    """Return how a stream that is not stored takes over the table at its place; None when it is simply new."""
    address = Address.of_stream(job.name, stream.id)
    place = place_of(stream)
    status = context.observed.tables.get((job.destination, place))
    said = _said(context, address)
    owner = status.owner if isinstance(status, TableFacts) else None
    if said is None:
        if owner is None or not _is_its_own(context, owner, job, stream):
            return None
        note = "its own marks say that it is this stream's, and nothing is stored of it: it is taken back"
        return _import(context, address, stored_job, stream, owner, (note,), ())
    if said.address.kind == "job" and isinstance(status, TableAbsent):
        return None  # of a job's streams those are adopted that have a table
    blocked = _blocked(context, job, said, status, place)
    return _import(context, address, stored_job, stream, owner, _notes(context, owner, status), blocked)


def _said(context: Context, address: Address) -> Imported | None:
    around = (address, Address("job", address.name))
    return next((i for wanted in around for i in context.desired.imports if i.address == wanted), None)


def _is_ours(context: Context, owner: Owner) -> bool:
    return (owner.project, owner.environment) == (
        context.desired.project.uid,
        context.options.environment,
    )


def _is_its_own(context: Context, owner: Owner, job: Job, stream: Stream) -> bool:
    fits = owner.job == job.name and owner.stream_id in ("", str(stream.id))
    return fits and _is_ours(context, owner) and not is_deployed(context, owner)


def _import(
    context: Context,
    address: Address,
    stored_job: StoredJob | None,
    stream: Stream,
    owner: Owner | None,
    notes: tuple[str, ...],
    blocked: tuple[Block, ...],
) -> Import:
    ours = owner is not None and _is_ours(context, owner)
    if stream.sync_mode is SyncMode.FULL_REFRESH:
        notes = (*notes, "its rows stay until the next run of full_refresh replaces them")
    return Import(
        address=address,
        after=show_stream(stream),
        table=place_of(stream),
        uid=owner.stream if ours and owner else "",
        generation=owner.generation if ours and owner else 1,
        notes=notes,
        blocked=blocked,
        serial=stored_job.serial if stored_job else 0,
        place=context.desired.origins.place(address),
    )


def _notes(context: Context, owner: Owner | None, status: TableStatus | None) -> tuple[str, ...]:
    if not isinstance(status, TableFacts):
        return ()
    if owner is None:
        return ("the table was not made by this program: whatever else writes to it must stop",)
    if not _is_ours(context, owner):
        whose = f"job {owner.job} of project {owner.project}"
        return (f"the table is taken over from {whose}, which can write to it no longer",)
    return ()


def _blocked(
    context: Context, job: Job, said: Imported, status: TableStatus | None, place: TablePlace
) -> tuple[Block, ...]:
    where = f"destination.{job.destination}"
    if said.table is not None and said.table != place:
        return (
            Block(
                code="import-elsewhere",
                message=f"the stream writes to {place}, and {said.table} is to be imported",
                remedy=f"Set destination_database: {said.table.database} and destination_table: {said.table.table}.",
            ),
        )
    if isinstance(status, TableAbsent):
        return (
            Block(
                code="import-nothing",
                message=f"there is no table {place} in {where} to import",
                remedy="Take the Import document out: the stream is loaded anew.",
            ),
        )
    if not isinstance(status, TableFacts):
        return (
            Block(
                code="import-unknown",
                message=f"nobody could look whether table {place} exists in {where}",
                remedy="Plan again without --no-refresh while the destination can be reached.",
            ),
        )
    if status.owner is not None and _is_ours(context, status.owner) and is_deployed(context, status.owner):
        return (
            Block(
                code="import-taken",
                message=f"table {place} belongs to a deployed stream of job {status.owner.job}",
                remedy="Use kind: Moved, or remove that stream first.",
            ),
        )
    return ()

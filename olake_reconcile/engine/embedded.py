"""The embedded engine: PostgreSQL into Iceberg within this process, without OLake.

Heavy libraries are imported inside the methods: building an engine costs nothing until it moves data.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from olake_reconcile.clock import Clock, SystemClock
from olake_reconcile.engine.base import (
    Cancelled,
    Checked,
    ClearTicket,
    Emit,
    MaintenanceRequest,
    OpenDestination,
    OpenSource,
    StreamTask,
    SyncRequest,
)
from olake_reconcile.errors import CannotGoOn, NeedsResync, OutcomeUnknown, ReconcileError
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.event import Event, StreamCancelled, StreamFailed
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.model.stream import SyncMode
from olake_reconcile.model.table import Owner, TablePlace, TableStatus

if TYPE_CHECKING:
    from olake_reconcile.engine.load import Run

SYNC_MODES = (SyncMode.FULL_REFRESH, SyncMode.INCREMENTAL)

log = logging.getLogger(__name__)


class EmbeddedEngine:
    """The `Engine` that does the work itself."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    def check_source(self, source: OpenSource) -> Checked:
        """Connect, and say what the server is."""
        from olake_reconcile.sources.postgres import connection, discover, read

        with (
            connection.open_access(source.config) as access,
            closing(access.connect()) as server,
            read.server_errors(access),
        ):
            return Checked(
                identity=discover.identity(server),
                description=discover.describe(server),
                warnings=discover.warnings(server),
            )

    def check_destination(self, destination: OpenDestination) -> Checked:
        """Make sure that catalog and warehouse can be written."""
        from olake_reconcile.destinations.iceberg import catalog

        house = catalog.lakehouse(destination.config, destination.base)
        return Checked(identity=house.identity, description=catalog.check(house))

    def discover(self, source: OpenSource) -> Catalogue:
        """Return every stream that the user of `source` may read."""
        from olake_reconcile.sources.postgres import connection, discover, read

        with (
            connection.open_access(source.config) as access,
            closing(access.connect()) as server,
            read.server_errors(access),
        ):
            return discover.discover(server, source.config.schemas)

    def observe(
        self, destination: OpenDestination, places: Sequence[TablePlace]
    ) -> Mapping[TablePlace, TableStatus]:
        """Return what the destination's metadata says of each place."""
        from olake_reconcile.destinations.iceberg import catalog, facts

        return facts.observe(catalog.lakehouse(destination.config, destination.base), places)

    def missing(self, destination: OpenDestination, places: Sequence[TablePlace]) -> frozenset[TablePlace]:
        """Return those of `places` where there is no table."""
        from olake_reconcile.destinations.iceberg import catalog, facts

        return facts.missing(catalog.lakehouse(destination.config, destination.base), places)

    def sync(self, request: SyncRequest, emit: Emit, cancelled: Cancelled) -> None:
        """Run every task, one after the other; each ends in exactly one event."""
        from olake_reconcile.destinations.iceberg.catalog import lakehouse
        from olake_reconcile.engine.load import Run
        from olake_reconcile.sources.postgres.connection import open_access
        from olake_reconcile.sources.postgres.read import Scanner

        with ExitStack() as stack:
            try:
                house = lakehouse(request.destination.config, request.destination.base)
                access = stack.enter_context(open_access(request.source.config, request.scratch))
                scanner = stack.enter_context(closing(Scanner(access, request.scratch)))
            except ReconcileError as error:
                for task in request.tasks:
                    emit(_failed(task, error))
                return
            run = Run(
                run_id=request.run_id,
                access=access,
                scanner=scanner,
                house=house,
                threads=request.threads,
                clock=self._clock,
                scratch=request.scratch,
            )
            for task in request.tasks:
                emit(_run_task(run, task, emit, cancelled))

    def maintain(self, request: MaintenanceRequest, emit: Emit, cancelled: Cancelled) -> None:
        """Put the tables in order, one after the other; each ends in exactly one event."""
        from olake_reconcile.engine.maintenance import maintain

        maintain(request, emit, cancelled, self._clock)

    def adopt(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> None:
        """Make the table at `place` that of `owner`, in a commit of properties alone."""
        from olake_reconcile.destinations.iceberg import adopt, catalog

        adopt.adopt(catalog.lakehouse(destination.config, destination.base), place, owner)

    def heal(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> None:
        """Write the marks of `owner` and our properties again, in a commit of properties alone."""
        from olake_reconcile.destinations.iceberg import catalog, heal

        heal.heal(catalog.lakehouse(destination.config, destination.base), place, owner)

    def prepare_clear(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> ClearTicket:
        """Look up what clearing `place` would delete."""
        from olake_reconcile.destinations.iceberg import catalog, clear

        house = catalog.lakehouse(destination.config, destination.base)
        return ClearTicket(place=place, metadata=clear.find(house, place, owner))

    def clear(self, destination: OpenDestination, ticket: ClearTicket) -> None:
        """Remove the table of the ticket with all its files; done again it finishes what is left."""
        from olake_reconcile.destinations.iceberg import catalog, clear

        if ticket.metadata is not None:
            house = catalog.lakehouse(destination.config, destination.base)
            clear.clear(house, ticket.place, ticket.metadata)


def _run_task(run: Run, task: StreamTask, emit: Emit, cancelled: Cancelled) -> Event:
    from olake_reconcile.engine.disk import is_full, out_of_space
    from olake_reconcile.engine.full_refresh import full_refresh
    from olake_reconcile.engine.incremental import incremental
    from olake_reconcile.engine.interrupt import interrupting
    from olake_reconcile.engine.load import LoadCancelled
    from olake_reconcile.sources.postgres.read import SourceError

    if cancelled():
        return StreamCancelled(stream=task.stream.id)
    try:
        _require_supported(task)
        load = incremental if task.stream.sync_mode is SyncMode.INCREMENTAL else full_refresh
        with interrupting(run.access, cancelled) as interrupted:
            try:
                return load(run, task, emit, cancelled)
            except SourceError:
                if interrupted.is_set():
                    raise LoadCancelled from None
                raise
    except LoadCancelled:
        return StreamCancelled(stream=task.stream.id)
    except ReconcileError as error:
        return _failed(task, error)
    except Exception as error:
        if is_full(error):
            return _failed(task, out_of_space(run.access.redact(str(error))))
        # A fault of ours in one stream must not take the others of an unattended job down with it.
        log.exception("load failed unexpectedly", extra={"action": "load_bug", "stream": str(task.stream.id)})
        summary = run.access.redact(f"unexpected {type(error).__name__}: {error}")
        return StreamFailed(
            stream=task.stream.id,
            summary=summary,
            remedy="This is a fault of olake-reconcile; the log has more.",
        )


def _require_supported(task: StreamTask) -> None:
    if task.stream.sync_mode not in SYNC_MODES or not task.stream.normalization:
        raise ReconcileError(
            f"{task.stream.id}: the embedded engine does full_refresh and incremental with normalization, so far",
            remedy="Set sync_mode: incremental or full_refresh, and normalization: true.",
        )


def _failed(task: StreamTask, error: ReconcileError) -> StreamFailed:
    return StreamFailed(
        stream=task.stream.id,
        summary=error.summary,
        why=error.why,
        remedy=error.remedy,
        retryable=error.retryable,
        unsure=isinstance(error, OutcomeUnknown),
        # What was never loaded is in nobody's way: other settings change it in place, with nothing to clear.
        becomes=_phase_after(error) if task.position else None,
    )


def _phase_after(error: ReconcileError) -> StreamPhase | None:
    if isinstance(error, NeedsResync):
        return StreamPhase.NEEDS_RESYNC
    return StreamPhase.QUARANTINED if isinstance(error, CannotGoOn) else None

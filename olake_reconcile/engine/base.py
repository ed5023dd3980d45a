"""The port behind which data moves (design §8). One contract suite runs over every adapter.

An engine keeps nothing between calls. What must survive, the caller stores: positions from
`StreamCommitted`, tickets from `prepare_clear`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.config import IcebergConfig, PostgresConfig
from olake_reconcile.model.event import Event
from olake_reconcile.model.maintenance import Maintenance
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stream import Stream
from olake_reconcile.model.table import Owner, TablePlace, TableStatus


class OpenSource(Model):
    """A source with its references resolved. Lives in memory only; its repr shows no secret."""

    name: str
    config: PostgresConfig


class OpenDestination(Model):
    """A destination with its references resolved. Relative paths in its config start at `base`."""

    name: str
    config: IcebergConfig
    base: Path


class Checked(Model):
    """A reachable endpoint: what it says it is, for people (`description`) and for comparing (`identity`)."""

    identity: str
    description: str
    warnings: tuple[str, ...] = ()


class StreamTask(Model):
    """One stream of a run: settings, the table to write, whose it is, and where the last run ended."""

    stream: Stream
    place: TablePlace
    owner: Owner
    position: dict[str, Any] = Field(default_factory=dict)


class SyncRequest(Model):
    """One run of a job. `scratch` is an existing empty folder for temporary files; the caller removes it."""

    run_id: str
    source: OpenSource
    destination: OpenDestination
    tasks: tuple[StreamTask, ...]
    threads: int
    scratch: Path


class MaintenanceTask(Model):
    """One table to maintain: whose it is, and how."""

    stream: StreamId
    place: TablePlace
    owner: Owner
    settings: Maintenance = Maintenance()


class MaintenanceRequest(Model):
    """Maintenance of a job's tables. `scratch` is an existing empty folder; the caller removes it."""

    run_id: str
    destination: OpenDestination
    tasks: tuple[MaintenanceTask, ...]
    scratch: Path


class ClearTicket(Model):
    """What a clear will delete, looked up before it starts so that a killed clear can be finished.

    `metadata` is where the table's metadata was found; None when there was no table.
    """

    place: TablePlace
    metadata: str | None


Emit = Callable[[Event], None]
Cancelled = Callable[[], bool]


class Engine(Protocol):
    """Checks, discovers, moves and clears. Raises `Unreachable` when a server does not answer."""

    def check_source(self, source: OpenSource) -> Checked:
        """Connect, and say what the server is. Changes nothing."""
        ...

    def check_destination(self, destination: OpenDestination) -> Checked:
        """Connect, make sure that writing will be possible, and say what it is. Leaves nothing behind."""
        ...

    def discover(self, source: OpenSource) -> Catalogue:
        """Return every stream that the user of `source` may read. Changes nothing."""
        ...

    def observe(
        self, destination: OpenDestination, places: Sequence[TablePlace]
    ) -> Mapping[TablePlace, TableStatus]:
        """Return what the destination's metadata says of each place. Reads no data, never raises for one table."""
        ...

    def missing(self, destination: OpenDestination, places: Sequence[TablePlace]) -> frozenset[TablePlace]:
        """Return those of `places` where there is no table. Asks the catalog alone, once for all of them.

        Raises `ReconcileError` when it does not answer.
        """
        ...

    def sync(self, request: SyncRequest, emit: Emit, cancelled: Cancelled) -> None:
        """Run every task, and emit exactly one of `StreamCommitted`, `StreamFailed`, `StreamCancelled` for each.

        One stream's failure does not stop the others. A full refresh shows its old rows or all its new ones; other modes
        commit as they go, each time with a position and a `StreamCheckpoint`, and go on from the table's own position,
        whatever the task's says. A run that finds nothing new commits nothing.
        Refuses (StreamFailed) a table whose owner is another than the task's. When the source cannot be
        reached at all, every stream fails; nothing is raised. `cancelled` is asked often; after it has said
        yes no further commit starts. A task may be repeated after any crash.
        """
        ...

    def maintain(self, request: MaintenanceRequest, emit: Emit, cancelled: Cancelled) -> None:
        """Put the tables in order, and emit exactly one of `StreamCommitted`, `StreamFailed`, `StreamCancelled` for each.

        Rows, position and owner stay as they are; what a reader has begun on can be read for the grace time. Runs may
        write meanwhile: whoever commits first wins. The work of one call is bounded, what is left is for the next; done
        again it finds little to do. A table that is not there is committed without rows. Refuses (StreamFailed) a table
        of another owner. `cancelled` is asked often; what was committed by then stays.
        """
        ...

    def adopt(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> None:
        """Make the table at `place`, whoever made it, that of `owner`: its marks are written, no row is touched.

        Done again it changes nothing. Raises `ReconcileError` when there is no table, or when somebody else
        changed it at the same moment.
        """
        ...

    def heal(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> None:
        """Write the marks of `owner` and our settings onto the table at `place` again; no row is touched.

        Done again it changes nothing. Raises `Blocked` for a table that bears the marks of another or holds no commit of
        ours, `ReconcileError` when there is none, or when somebody else changed it at the same moment.
        """
        ...

    def prepare_clear(self, destination: OpenDestination, place: TablePlace, owner: Owner) -> ClearTicket:
        """Look up what clearing `place` would delete. Changes nothing.

        Raises `Blocked` when a table is there that is not `owner`'s (project, environment and stream count;
        job and generation do not: a table keeps its stream through renames).
        """
        ...

    def clear(self, destination: OpenDestination, ticket: ClearTicket) -> None:
        """Remove the table of the ticket with all its files; done again it finishes what is left.

        A table that took the place since (its metadata is not a successor of the ticket's) is left alone.
        """
        ...

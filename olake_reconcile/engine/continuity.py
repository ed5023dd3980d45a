"""Whether a stream can go on from where the state says that it stands (H-31, H-55).

Changes alone mean nothing without the rows that they follow. So a stream that was loaded needs the very table that it
was loaded into, standing no earlier than the state knows, and the very relation that it was loaded from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from olake_reconcile.destinations.iceberg.owner import owner_of
from olake_reconcile.destinations.iceberg.position import position_of
from olake_reconcile.engine.base import StreamTask
from olake_reconcile.errors import NeedsResync
from olake_reconcile.model.stored import completed
from olake_reconcile.model.stream import WriteMode
from olake_reconcile.sources.postgres.cursor import Cursors
from olake_reconcile.sources.postgres.position import Position, read_position

if TYPE_CHECKING:
    from pyiceberg.table import Table

_PROPOSED = "Run `olake-reconcile plan`: it proposes to rebuild the stream."
_NOT_CLEARED = (
    "Drop that table by hand if it may go, or put it somewhere else; then run `olake-reconcile plan`, which proposes "
    "to rebuild the stream."
)


def require_table(task: StreamTask, table: Table | None) -> None:
    """Raise `NeedsResync` when `table` is not what a completed load has left; anything is good before there was one."""
    if not completed(task.position):
        return
    if what := _table_trouble(task, table):
        raise _needs_resync(task, *what)


def _table_trouble(task: StreamTask, table: Table | None) -> tuple[str, str] | None:
    """Return what is wrong with the table, and what to do about it."""
    place, owner = task.place, task.owner
    if table is None:
        return f"the table {place} is gone", _PROPOSED
    known, stands = read_position(task.position), read_position(position_of(table.metadata))
    uuid = str(table.metadata.table_uuid)
    found = owner_of(table.properties)
    if found is None and known is not None and known.table == uuid:
        return None  # it has lost its marks alone: refused as it is, and it may be given them back
    if found is None:
        return f"the table {place} is another one than was loaded, and not ours", _NOT_CLEARED
    if (found.project, found.environment, found.stream) != (owner.project, owner.environment, owner.stream):
        whose = f"job {found.job}, project {found.project}, environment {found.environment}"
        return f"the table {place} is another one than was loaded, and belongs to {whose}", _NOT_CLEARED
    if found.generation != owner.generation:
        what = f"the table {place} is of generation {found.generation}, and {owner.generation} was loaded"
        return what, f"Look for a second state store or an old runner of this project first. {_PROPOSED}"
    if known is None:
        return None
    if known.table and known.table != uuid:
        return f"the table {place} was dropped and made again by somebody", _PROPOSED
    if stands is None or stands.serial < known.serial:
        return f"the table {place} was rolled back, or its position was removed", _PROPOSED
    return None


def same_source(known: Position, now: Position) -> bool:
    """Whether the relation of `now` is the one that was read up to `known`, with the same key.

    Where the server itself is another, somebody has vouched for its being the same (`identity: same`).
    """
    return source_trouble(known, now, keyed=True) is None


def source_trouble(known: Position, now: Position, *, keyed: bool) -> str | None:
    """Return in which way the source is not the one that was read; `keyed` says that rows are found by their key."""
    server, _, _ = known.history.partition("@")
    same_server = server != "" and server == now.history.partition("@")[0]
    if same_server and known.relation and now.relation and known.relation != now.relation:
        return "was dropped and created again at the source (or restored from a dump)"
    if keyed and known.key and now.key and known.key != now.key:
        return f"has another primary key now: {', '.join(now.key)}, and it was {', '.join(known.key)}"
    return None


def require_source(task: StreamTask, known: Position, now: Position, cursors: Cursors) -> None:
    """Raise `NeedsResync` when the source's table is not the one that was read up to `known`."""
    stream = task.stream
    trouble = source_trouble(known, now, keyed=stream.write_mode is WriteMode.UPSERT)
    if trouble is None and not known.of(cursors):
        was = ", ".join(f"{m.column} ({m.type})" for m in known.marks)
        trouble = (
            f"is read by {', '.join(f'{c.name} ({c.family})' for c in cursors.all)} now, and was by {was}"
        )
    if trouble:
        raise _needs_resync(task, f"{stream.id} {trouble}", _PROPOSED)


def _needs_resync(task: StreamTask, what: str, remedy: str) -> NeedsResync:
    return NeedsResync(
        what,
        why="The position tells what comes after rows that are not there any more: going on would lose rows, "
        "and starting over is for somebody to decide.",
        remedy=remedy,
    )

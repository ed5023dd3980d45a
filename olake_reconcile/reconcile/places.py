"""Before a table is dropped for a move: is its new place still free?

The plan looks too, but it may have been made without a connection, or some time ago; and by the time the next sync
finds a stranger's table at the new place, the old one is gone.
"""

from __future__ import annotations

from collections.abc import Sequence

from olake_reconcile.engine.base import OpenDestination
from olake_reconcile.errors import Blocked
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StoredJob, StoredStream
from olake_reconcile.model.table import Owner, TableFacts, TableUnknown
from olake_reconcile.plan.actions import Action, Rebuild, is_clear
from olake_reconcile.reconcile.services import Services


def moves(actions: Sequence[Action]) -> list[Rebuild]:
    """Return the rebuilds that build at another place, but for places that the same job clears now."""
    freed = {a.old for a in actions if isinstance(a, Rebuild) and is_clear(a)}
    return [a for a in actions if isinstance(a, Rebuild) and a.old != a.new and a.new not in freed]


def refuse_taken_places(
    services: Services, destination: OpenDestination, job: StoredJob, project: str, moved: Sequence[Rebuild]
) -> None:
    """Raise `Blocked` when somebody else's table stands where one is to be built, or when nobody can tell."""
    statuses = services.engine.observe(destination, [action.new for action in moved])
    for action in moved:
        status = statuses[action.new]
        stream = job.streams.get(StreamId.parse(action.address.stream))
        if isinstance(status, TableUnknown):
            raise Blocked(
                f"nobody can tell whether {action.new} is free: {status.reason}",
                why=f"{action.address.short} is to be built there, and its table would be dropped first.",
                remedy="Apply again once the destination answers.",
            )
        if isinstance(status, TableFacts) and not _is_ours(status.owner, project, stream):
            raise Blocked(
                f"table {action.new}, where {action.address.short} is to be built, is somebody else's",
                why="Its old table was not dropped.",
                remedy="Choose another destination_table, or drop the table.",
            )


def _is_ours(owner: Owner | None, project: str, stream: StoredStream | None) -> bool:
    return owner is not None and stream is not None and (owner.project, owner.stream) == (project, stream.uid)

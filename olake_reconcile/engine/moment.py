"""One moment of a source that is read by cursors: a snapshot, and the position that reading it leads to.

What makes the next run's lower bound safe (H-1). Cursor values are taken, from a clock or a sequence, after their
transaction has begun. So a transaction that was first seen in flight at this moment, and was not at the last, has no
value below the greatest one of the last moment: that is its floor, and it keeps it while it lasts. One that is not in
flight now and begins later has none below the greatest one of now. The least of these is where the next run begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Event as Flag
from typing import Protocol

from olake_reconcile.clock import Clock
from olake_reconcile.engine.base import Emit, StreamTask
from olake_reconcile.engine.load import Run
from olake_reconcile.model.event import Level, Logged
from olake_reconcile.sources.postgres import cursor, in_flight, versions
from olake_reconcile.sources.postgres.catalog import Relation
from olake_reconcile.sources.postgres.connection import Connection
from olake_reconcile.sources.postgres.cursor import Cursors, Highest
from olake_reconcile.sources.postgres.in_flight import PREPARED, Window
from olake_reconcile.sources.postgres.position import Mark, Position, Values
from olake_reconcile.sources.postgres.read import Keeper, keep_snapshot, server_errors
from olake_reconcile.sources.postgres.versions import LogEnd

#: How long a first load waits for transactions that began before it: each that goes on makes the next run read the
#: whole table once more at the server.
PATIENCE_SECONDS = 5.0
#: After this a transaction that holds the lower bound back is told of.
LONG = timedelta(hours=1)
#: Transactions that began and ended around the snapshot, without being listed.
_UNLISTED = "*"
#: Kinds of relations that hold rows themselves: made again, they are others. A view is what it shows.
_WITH_ROWS = ("r", "p", "m")
#: Bytes above which a scan of the whole table is worth a word.
LARGE = 64 << 20


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot that is held, the table in it, and the position after it was read."""

    keeper: Keeper
    table: Relation
    cursors: Cursors
    position: Position
    _clock: Clock
    _log_end: LogEnd
    _taken: float

    def settled(self, *, wait: bool = True) -> Position | None:
        """Return the position with what the snapshot has certainly seen, once a crash of the server cannot undo that.

        That takes a moment when the server is idle. None: it is not there yet, and the caller does not `wait`.
        """
        if not self.position.storage:
            return self.position
        while not versions.is_durable(
            self.keeper.connection, self._log_end, self._clock.monotonic() - self._taken
        ):
            if not wait:
                return None
            self._clock.wait(0.02, Flag())
        return self.position.model_copy(update={"seen": versions.xmin(self.keeper.horizon)})


@contextmanager
def moment(run: Run, task: StreamTask, previous: Position | None, emit: Emit) -> Iterator[Moment]:
    """Hold a snapshot for the length of a `with` block. `previous` is where the last run left off."""

    def tell(text: str) -> None:
        emit(Logged(level=Level.WARNING, message=text, stream=task.stream.id))

    with ExitStack() as stack:
        with server_errors(run.access):
            now, messages = _look(run, task, previous, stack, tell)
        for message in messages:
            tell(message)
        yield now


def _look(
    run: Run, task: StreamTask, previous: Position | None, stack: ExitStack, tell: Callable[[str], None]
) -> tuple[Moment, list[str]]:
    with closing(run.access.connect()) as control:
        seen = Window(control)
        keeper = stack.enter_context(keep_snapshot(run.access))
        seen.close()
        taken, log_end = run.clock.monotonic(), versions.log_end(keeper.connection)
        table = keeper.relation(task.stream.id, tell)
        cursors = cursor.cursors_of(table, task.stream)
        if previous is not None and not previous.of(cursors):
            previous = None
        highest = cursor.highest(keeper.connection, table, cursors)
        found = _position(keeper.connection, table, cursors, highest, previous, seen)
        # Not within the snapshot's transaction: a server that forbids to be asked would end it.
        found = found.model_copy(update={"history": versions.history_of(control)})
        warnings = [*_at_hand(keeper, table, cursors, seen), *_gone_back(keeper, cursors, highest, previous)]
    return Moment(keeper, table, cursors, found, run.clock, log_end, taken), warnings


def wait_for(run: Run, keys: set[str], cancelled: Callable[[], bool]) -> None:
    """Wait a little for transactions to end."""
    until = run.clock.monotonic() + PATIENCE_SECONDS
    with closing(run.access.connect()) as control, server_errors(run.access):
        while keys & in_flight.list_transactions(control).keys():
            if cancelled() or run.clock.monotonic() >= until:
                return
            run.clock.wait(0.05, Flag())


def _position(
    connection: Connection,
    table: Relation,
    cursors: Cursors,
    highest: Sequence[Highest],
    previous: Position | None,
    seen: Window,
) -> Position:
    marks = []
    before = previous.marks if previous else [Mark(column=c.name, type=c.family) for c in cursors.all]
    for one, old, found in zip(cursors.all, before, highest, strict=True):
        marks.append(
            Mark(
                column=one.name,
                type=one.family,
                # Neither is ever lowered (H-8): what was read stays read.
                value=cursor.greatest(connection, one, [old.value, found.believed]),
                top=cursor.greatest(connection, one, [old.top, found.top]),
            )
        )
    return Position(
        marks=tuple(marks),
        floors=floors(previous, tuple(m.value for m in before), seen),
        storage=versions.storage_of(connection, table),
        relation=table.oid if table.kind in _WITH_ROWS else 0,
        key=table.primary_key,
    )


class Listed(Protocol):
    """What was in flight: by key, and whether others may have come and gone unlisted."""

    @property
    def transactions(self) -> Mapping[str, object]:
        """Those that were seen."""
        ...

    @property
    def unlisted(self) -> bool:
        """Whether there may have been others."""
        ...


def floors(previous: Position | None, base: Values, seen: Listed) -> dict[str, tuple[Values, ...]]:
    """Return what rows of transactions in flight cannot be below; `base` is the greatest of the last moment."""
    known = previous.floors if previous else {}
    found = {}
    for key in seen.transactions:
        if key in known:
            found[key] = known[key]
        elif key.startswith(PREPARED) and previous is not None:
            # It may be any of those that ran at the last moment: preparing takes the virtual id away.
            found[key] = previous.bounds
        else:
            found[key] = (base,)
    if seen.unlisted:
        found[_UNLISTED] = (base,)
    return found


def _at_hand(keeper: Keeper, table: Relation, cursors: Cursors, seen: Window) -> Iterator[str]:
    if keeper.filtered_by_policy(table):
        yield "row-level security hides rows of this table from the source's user: they are not replicated"
    if seen.standby:
        yield (
            "the source is a standby, which does not show what runs on its primary: rows of a transaction there that is "
            "open for longer than from one run to the next but one may be missed. Read the primary if there are such"
        )
    if (table.bytes or 0) > LARGE and not cursor.has_index(keeper.connection, table, cursors.primary):
        yield (
            f"no index begins with the cursor {cursors.primary.name}: every run reads the whole table at the server"
        )
    for one in seen.transactions.values():
        if one.since is not None and keeper.opened_at - one.since > LONG:
            who = (
                f"of process {one.pid}"
                if one.pid
                else f"{one.key.removeprefix(PREPARED)}, which is prepared,"
            )
            yield (
                f"the transaction {who} is open since {one.since:%Y-%m-%d %H:%M}: rows written since are read "
                "again by every run until it ends"
            )


def _gone_back(
    keeper: Keeper, cursors: Cursors, highest: Sequence[Highest], previous: Position | None
) -> Iterator[str]:
    for one, found, old in zip(cursors.all, highest, previous.marks if previous else (), strict=False):
        if old.top is None:
            continue
        if found.top is None or cursor.is_below(keeper.connection, one, found.top, old.top):
            yield (
                f"the greatest {one.name} of the source is {found.top or 'NULL'}, below {old.top}, which was read "
                "already: rows were deleted, or the table was restored. Rows that are written below it will not be "
                "found; if there are any, clear the stream"
            )

"""The queue of runs: what is due, what waits, and who starts it. However many loops there are, each thing happens once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from olake_reconcile.model.queue import Agenda, Serving, waits_since
from olake_reconcile.model.run import Holder, Run, RunStatus, RunType, Trigger
from olake_reconcile.model.stored import StoredJob
from olake_reconcile.state.sqlite import SqliteDatabase
from olake_reconcile.state.tables import holds, jobs, runs

_UNFINISHED = tuple(status.value for status in RunStatus if not status.is_final)
_SYNC = runs.c.type == RunType.SYNC.value


class QueueTables:
    """The queue of a store."""

    _database: SqliteDatabase

    def agenda(self, now: datetime) -> Agenda:
        """Return what there is to do at `now`, in one consistent view."""
        in_force = holds.c.until.is_(None) | (holds.c.until > now)
        held = sa.select(holds.c.job).where(in_force)
        due = sa.select(jobs).where(jobs.c.due <= now, jobs.c.name.not_in(held))
        unfinished = sa.select(runs).where(runs.c.status.in_(_UNFINISHED), _SYNC)
        with self._database.read() as connection:
            if connection is None:
                return Agenda()
            found = [_run(row) for row in connection.execute(unfinished)]
            return Agenda(
                due=tuple(_job(row) for row in connection.execute(due.order_by(jobs.c.due, jobs.c.name))),
                waiting=tuple(sorted((r for r in found if r.status is RunStatus.QUEUED), key=waits_since)),
                running=tuple(r for r in found if r.status is RunStatus.RUNNING),
                held=frozenset(connection.scalars(held)),
            )

    def serve(self, servings: Sequence[Serving]) -> Sequence[str]:
        """Queue runs for due times and move these on; return the jobs for which this was done."""
        done = []
        with self._database.write() as connection:
            busy = set(connection.scalars(sa.select(runs.c.job).where(runs.c.status.in_(_UNFINISHED), _SYNC)))
            for serving in servings:
                if serving.run is not None and serving.job in busy:
                    continue
                is_due = (jobs.c.name == serving.job) & (jobs.c.due == serving.due)
                moved = {"due": serving.then, "due_reason": serving.reason, "attempt": 0}
                if not connection.execute(jobs.update().where(is_due).values(moved)).rowcount:
                    continue
                if serving.run is not None:
                    row = serving.run.model_dump(exclude={"streams"})
                    connection.execute(runs.insert().values(row | {"detail": serving.run.detail or None}))
                done.append(serving.job)
        return done

    def claim(self, run_ids: Collection[str], holder: Holder, seen: Agenda) -> Sequence[str]:
        """Take queued runs for starting, unless any run has begun or been taken since `seen`; return those taken."""
        going_on = (runs.c.status == RunStatus.RUNNING.value) | runs.c.holder.is_not(None)
        taken = sa.select(runs.c.id).where(runs.c.status.in_(_UNFINISHED), _SYNC, going_on)
        waiting = runs.c.id.in_(run_ids) & (runs.c.status == RunStatus.QUEUED.value)
        with self._database.write() as connection:
            if not seen.taken.issuperset(connection.scalars(taken)):
                return ()
            free = tuple(connection.scalars(sa.select(runs.c.id).where(waiting)))
            connection.execute(runs.update().where(runs.c.id.in_(free)).values(holder=holder))
            return free

    def unclaim(self, run_id: str, holder: Holder) -> None:
        """Put a run that did not begin back among those that wait; another's is left alone."""
        waiting = (runs.c.id == run_id) & (runs.c.status == RunStatus.QUEUED.value)
        with self._database.write() as connection:
            claimed = connection.scalar(sa.select(runs.c.holder).where(waiting))
            if claimed is not None and Holder.model_validate(claimed) == holder:
                connection.execute(runs.update().where(waiting).values(holder=None))


def _run(row: sa.Row[tuple[object, ...]]) -> Run:
    """Return a run without its streams. Rows are not validated again: 300 may wait, and are read every second."""
    stored = dict(row._mapping)
    holder = stored["holder"]
    return Run.model_construct(
        **stored
        | {
            "type": RunType(str(stored["type"])),
            "trigger": Trigger(str(stored["trigger"])),
            "status": RunStatus(str(stored["status"])),
            "holder": None if holder is None else Holder.model_validate(holder),
            "detail": stored["detail"] or {},
            "streams": (),
        }
    )


def _job(row: sa.Row[tuple[object, ...]]) -> StoredJob:
    record = StoredJob.model_validate_json(str(row._mapping["record"]))
    beside = {name: row._mapping[name] for name in ("serial", "due", "due_reason", "attempt")}
    return record.model_copy(update=beside)

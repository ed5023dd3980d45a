"""The queue: jobs whose due time has come, and runs that wait for their turn (design §7)."""

from __future__ import annotations

from datetime import datetime

from olake_reconcile.model.base import Model
from olake_reconcile.model.run import Run
from olake_reconcile.model.stored import StoredJob


class Agenda(Model):
    """What there is to do at one moment.

    `due` are the jobs whose due time has come and that no hold keeps, the longest due first, without their streams.
    `waiting` are the queued runs, in the order of `waits_since`; one with a holder is being started by that process.
    `held` are the jobs that are held.
    """

    due: tuple[StoredJob, ...] = ()
    waiting: tuple[Run, ...] = ()
    running: tuple[Run, ...] = ()
    held: frozenset[str] = frozenset()

    @property
    def taken(self) -> frozenset[str]:
        """The runs that go on or are being started."""
        started = {run.id for run in self.waiting if run.holder is not None}
        return frozenset({run.id for run in self.running} | started)


class Serving(Model):
    """A due time that is dealt with: `run` is queued for it (None: it is passed over), and the job is due `then`.

    `reason` says why the job is due then.
    """

    job: str
    due: datetime
    then: datetime | None
    reason: str
    run: Run | None = None


def waits_since(run: Run) -> tuple[datetime, str, str]:
    """Return what orders the queue: the due time that a run serves, else when it was queued."""
    return run.due or run.queued_at or run.started, run.job, run.id

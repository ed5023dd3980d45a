"""The steps of a job that leaves: its sync is cancelled and waited for, what shall go is erased, its records are dropped."""

from __future__ import annotations

from collections.abc import Sequence

from olake_reconcile.model.journal import StepKind
from olake_reconcile.plan.actions import Action, Forget, Remove
from olake_reconcile.reconcile.apply_job import JobApply


class JobRemoval(JobApply):
    """A job that leaves. Its runs stay in the history, and so do its tables where nothing erases them.

    Killed after its first erased table it is rolled forward, as any clear; before that it is as it was.
    """

    def run(self) -> None:
        """Do everything under the job's lease: no sync may write to a job that is gone."""
        if self._is_finished():
            return
        self.schedule.stop()
        with self.running.stopped():
            self.run_stopped()

    def run_stopped(self) -> None:
        """Erase and drop. The caller holds the job's lease."""
        stored = self._stored()
        if stored is not None:  # None: dropped before a crash kept the journal from saying so
            self.schedule.stop()
            if self.clears:
                self._clear(stored)
        self.journal.do(
            StepKind.JOB_REMOVED,
            self._subject,
            lambda: self.services.store.remove_job(self.name, self.fence.lease),
        )

    def _is_finished(self) -> bool:
        return self.journal.is_done(StepKind.JOB_REMOVED, self._subject)


def work_on(actions: Sequence[Action]) -> type[JobApply]:
    """Return who does the actions of one job."""
    goes = any(a.address.kind == "job" and isinstance(a, Remove | Forget) for a in actions)
    return JobRemoval if goes else JobApply

"""The sync that an apply finds running: it goes on, or it is cancelled and waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from olake_reconcile.errors import Locked
from olake_reconcile.model.journal import StepKind
from olake_reconcile.model.names import Address
from olake_reconcile.model.run import Run, RunStatus, RunType
from olake_reconcile.reconcile.cancel import kill_group
from olake_reconcile.reconcile.journal import Journal
from olake_reconcile.reconcile.leases import SYNC, held
from olake_reconcile.reconcile.lost import GRACE_SECONDS, close_lost_runs
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import LEASE_SECONDS

# How long a running sync gets to stop: a minute at most (design §7), and the expiry of a lost one's lease.
CANCEL_SECONDS = 60 + LEASE_SECONDS
_CANCEL_AGAIN_SECONDS = 1


@dataclass(frozen=True)
class RunningSync:
    """The lease of a job, and the sync that may hold it. `wait` is how many seconds a clear that holds it gets."""

    services: Services
    journal: Journal
    name: str
    wait: float

    @property
    def _lease(self) -> str:
        return f"job:{self.name}"

    @contextmanager
    def not_clearing(self) -> Iterator[bool]:
        """Keep clears away while settings are stored; a sync that holds the job's lease goes on with its own.

        Gives whether one does. Raises `Locked` when the job is being cleared: what the clear stores would undo what is stored meanwhile.
        """
        syncing = False
        with ExitStack() as stack:
            if self.name in self.services.store.read(self.name).jobs:
                try:
                    stack.enter_context(held(self.services, self._lease, "apply"))
                except Locked:
                    syncing = self._is_syncing()
                    if not syncing:
                        stack.enter_context(held(self.services, self._lease, "apply", wait=self.wait))
            yield syncing

    @contextmanager
    def stopped(self) -> Iterator[bool]:
        """Hold the job's lease; a sync that holds it is cancelled, and waited for until it has really stopped.

        Gives False: none goes on.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.services, self._lease, "apply"))
            except Locked:
                if self._is_syncing():
                    self._cancel_until_held(stack)
                else:
                    stack.enter_context(held(self.services, self._lease, "apply", wait=self.wait))
            yield False

    def _is_syncing(self) -> bool:
        leases = self.services.store.leases()
        return any(lease.name == self._lease and lease.purpose == SYNC for lease in leases)

    def _cancel_until_held(self, stack: ExitStack) -> None:
        """Cancel again and again: a sync that has just begun has no run yet, and a killed apply may have met another."""
        running = self._runs()
        self.journal.do(
            StepKind.RUN_CANCELLED,
            str(Address("job", self.name)),
            lambda: self._cancel(running),
            {"runs": [r.id for r in running]},
        )
        asked = self.services.clock.monotonic()
        while True:
            self._cancel(self._runs())
            try:
                stack.enter_context(held(self.services, self._lease, "apply", wait=_CANCEL_AGAIN_SECONDS))
            except Locked:
                waited = self.services.clock.monotonic() - asked
                if waited >= CANCEL_SECONDS:
                    raise
                if waited >= GRACE_SECONDS:
                    for run in self._runs():
                        kill_group(run)
            else:
                close_lost_runs(self.services, self.name)
                return

    def _runs(self) -> list[Run]:
        runs = self.services.store.runs(self.name)
        return [r for r in runs if r.status is RunStatus.RUNNING and r.type is RunType.SYNC]

    def _cancel(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self.services.store.request_cancel(run.id)

"""What makes a run stop: the first reason that comes up is the one that is told (design §7)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.retry import RETRYABLE
from olake_reconcile.model.run import RunStatus
from olake_reconcile.reconcile.leases import HeldLease
from olake_reconcile.reconcile.lost import GRACE_SECONDS
from olake_reconcile.reconcile.services import Services

_LOOK_SECONDS = 0.5


class StopReason(StrEnum):
    """Why a run was told to stop."""

    CANCELED = "canceled"  # by `cancel`, by a signal
    TIMED_OUT = "timed out"
    UNWATCHED = "unwatched"  # the process that started it has died
    SUPERSEDED = "superseded"  # its lease was taken over


class Brakes:
    """Asked often, from any thread, whether the run must stop. `timeout` is seconds from now."""

    def __init__(
        self,
        services: Services,
        run_id: str,
        lease: HeldLease,
        stop: Callable[[], bool],
        orphaned: Callable[[], bool],
        timeout: int | None,
    ) -> None:
        self._services = services
        self._run_id = run_id
        self._lease = lease
        self._stop = stop
        self._orphaned = orphaned
        self._timeout = timeout
        self._deadline = None if timeout is None else services.clock.monotonic() + timeout
        self.reason: StopReason | None = None

    def __call__(self) -> bool:
        """Whether the run must stop; once it must, it must for ever."""
        if self.reason is None:
            self.reason = self._look()
        return self.reason is not None

    def _look(self) -> StopReason | None:
        if self._lease.lost.is_set():
            return StopReason.SUPERSEDED
        if self._stop() or self._services.store.cancel_requested(self._run_id):
            return StopReason.CANCELED
        if self._deadline is not None and self._services.clock.monotonic() >= self._deadline:
            return StopReason.TIMED_OUT
        return StopReason.UNWATCHED if self._orphaned() else None

    @property
    def verdict(self) -> tuple[RunStatus, str]:
        """The status of a run that was stopped, and its error."""
        match self.reason:
            case StopReason.TIMED_OUT:
                return RunStatus.FAILED, f"timed out after {self._timeout} s; what it had committed stays"
            case StopReason.UNWATCHED:
                return RunStatus.FAILED, "lost: the process that had started it died"
            case StopReason.SUPERSEDED:
                return RunStatus.FAILED, "lost: it could not keep the job's lease"
            case _:
                return RunStatus.CANCELED, ""

    @contextmanager
    def enforced(self, last_resort: Callable[[], None] | None) -> Iterator[None]:
        """End this process if the run does not stop within the grace, for the case that nobody else watches it."""
        done = threading.Event()
        if last_resort is None:
            yield
            return
        guard = threading.Thread(target=self._guard, args=(done, last_resort), name="brakes", daemon=True)
        guard.start()
        try:
            yield
        finally:
            done.set()
            guard.join()

    def _guard(self, done: threading.Event, last_resort: Callable[[], None]) -> None:
        while not done.wait(_LOOK_SECONDS):
            # A store that does not answer is no reason to stop: the lease is, once it has run out.
            with suppress(ReconcileError):
                if self():
                    break
        if done.wait(GRACE_SECONDS):
            return
        status, error = self.verdict
        with suppress(ReconcileError):
            detail = {RETRYABLE: True} if status is RunStatus.FAILED else {}
            now = self._services.clock.now()
            self._services.store.end_run(self._run_id, status, now, error, detail)
        last_resort()

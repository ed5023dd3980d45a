"""Watching a launched run until it has ended, whatever happens to its process (design §7, engine.md "Processes").

A run that was asked to stop, by a signal or by `cancel` from anywhere, has `GRACE_SECONDS` for it; then its process
group is killed. What a dead process leaves half done is closed here: the run, its streams, its lease, its files.
"""

from __future__ import annotations

from collections.abc import Callable

from olake_reconcile.errors import Interrupted, ReconcileError
from olake_reconcile.model.event import Event
from olake_reconcile.model.run import Run
from olake_reconcile.reconcile.launch import Launched
from olake_reconcile.reconcile.lost import GRACE_SECONDS, close_dead
from olake_reconcile.reconcile.services import Services

# How often the cancel flag is looked at: the run itself looks more often, this only starts the grace.
_LOOK_SECONDS = 1.0


class RunWatch:
    """Watches one launched run; `tick` is called again and again, at least once a second."""

    def __init__(self, services: Services, launched: Launched, on_event: Callable[[Event], None]) -> None:
        self._services = services
        self._launched = launched
        self._on_event = on_event
        self._stopping: float | None = None
        self._looked = services.clock.monotonic()

    @property
    def launched(self) -> Launched:
        """The run that is watched."""
        return self._launched

    def tick(self) -> Run | ReconcileError | None:
        """Hand on events, and see to it that a run which must stop does.

        Returns the run as it ended, why it never began, or None while it goes on.
        """
        ended = self._launched.ended()
        for event in self._launched.events():
            self._on_event(event)
        if ended:
            return self._launched.refusal or self._close()
        self._escalate()
        return None

    def stop(self) -> None:
        """Cancel the run at its next safe point; it is killed when it does not stop."""
        if self._stopping is None:
            self._stopping = self._services.clock.monotonic()
            # Stored too: a run that has to be killed was canceled, not lost.
            self._services.store.request_cancel(self._launched.order.run_id)
            self._launched.ask_to_stop()

    def kill(self) -> None:
        """Cancel the run at once, by ending its process group; the next ticks tell how it ended."""
        self.stop()
        self._launched.kill()

    def _close(self) -> Run | ReconcileError:
        outcome = close_dead(self._services, self._launched.order)
        if isinstance(outcome, ReconcileError) and self._stopping is not None:
            return Interrupted(f"{self._launched.order.job}: stopped before its run began")
        return outcome

    def _escalate(self) -> None:
        now = self._services.clock.monotonic()
        if self._stopping is None and now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            if self._services.store.cancel_requested(self._launched.order.run_id):
                self.stop()
        if self._stopping is not None and now - self._stopping >= GRACE_SECONDS:
            self._launched.kill()

"""Starting runs in process groups of their own (design §7): the port behind which the loop and `sync` do it.

A launched run belongs to whoever started it: it watches the process, shows its events, and ends it when it does not stop by
itself (`reconcile/watch.py`). The process takes the job's lease under its own pid, so that a run which was killed is
known to be dead by everybody. When the starter dies, the run stops at its next safe point: nothing runs unwatched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.base import Model
from olake_reconcile.model.event import Event
from olake_reconcile.model.run import Trigger


class RunOrder(Model):
    """One sync of a job. The run may be stored as queued already; if not, it is stored when it begins.

    `attempt` counts from 1: a retry leaves out the streams that the attempts before it committed.
    `lock_timeout` is how many seconds it waits for the job's lease.
    """

    run_id: str
    job: str
    trigger: Trigger
    attempt: int = 1
    lock_timeout: float = 0


class Launched(Protocol):
    """A run's process group."""

    @property
    def order(self) -> RunOrder:
        """What it was started for."""
        ...

    def ended(self) -> bool:
        """Whether its process has ended; the last events may still wait to be taken."""
        ...

    def events(self) -> Sequence[Event]:
        """Take the events that came since they were last taken; never waits. Progress may have gaps."""
        ...

    @property
    def refusal(self) -> ReconcileError | None:
        """Why the run never began (`Locked`, `Blocked`, …), None if it did; known once `ended` and events are taken."""
        ...

    def wait(self, seconds: float) -> None:
        """Return when there are events or the process has ended, after `seconds` at the latest."""
        ...

    def ask_to_stop(self) -> None:
        """Ask it to stop at its next safe point. Done again, or after its end, it changes nothing."""
        ...

    def kill(self) -> None:
        """End the whole group now. Done again, or after its end, it changes nothing."""
        ...


class Launcher(Protocol):
    """Starts runs."""

    def start(self, order: RunOrder) -> Launched:
        """Start a run in a process group of its own; returns at once."""
        ...

    def close(self) -> None:
        """Give back what starting needs; runs that go on are not touched."""
        ...

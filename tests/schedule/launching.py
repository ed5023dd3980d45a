"""Launchers for tests: runs made in this process, at once or on a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.event import Event
from olake_reconcile.model.run import Run, RunStatus, RunType
from olake_reconcile.reconcile.launch import Launched, RunOrder
from olake_reconcile.reconcile.runs import make_run
from olake_reconcile.reconcile.services import Services


class Ended:
    """A run that has ended when it is looked at for the first time."""

    def __init__(self, order: RunOrder, refusal: ReconcileError | None) -> None:
        self.order = order
        self.refusal = refusal

    def ended(self) -> bool:
        return True

    def events(self) -> Sequence[Event]:
        return ()

    def wait(self, seconds: float) -> None:
        pass

    def ask_to_stop(self) -> None:
        pass

    def kill(self) -> None:
        pass


class DirectLauncher:
    """Makes each run while it is started, in this process, with the engine of `services`."""

    def __init__(self, services: Services, project: str) -> None:
        self._services = services
        self._project = project
        self.orders: list[RunOrder] = []

    def start(self, order: RunOrder) -> Launched:
        self.orders.append(order)
        refusal = None
        try:
            make_run(self._services, self._project, order, lambda event: None, lambda: False)
        except ReconcileError as error:
            refusal = error
        return Ended(order, refusal)

    def close(self) -> None:
        pass


Fate = Callable[[RunOrder, datetime], tuple[timedelta, RunStatus]]


class SimulatedLauncher:
    """Runs that take time on the clock of `services` and move no data; `fate` says how long and how they end."""

    def __init__(self, services: Services, fate: Fate) -> None:
        self._services = services
        self._fate = fate
        self.going_on: dict[str, Simulated] = {}
        self.most = 0

    def start(self, order: RunOrder) -> Launched:
        now = self._services.clock.now()
        lasts, status = self._fate(order, now)
        self._services.store.begin_run(
            Run(
                id=order.run_id,
                job=order.job,
                type=RunType.SYNC,
                trigger=order.trigger,
                status=RunStatus.RUNNING,
                started=now,
                holder=self._services.holder,
                attempt=order.attempt,
            )
        )
        self.going_on[order.run_id] = Simulated(self, order, now + lasts, status)
        self.most = max(self.most, len(self.going_on))
        return self.going_on[order.run_id]

    def close(self) -> None:
        pass

    def end(self, run: Simulated) -> None:
        """Store the end of a run whose time has come."""
        del self.going_on[run.order.run_id]
        self._services.store.end_run(run.order.run_id, run.status, run.ends)

    @property
    def now(self) -> datetime:
        return self._services.clock.now()


class Simulated:
    """A run that goes on until `ends`."""

    refusal = None

    def __init__(
        self, launcher: SimulatedLauncher, order: RunOrder, ends: datetime, status: RunStatus
    ) -> None:
        self.order = order
        self.ends = ends
        self.status = status
        self._launcher = launcher
        self._over = False

    def ended(self) -> bool:
        if not self._over and self._launcher.now >= self.ends:
            self._over = True
            self._launcher.end(self)
        return self._over

    def events(self) -> Sequence[Event]:
        return ()

    def wait(self, seconds: float) -> None:
        pass

    def ask_to_stop(self) -> None:
        self.ends, self.status = self._launcher.now, RunStatus.CANCELED

    def kill(self) -> None:
        self.ask_to_stop()

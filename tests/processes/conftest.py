"""Runs in process groups of their own, over the scripted engine: what the tests of this folder share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from olake_reconcile import wiring
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.event import Event, StreamStarted
from olake_reconcile.model.run import Holder, Run, Trigger
from olake_reconcile.reconcile import brakes, cancel, watch
from olake_reconcile.reconcile.launch import Launcher, RunOrder
from olake_reconcile.reconcile.runs import new_order
from olake_reconcile.reconcile.watch import RunWatch
from olake_reconcile.state.holder import is_dead
from tests.builders import a_project
from tests.workspaces import Lab, a_lab


@dataclass
class Watched:
    """A launched run and what it told."""

    lab: Lab
    order: RunOrder
    watch: RunWatch
    events: list[Event] = field(default_factory=list)

    def until(self, reached: Callable[[], bool]) -> None:
        """Tick until the test's condition holds; the run must not end before."""
        while not reached():
            assert self.watch.tick() is None, "the run ended too early"
            self.watch.launched.wait(0.05)

    def until_loading(self) -> None:
        """Tick until a stream is being loaded."""
        self.until(lambda: any(isinstance(event, StreamStarted) for event in self.events))

    def end(self) -> Run | ReconcileError:
        """Tick until the run has ended."""
        while (outcome := self.watch.tick()) is None:
            self.watch.launched.wait(0.05)
        return outcome

    def run(self) -> Run:
        """Tick until the run has ended; it must have begun."""
        outcome = self.end()
        assert isinstance(outcome, Run), outcome
        return outcome

    @property
    def holder(self) -> Holder:
        """The run's process."""
        stored = self.lab.store.run(self.order.run_id)
        assert stored is not None
        assert stored.holder is not None
        return stored.holder

    @property
    def pid(self) -> int:
        """The run's process."""
        return self.holder.pid


class Starter:
    """Starts runs of the lab's jobs, and ends what a test leaves."""

    def __init__(self, lab: Lab, launcher: Launcher) -> None:
        self._lab = lab
        self._launcher = launcher
        self._started: list[Watched] = []

    def start(self, job: str = "daily", attempt: int = 1) -> Watched:
        services = self._lab.services()
        order = new_order(services, job, Trigger.MANUAL, attempt=attempt)
        events: list[Event] = []
        with self._lab.surroundings():
            launched = self._launcher.start(order)
        started = Watched(self._lab, order, RunWatch(services, launched, events.append), events)
        self._started.append(started)
        return started

    def close(self) -> None:
        for started in self._started:
            started.watch.launched.kill()
            started.end()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = a_lab(tmp_path)
    lab.apply()
    return lab


@pytest.fixture
def starter(lab: Lab) -> Iterator[Starter]:
    """Starts runs as `sync` does: forked from here."""
    starter = Starter(lab, wiring.launcher(lab.root, a_project()))
    yield starter
    starter.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody who waits for a run to stop by itself waits a moment only."""
    for module in (brakes, cancel, watch):
        monkeypatch.setattr(module, "GRACE_SECONDS", 0.3)


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    wake = threading.Event()
    for _ in range(3000):
        if reached():
            return
        wake.wait(0.02)
    raise AssertionError("it never happened")


def is_gone(holder: Holder) -> bool:
    """Whether a process runs no more, zombies included."""
    return is_dead(holder)


def leaves_nothing(lab: Lab, run: Run) -> None:
    """Assert that a run left no lease, no temporary file, no process and no zombie."""
    assert not lab.store.leases()
    assert not list((lab.root / ".olake/tmp").iterdir())
    assert run.holder is not None
    assert not Path(f"/proc/{run.holder.pid}").exists() or os.getpgid(run.holder.pid) != run.holder.pid

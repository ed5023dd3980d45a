"""The contract of launchers: both start the same run, in a process group of its own (reconcile/launch.py)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from olake_reconcile import wiring
from olake_reconcile.errors import Blocked, Interrupted, Locked
from olake_reconcile.model.event import StreamCommitted
from olake_reconcile.model.run import Run, RunStatus, RunType, Trigger
from olake_reconcile.state.holder import this_process
from tests.builders import a_project
from tests.processes.conftest import Starter, leaves_nothing
from tests.workspaces import Lab


@pytest.fixture(params=["fork", "nursery"])
def starter(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Starter]:
    make = wiring.launcher if request.param == "fork" else wiring.warm_launcher
    starter = Starter(lab, make(lab.root, a_project()))
    yield starter
    starter.close()


def test_a_run_completes_in_another_process_and_its_events_come_here(lab: Lab, starter: Starter) -> None:
    started = starter.start()
    run = started.run()
    assert (run.status, run.rows) == (RunStatus.COMPLETED, 42_400)
    assert sorted(str(e.stream) for e in started.events if isinstance(e, StreamCommitted)) == [
        "public.customers",
        "public.orders",
    ]
    assert started.pid != os.getpid()
    leaves_nothing(lab, run)


def test_a_run_is_a_process_group_of_its_own_without_a_terminal(lab: Lab, starter: Starter) -> None:
    lab.world(held_up=["public.customers"])
    started = starter.start()
    started.until_loading()
    assert os.getpgid(started.pid) == os.getsid(started.pid) == started.pid
    lab.world(held_up=[])
    assert started.run().status is RunStatus.COMPLETED


def test_a_run_that_is_asked_to_stop_is_canceled_at_its_safe_point(lab: Lab, starter: Starter) -> None:
    lab.world(held_up=["public.customers"])
    started = starter.start()
    started.until_loading()
    started.watch.stop()
    run = started.run()
    assert run.status is RunStatus.CANCELED
    assert {o.status for o in run.streams} == {RunStatus.CANCELED}
    leaves_nothing(lab, run)


def test_a_killed_run_is_closed_with_its_streams_by_who_watches_it(lab: Lab, starter: Starter) -> None:
    lab.world(held_up=["public.customers"])
    started = starter.start()
    started.until_loading()
    os.killpg(started.pid, signal.SIGKILL)
    run = started.run()
    assert (run.status, run.error) == (RunStatus.FAILED, "lost: its process died")
    not_begun = "not begun: the run's process died before"
    assert [(o.status, o.error) for o in run.streams] == [
        (RunStatus.FAILED, run.error),
        (RunStatus.FAILED, not_begun),
    ]
    leaves_nothing(lab, run)
    lab.world(held_up=[])
    assert starter.start().run().status is RunStatus.COMPLETED


def test_a_run_that_its_watcher_kills_was_canceled(lab: Lab, starter: Starter) -> None:
    lab.world(held_up=["public.customers"])
    started = starter.start()
    started.until_loading()
    started.watch.kill()
    run = started.run()
    assert run.status is RunStatus.CANCELED
    leaves_nothing(lab, run)


def test_why_a_run_does_not_begin_comes_here_as_the_error_that_it_is(lab: Lab, starter: Starter) -> None:
    lease = lab.store.acquire("job:daily", this_process(), "sync", lab.services().clock.now())
    refused = starter.start().end()
    assert isinstance(refused, Locked)
    assert str(this_process()) in refused.summary
    lab.store.release(lease)
    lab.ok("pause", "daily", "--reason", "index rebuild")
    refused = starter.start().end()
    assert isinstance(refused, Blocked)
    assert refused.remedy == "olake-reconcile resume daily"
    assert not lab.store.runs()


def test_a_queued_run_that_was_cancelled_never_begins(lab: Lab, starter: Starter) -> None:
    services = lab.services()
    now = services.clock.now()
    lab.ok("sync", "daily", "--detach")
    queued = lab.store.runs()[0]
    lab.ok("cancel", "daily")
    started = starter.start()
    assert started.run().status is RunStatus.COMPLETED, "another order is not concerned"
    late = Run(
        id=queued.id,
        job="daily",
        type=RunType.SYNC,
        trigger=Trigger.MANUAL,
        status=RunStatus.RUNNING,
        started=now,
    )
    with pytest.raises(Interrupted):
        lab.store.begin_run(late)

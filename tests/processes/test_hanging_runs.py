"""Runs that do not stop by themselves, and runs whose watcher died: nothing goes on unwatched, everything is closed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from olake_reconcile.model.run import RunStatus
from olake_reconcile.reconcile.cancel import cancel_job
from olake_reconcile.state.holder import is_dead
from tests.lifecycle.background import a_running_sync, background
from tests.processes.conftest import Starter, leaves_nothing, wait_until
from tests.workspaces import Lab


def test_a_run_that_hangs_is_killed_by_its_watcher_and_was_canceled(
    lab: Lab, starter: Starter, impatient: None
) -> None:
    lab.world(held_up=["public.customers"])
    started = starter.start()
    started.until_loading()
    os.kill(started.pid, signal.SIGSTOP)
    lab.store.request_cancel(started.order.run_id)
    run = started.run()
    assert run.status is RunStatus.CANCELED
    assert {o.status for o in run.streams} == {RunStatus.CANCELED}
    leaves_nothing(lab, run)


def test_a_run_that_hangs_without_its_watcher_is_ended_by_who_cancels_it(lab: Lab, impatient: None) -> None:
    with a_running_sync(lab) as running:
        os.kill(running.run_pid(), signal.SIGSTOP)
        running.process.kill()
        running.process.wait()
        run = cancel_job(lab.services(), "daily")
    assert run is not None
    assert run.status is RunStatus.CANCELED
    holder = run.holder
    assert holder is not None
    wait_until(lambda: is_dead(holder))
    assert not lab.store.leases()
    assert not list((lab.root / ".olake/tmp").iterdir())


def test_a_run_whose_watcher_died_stops_at_its_next_safe_point_and_is_lost(lab: Lab) -> None:
    with a_running_sync(lab) as running:
        holder = lab.store.runs()[0].holder
        running.process.kill()
        running.process.wait()
        assert holder is not None
        wait_until(lambda: is_dead(holder))
    run = lab.store.runs()[0]
    assert (run.status, run.error) == (RunStatus.FAILED, "lost: the process that had started it died")
    assert not lab.store.leases()
    assert not list((lab.root / ".olake/tmp").iterdir())


def test_a_second_ctrl_c_ends_a_run_at_once(lab: Lab) -> None:
    with a_running_sync(lab) as running:
        os.kill(running.run_pid(), signal.SIGSTOP)
        running.process.send_signal(signal.SIGINT)
        running.wait_for("Stopping at the next safe point")
        running.process.send_signal(signal.SIGINT)
        assert running.end()[0] == 130
    run = lab.store.runs()[0]
    assert run.status is RunStatus.CANCELED
    leaves_nothing(lab, run)


def test_a_closed_terminal_cancels_the_sync_in_front_of_it(lab: Lab) -> None:
    with a_running_sync(lab) as running:
        running.process.send_signal(signal.SIGHUP)
        assert running.end()[0] == 130
    assert lab.store.runs()[0].status is RunStatus.CANCELED


def test_a_run_that_is_lost_with_its_watcher_is_closed_by_the_next_sync(lab: Lab) -> None:
    with a_running_sync(lab) as running:
        os.kill(running.run_pid(), signal.SIGKILL)
        running.process.kill()
        running.process.wait()
    lab.world(held_up=[])
    lab.ok("sync", "daily")
    new, lost = lab.store.runs()
    assert new.status is RunStatus.COMPLETED
    assert (lost.status, lost.error) == (RunStatus.FAILED, "lost: its process died")
    assert not list((lab.root / ".olake/tmp").iterdir())


def test_a_run_that_died_before_anybody_cancelled_it_is_lost_not_canceled(lab: Lab) -> None:
    with a_running_sync(lab) as running:
        os.kill(running.process.pid, signal.SIGSTOP)
        os.kill(running.run_pid(), signal.SIGKILL)
        assert "nothing is running" in lab.ok("cancel", "daily").out
    assert lab.store.runs()[0].status is RunStatus.FAILED


@pytest.mark.parametrize("command", ["cancel", "pause --cancel"])
def test_a_queued_run_is_taken_out_of_the_queue(lab: Lab, command: str) -> None:
    lab.ok("sync", "daily", "--detach")
    name, *flags = command.split()
    assert "canceled" in lab.ok(name, "daily", *flags).out
    run = lab.store.runs()[0]
    assert (run.status, run.streams) == (RunStatus.CANCELED, ())


def test_a_killed_daemon_leaves_no_temporary_folder(lab: Lab) -> None:
    lab.apply()
    lab.ok("sync", "daily", "--detach")
    with TemporaryDirectory(prefix="t-") as folder:
        lab.environment["TMPDIR"] = folder
        with background(lab, "run") as daemon:
            daemon.wait_for("completed")
            assert list(Path(folder).iterdir()), "the nursery's socket is there"
            daemon.process.kill()
            wait_until(lambda: not list(Path(folder).iterdir()))

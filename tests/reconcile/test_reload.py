"""Changed files while the loop runs: applied as far as consent goes, said once, never at the cost of what is applied."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from olake_reconcile.errors import ExitCode
from olake_reconcile.model.run import RunStatus
from olake_reconcile.model.stored import Hold
from olake_reconcile.reconcile.leases import held
from olake_reconcile.state.base import APPLY_LOCK
from tests.reconcile.test_loop import START, Loop
from tests.workspaces import PROJECT_YAML

DAILY = """\
kind: Job
name: daily
schedule: {schedule}
streams:
  public.orders: {{sync_mode: full_refresh, destination_database: sales{orders}}}
"""


def daily(schedule: str = '"@hourly"', orders: str = "") -> dict[str, str]:
    return {"jobs/daily.yaml": DAILY.format(schedule=schedule, orders=orders)}


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """A job that has loaded its table; what the files say is what is applied."""
    loop = Loop(tmp_path, {})
    loop.lab.write(daily())
    assert loop.once() == []
    loop.go_to("13:00")
    assert loop.once() == ["daily"]
    return loop


def stored_schedule(loop: Loop) -> object:
    return loop.lab.store.read().jobs["daily"].spec["schedule"]


def test_new_jobs_and_safe_changes_are_applied(loop: Loop) -> None:
    loop.lab.write(daily(schedule="every 10m"))
    loop.once()
    assert loop.fine
    assert stored_schedule(loop) == "every 10m"
    assert loop.due("daily") == "01 13:10:00"
    assert "daily" in loop.told("applied")[0]
    applies = loop.lab.store.applies()
    loop.once()
    assert loop.lab.store.applies() == applies
    assert loop.told("applied") == []


def test_a_rebuild_waits_for_consent_is_said_once_and_the_stream_goes_on_as_it_is_stored(loop: Loop) -> None:
    before = loop.lab.tables
    loop.lab.write(daily(orders=", partition_by: [day(at)]"))
    assert loop.once() == []
    assert loop.fine, "consent that is pending is no failure"
    (told,) = loop.told("consent_pending")
    assert "daily/public.orders loses data" in told
    assert "olake-reconcile apply" in told
    assert "{kind: Approval, address: " in told
    loop.go_to("14:00")
    assert loop.once() == ["daily"]
    assert loop.told("consent_pending") == []
    assert loop.lab.store.runs()[0].status is RunStatus.COMPLETED
    assert loop.lab.tables.keys() == before.keys()
    assert "forces rebuild" in loop.lab.ok("plan").out
    # Said anew when something else waits, and when it waits again after it did not.
    loop.lab.write(daily(orders=", partition_by: [month(at)]"))
    loop.once()
    assert loop.told("consent_pending")
    loop.lab.write(daily())
    loop.once()
    loop.lab.write(daily(orders=", partition_by: [month(at)]"))
    loop.once()
    assert loop.told("consent_pending")


def test_what_is_safe_in_other_jobs_does_not_wait_with_it(loop: Loop) -> None:
    loop.lab.write(daily(schedule="every 10m", orders=", partition_by: [day(at)]"))
    loop.lab.write(
        {"jobs/other.yaml": DAILY.format(schedule='"@daily"', orders="2").replace("daily", "other", 1)}
    )
    loop.once()
    assert stored_schedule(loop) == "@hourly", "a job is taken whole"
    assert "other" in loop.lab.store.read().jobs


def test_auto_rebuild_lets_the_loop_rebuild_and_the_job_runs_at_once(loop: Loop) -> None:
    loop.lab.write(
        {"olake.yaml": PROJECT_YAML.replace("job_defaults", "safety: {auto_rebuild: true}\njob_defaults")}
    )
    loop.lab.write(daily(orders=", partition_by: [day(at)]"))
    assert loop.once() == ["daily"]
    assert loop.told("consent_pending") == []
    stream = next(iter(loop.lab.store.read().jobs["daily"].streams.values()))
    assert stream.generation == 2
    assert "No changes." in loop.lab.ok("plan").out


def test_auto_rebuild_is_no_consent_to_what_is_protected(loop: Loop) -> None:
    loop.lab.write(
        {"olake.yaml": PROJECT_YAML.replace("job_defaults", "safety: {auto_rebuild: true}\njob_defaults")}
    )
    loop.lab.write(daily(orders=", protect: {rebuild: true}"))
    loop.once()
    loop.lab.write(daily(orders=", protect: {rebuild: true}, partition_by: [day(at)]"))
    loop.once()
    assert "protected against rebuilds" in loop.told("consent_pending")[0]


@pytest.mark.parametrize("protect", ["", ", protect: {rebuild: true}"])
def test_an_approval_in_git_lets_the_loop_make_that_one_change(loop: Loop, protect: str) -> None:
    loop.lab.write(daily(orders=protect))
    loop.once()
    loop.lab.write(daily(orders=f"{protect}, partition_by: [day(at)]"))
    loop.once()
    (told,) = loop.told("consent_pending")
    approval = told.partition("or commit: ")[2].splitlines()[0]
    loop.lab.write({"jobs/approved.yaml": approval + "\n"})
    assert loop.once() == ["daily"]
    assert "No changes." in loop.lab.ok("plan").out
    loop.lab.write(daily(orders=f"{protect}, partition_by: [month(at)]"))
    loop.once()
    assert loop.told("consent_pending"), "another change needs another approval"


def test_broken_files_keep_the_last_good_plan_and_what_is_due_runs(loop: Loop) -> None:
    loop.lab.write({"jobs/daily.yaml": "kind: Job\nname: daily\nstreams: 7\n"})
    loop.go_to("14:00")
    assert loop.once() == ["daily"]
    assert not loop.fine
    assert "jobs/daily.yaml:3" in loop.told("files_invalid")[0]
    assert loop.lab.store.runs()[0].status is RunStatus.COMPLETED


def test_mistakes_are_said_once_per_change_and_files_are_not_read_again_until_they_change(loop: Loop) -> None:
    daemon = loop.loop()
    with loop.lab.surroundings():
        files = daemon._reloader
        assert files.is_due()
        assert files.turn() is ExitCode.OK
        assert not files.is_due()
        loop.lab.write({"jobs/daily.yaml": "kind: Jib\n"})
        assert files.is_due()
        assert files.turn() is ExitCode.ERROR
        assert not files.is_due()
        loop.clock.advance(timedelta(days=1))
        assert not files.is_due(), "nothing to try again: the files are what is wrong"
        os.utime(loop.lab.root / "jobs/daily.yaml", (1, 1))
        assert not files.is_due(), "touched, not changed"
        loop.lab.write(daily())
        assert files.is_due()
        assert files.turn() is ExitCode.OK
    assert len(loop.told("files_invalid")) == 1


def test_an_apply_that_goes_on_is_not_waited_for_and_its_lock_is_told(loop: Loop) -> None:
    loop.lab.write(daily(schedule="every 10m"))
    loop.go_to("14:00")
    with held(loop.services, APPLY_LOCK, "apply by ann"):
        assert loop.once() == ["daily"], "what is due runs all the same"
        assert loop.code is ExitCode.LOCKED
        assert "apply by ann" in loop.told("apply_failed")[0]
    assert stored_schedule(loop) == "@hourly"
    loop.once()
    assert stored_schedule(loop) == "every 10m"


def test_a_rebuild_that_a_hold_keeps_is_tried_again_when_it_is_over(loop: Loop) -> None:
    loop.lab.write(
        {"olake.yaml": PROJECT_YAML.replace("job_defaults", "safety: {auto_rebuild: true}\njob_defaults")}
    )
    loop.lab.store.set_hold("daily", Hold(who="ann", since=START, until=START.replace(hour=15)))
    loop.lab.write(daily(orders=", partition_by: [day(at)]"))
    daemon = loop.loop()
    with loop.lab.surroundings():
        daemon._reloader.turn()
        assert "held by ann" in loop.told("consent_pending")[0]
        assert not daemon._reloader.is_due()
        loop.go_to("15:30")
        assert daemon._reloader.is_due()
        daemon._reloader.turn()
    assert loop.told("applied"), loop.notices


def test_another_project_or_state_in_the_files_is_refused(loop: Loop) -> None:
    loop.lab.write(
        {"olake.yaml": PROJECT_YAML.replace("name: analytics", "name: analytics\nstate: sqlite:///other.db")}
    )
    loop.once()
    assert not loop.fine
    assert "Start the program again" in loop.told("apply_failed")[0]

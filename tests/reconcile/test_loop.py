"""The loop: due jobs in order, missed runs once, restarts harmless (design §7), on a clock moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest import mock

from olake_reconcile.clock import ManualClock
from olake_reconcile.errors import ExitCode, ReconcileError
from olake_reconcile.model.run import RunStatus, Trigger
from olake_reconcile.model.stored import Hold
from olake_reconcile.plan.options import Options
from olake_reconcile.reconcile.apply import apply_plan
from olake_reconcile.reconcile.loop import Loop as TheLoop
from olake_reconcile.reconcile.notice import Notice
from olake_reconcile.reconcile.observe import make_plan
from olake_reconcile.reconcile.reload import Reloader
from olake_reconcile.reconcile.scheduler import Scheduler
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.store import SqlStore
from olake_reconcile.wiring import read_offline, read_workspace
from tests.builders import PROJECT_UID, a_project
from tests.schedule.launching import DirectLauncher
from tests.workspaces import PROJECT_YAML, Lab, a_lab

START = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def a_job_file(name: str, **settings: str) -> str:
    lines = "".join(f"{key}: {value}\n" for key, value in settings.items())
    return (
        f"kind: Job\nname: {name}\n{lines}streams:\n"
        f"  public.items: {{sync_mode: full_refresh, destination_database: {name}}}\n"
    )


class Loop:
    """Jobs that were applied at START, and a loop over them."""

    def __init__(self, folder: Path, jobs: Mapping[str, str]) -> None:
        files = {"olake.yaml": PROJECT_YAML} | {
            f"jobs/{n}.yaml": a_job_file(n, schedule=s) for n, s in jobs.items()
        }
        self.lab = a_lab(folder, files)
        self.clock = ManualClock(START)
        self.apply()

    @property
    def services(self) -> Services:
        services: Services = self.lab.services(clock=self.clock)
        return services

    def apply(self) -> None:
        services = self.services
        desired = read_offline(self.lab.root, services.secrets).desired
        assert desired is not None
        plan, _ = make_plan(services, desired, {}, Options(), connect=True)
        apply_plan(services, lambda: plan, lambda step: None)

    def go_to(self, text: str) -> None:
        """Move the clock to a time of day on the first day, or any ISO moment."""
        moment = text if "-" in text else f"2026-03-01T{text}"
        self.clock.advance(datetime.fromisoformat(moment).replace(tzinfo=UTC) - self.clock.now())

    def loop(self, stops: Callable[[], int] = lambda: 0) -> TheLoop:
        """Return a loop as the command line makes it, but that its runs are made in this process."""
        services = self.services
        self.notices: list[Notice] = []
        self.launcher = DirectLauncher(services, PROJECT_UID)
        load = partial(read_workspace, self.lab.root, services.secrets)
        reloader = Reloader(services, load, self.notices.append, a_project())
        scheduler = Scheduler(services, self.launcher, lambda: reloader.limits, self.notices.append)
        return TheLoop(services, scheduler, reloader, self.notices.append, stops)

    def once(self) -> list[str]:
        """Make one pass; return the jobs of which it told, in order."""
        with self.lab.surroundings():
            self.code = self.loop().once()
        self.fine = self.code is ExitCode.OK
        return [notice.job for notice in self.notices if notice.job]

    def told(self, action: str) -> list[str]:
        """Return what was said of that in the last pass."""
        return [n.message for n in self.notices if n.action == action]

    def due(self, job: str) -> str:
        found = self.lab.store.read().jobs[job].due
        return f"{found:%d %H:%M:%S}" if found else ""


def test_nothing_runs_before_it_is_due(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    assert loop.due("hourly") == "01 13:00:00"
    loop.go_to("12:59:59")
    assert loop.once() == []
    loop.go_to("13:00")
    assert loop.once() == ["hourly"]
    assert loop.once() == []
    assert loop.due("hourly") == "01 14:00:00"
    assert [r.trigger for r in loop.lab.store.runs()] == [Trigger.SCHEDULE]


def test_due_jobs_run_the_longest_overdue_first(tmp_path: Path) -> None:
    jobs = {"b": "35 * * * *", "a": "45 * * * *", "c": "40 * * * *", "d": "35 * * * *"}
    loop = Loop(tmp_path, jobs)
    loop.go_to("12:50")
    assert loop.once() == ["b", "d", "c", "a"]


def test_missed_runs_coalesce_into_one(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"often": "every 15m"})
    loop.go_to("2026-03-04T09:07:00")
    assert loop.once() == ["often"]
    assert loop.once() == []
    assert loop.due("often") == "04 09:15:00"


def test_a_restart_neither_skips_nor_bursts(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    # Down over a due time: on its return it runs once, late, though nobody was there at 13:00.
    loop.go_to("13:20")
    assert loop.once() == ["hourly"]
    # Down and up between due times: nothing more.
    loop.go_to("13:50")
    assert loop.once() == []
    loop.go_to("14:00")
    assert loop.once() == ["hourly"]


def test_a_job_by_hand_only_never_runs_by_itself(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"manual": "null"})
    assert loop.due("manual") == ""
    loop.go_to("2027-01-01T00:00:00")
    assert loop.once() == []


def test_an_inactive_job_does_not_run(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.lab.write({"jobs/hourly.yaml": a_job_file("hourly", schedule='"@hourly"', active="false")})
    loop.apply()
    assert loop.due("hourly") == ""
    loop.go_to("18:00")
    assert loop.once() == []
    loop.lab.write({"jobs/hourly.yaml": a_job_file("hourly", schedule='"@hourly"')})
    loop.apply()
    assert loop.due("hourly") == "01 19:00:00"


def test_a_held_job_does_not_run_until_its_hold_is_lifted_or_over(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.lab.store.set_hold("hourly", Hold(who="ann", since=START))
    loop.go_to("15:10")
    assert loop.once() == []
    until = loop.clock.now() + timedelta(hours=1)
    loop.lab.store.set_hold("hourly", Hold(who="ann", since=START, until=until))
    assert loop.once() == []
    loop.go_to("16:10")
    assert loop.once() == ["hourly"]
    assert loop.fine
    assert loop.lab.store.runs("hourly")[0].status is RunStatus.COMPLETED


def test_a_schedule_is_read_in_its_jobs_time_zone(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.lab.write({"jobs/tokyo.yaml": a_job_file("tokyo", schedule="0 9 * * *", timezone="Asia/Tokyo")})
    loop.apply()
    assert loop.due("tokyo") == "02 00:00:00"


def test_a_failed_run_waits_for_its_next_due_time_and_fails_the_pass(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"a": '"@hourly"', "b": '"@hourly"'})
    loop.lab.world(failures={"public.items": "no"})
    loop.go_to("13:00")
    assert loop.once() == ["a", "b"], "one job's failure does not stop the others"
    assert not loop.fine
    assert loop.due("a") == "01 14:00:00"


def test_a_run_whose_job_is_locked_waits_in_the_queue_and_begins_once_it_is_free(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.go_to("13:00")
    lease = loop.services.store.acquire("job:hourly", loop.services.holder, "clear", loop.clock.now())
    assert loop.once() == ["hourly"], "told that it is locked"
    assert loop.fine
    assert [r.status for r in loop.lab.store.runs()] == [RunStatus.QUEUED]
    loop.lab.store.release(lease)
    loop.go_to("13:20")
    assert loop.once() == ["hourly"]
    run = loop.lab.store.runs()[0]
    assert (run.status, run.due, run.started) == (
        RunStatus.COMPLETED,
        START.replace(hour=13, minute=0),
        START.replace(hour=13, minute=20),
    )
    assert loop.due("hourly") == "01 14:00:00"


def test_unmanaged_jobs_go_on_running(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.lab.remove("jobs/hourly.yaml")
    loop.apply()
    loop.go_to("13:00")
    assert loop.once() == ["hourly"]


def test_a_pass_that_is_stopped_starts_no_further_run_and_what_is_queued_stays_so(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"a": '"@hourly"', "b": '"@hourly"', "c": '"@hourly"'})
    loop.go_to("13:00")
    with loop.lab.surroundings():
        code = loop.loop(lambda: len(loop.launcher.orders)).once()
    assert code is ExitCode.INTERRUPTED
    statuses = {r.job: r.status for r in loop.lab.store.runs()}
    assert statuses == {"a": RunStatus.COMPLETED, "b": RunStatus.COMPLETED, "c": RunStatus.QUEUED}
    assert loop.once() == ["c"]


def test_run_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.go_to("12:59:58")

    class Watched(ManualClock):
        """Time passes as the loop waits for it."""

        def wait(self, seconds: float, wake: threading.Event) -> bool:
            return super().wait(max(seconds, 10), wake)

    loop.clock = Watched(loop.clock.now())
    end = START.replace(hour=14, minute=0, second=30)
    with loop.lab.surroundings():
        code = loop.loop(lambda: int(loop.clock.now() > end)).run()
    assert code is ExitCode.OK
    assert [f"{r.started:%H:%M}" for r in loop.lab.store.runs()] == ["14:00", "13:00"]
    assert [f"{r.due:%H:%M}" for r in loop.lab.store.runs()] == ["14:00", "13:00"]


def test_reconcile_runs_due_jobs_from_stored_settings_though_the_files_are_broken(lab: Lab) -> None:
    lab.apply()
    lab.store.set_due("daily", datetime(2020, 1, 1, tzinfo=UTC), "schedule")
    lab.write({"jobs/daily.yaml": "kind: Job\nname: daily\nstreams: 7\n"})
    outcome = lab.run("reconcile")
    assert outcome.code == 1
    assert "completed" in outcome.out
    assert "jobs/daily.yaml:3" in outcome.err
    assert lab.store.runs("daily")[0].status is RunStatus.COMPLETED


def test_what_a_hold_kept_back_runs_once_when_it_is_over(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"often": "every 15m"})
    until = START.replace(hour=16, minute=40)
    loop.lab.store.set_hold("often", Hold(who="ann", why="migration", since=START, until=until))
    loop.go_to("16:40")
    assert loop.once() == ["often"]
    assert loop.once() == []
    assert loop.due("often") == "01 16:45:00"
    run = loop.lab.store.runs()[0]
    assert (run.due, run.detail["missed"]) == (START.replace(hour=12, minute=45), 15)


def test_a_hold_that_kept_nothing_back_makes_nothing_due(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.lab.store.set_hold("hourly", Hold(who="ann", since=START, until=START.replace(minute=50)))
    loop.go_to("12:55")
    assert loop.once() == []


def test_a_run_that_was_queued_when_its_job_was_held_waits_for_the_holds_end(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.go_to("13:00")
    with loop.lab.surroundings():
        loop.loop()._scheduler._serve(loop.lab.store.agenda(loop.clock.now()), loop.clock.now())
    loop.lab.store.set_hold("hourly", Hold(who="ann", since=START))
    assert loop.once() == []
    assert [r.status for r in loop.lab.store.runs()] == [RunStatus.QUEUED]
    loop.lab.store.set_hold("hourly", None)
    assert loop.once() == ["hourly"]


def test_a_queued_run_that_is_cancelled_is_never_started(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.go_to("13:00")
    with loop.lab.surroundings():
        loop.loop()._scheduler._serve(loop.lab.store.agenda(loop.clock.now()), loop.clock.now())
    (waiting,) = loop.lab.store.runs()
    loop.lab.store.request_cancel(waiting.id)
    assert loop.once() == []
    assert [r.status for r in loop.lab.store.runs()] == [RunStatus.CANCELED]


def test_a_failed_run_that_may_go_well_is_retried_by_policy_and_counted(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {})
    text = a_job_file("hourly", schedule='"@hourly"', retry="{attempts: 2, backoff: 1m}")
    loop.lab.write({"jobs/hourly.yaml": text})
    loop.once()
    loop.lab.world(outages={"public.items": 2})
    loop.go_to("13:00")
    assert loop.once() == ["hourly"]
    assert loop.code is ExitCode.ERROR
    for minute, reason in (("13:02", "retry 1 of 2"), ("13:06", "retry 2 of 2")):
        stored = loop.lab.store.read().jobs["hourly"]
        assert stored.due_reason == reason
        loop.go_to(minute)
        assert loop.once() == ["hourly"]
    runs = loop.lab.store.runs()
    assert [(r.attempt, r.status) for r in reversed(runs)] == [
        (1, RunStatus.FAILED),
        (2, RunStatus.FAILED),
        (3, RunStatus.COMPLETED),
    ]
    assert loop.due("hourly") == "01 14:00:00"
    assert loop.lab.store.read().jobs["hourly"].attempt == 0


def test_jitter_spreads_jobs_and_every_one_runs_at_its_own_moment(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {})
    names = [f"j{n}" for n in range(5)]
    files = {f"jobs/{n}.yaml": a_job_file(n, schedule='"@hourly"', jitter="30m") for n in names}
    loop.lab.write(files)
    loop.once()
    dues = {name: loop.due(name) for name in names}
    assert len(set(dues.values())) > 1
    assert all("01 13:00:00" <= due <= "01 13:30:00" for due in dues.values())
    loop.go_to("13:30")
    assert loop.once() == sorted(names, key=lambda name: (dues[name], name))
    assert all("01 14:00:00" <= loop.due(name) <= "01 14:30:00" for name in names)


def test_a_store_that_fails_ends_no_loop_and_is_complained_of_once(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"hourly": '"@hourly"'})
    loop.go_to("13:00")
    with loop.lab.surroundings():
        daemon = loop.loop()
        failing = mock.patch.object(SqlStore, "agenda", side_effect=ReconcileError("the disk is full"))
        broken = mock.patch.object(SqlStore, "claim", side_effect=ZeroDivisionError)
        end = loop.clock.now() + timedelta(seconds=20)

        def stops() -> int:
            """The disk is full for ten seconds, then there is a bug for five."""
            left = (end - loop.clock.now()).total_seconds()
            for patch, is_on in ((failing, left > 10), (broken, 5 < left <= 10)):
                if is_on != (patch in on):
                    patch.start() if is_on else patch.stop()
                    on.symmetric_difference_update({patch})
            return int(left <= 0)

        on: set[object] = set()
        daemon._stops = stops
        assert daemon.run() is ExitCode.OK
    troubles = loop.told("loop_trouble")
    assert len(troubles) == 2
    assert troubles[0] == "the disk is full"
    assert "ZeroDivisionError" in troubles[1]
    assert loop.told("loop_recovered")
    assert loop.lab.store.runs()[0].status is RunStatus.COMPLETED


def test_a_job_whose_record_makes_no_sense_keeps_no_other_waiting_and_is_told_once(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"bad": '"@hourly"', "good": '"@hourly"'})
    lease = loop.services.store.acquire("job:bad", loop.services.holder, "test", loop.clock.now())
    bad = loop.lab.store.read().jobs["bad"]
    loop.lab.store.save_job(bad.model_copy(update={"spec": {**bad.spec, "timezone": "Mars/Base"}}), lease)
    loop.lab.store.release(lease)
    loop.lab.remove("jobs/bad.yaml")
    loop.go_to("13:00")
    assert loop.once() == ["bad", "good"]
    assert "Mars/Base" in loop.told("job_unusable")[0]
    assert [r.job for r in loop.lab.store.runs()] == ["good"]


def test_a_detached_sync_is_run_by_the_next_pass(tmp_path: Path) -> None:
    loop = Loop(tmp_path, {"manual": "null"})
    loop.lab.ok("sync", "manual", "--detach")
    assert loop.once() == ["manual"]
    run = loop.lab.store.runs()[0]
    assert (run.status, run.trigger, run.due) == (RunStatus.COMPLETED, Trigger.MANUAL, None)
    assert loop.once() == []

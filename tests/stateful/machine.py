"""Random lives of a workspace, held against a plain model of what its tables should hold.

Command lines run in this process, over a scripted world, on a clock moved by hand. A kill is an exception that no code
catches, after which every call of that command's store and engine fails as well: nothing tidies up behind it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from olake_reconcile import wiring
from olake_reconcile.clock import ManualClock
from olake_reconcile.model.codec import read_stream
from olake_reconcile.model.journal import ApplyStatus
from olake_reconcile.model.project import Project
from olake_reconcile.model.run import RunStatus, RunType
from olake_reconcile.model.stored import StoredJob, StreamPhase
from olake_reconcile.model.stream import canonical_stream
from olake_reconcile.reconcile.services import Services
from olake_reconcile.secrets import Secrets
from tests.crash.driver import watched
from tests.schedule.launching import DirectLauncher
from tests.workspaces import PROJECT_YAML, Lab, Outcome, a_lab

JOBS = ("daily", "weekly")
STREAMS = ("public.orders", "public.customers", "public.items")
START = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)

jobs = st.sampled_from(JOBS)
streams = st.sampled_from(STREAMS)
stream_settings = st.fixed_dictionaries(
    {},
    optional={
        "partition_by": st.sampled_from([["month(at)"], ["day(at)"]]),
        "filter": st.sampled_from(["id > 5", "id > 6"]),
        "destination_table": st.sampled_from(["one", "two"]),
        "on_remove": st.just("clear"),
    },
)
#: Which call of a command kills it; mostly none does.
kills = st.none() | st.integers(1, 40)


class Killed(BaseException):
    """The process died here."""


class Life(RuleBasedStateMachine):
    """A workspace, what its files say, what its tables should hold, and which clears somebody agreed to."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.lab: Lab = a_lab(Path(self._folder.name), {"olake.yaml": PROJECT_YAML})
        self.clock = ManualClock(START)
        self.lives = 0
        self.files: dict[str, dict[str, Any]] = {
            name: {"active": True, "streams": {STREAMS[0]: {}}} for name in JOBS
        }
        self.tables: dict[str, Any] = {}  # place → (stream, settings that it was loaded with)
        self.consented: Counter[tuple[str, int]] = Counter()  # place and generation that may be cleared
        self._write()

    def teardown(self) -> None:
        self._folder.cleanup()

    # What somebody does

    @rule(job=jobs, stream=streams, settings=stream_settings)
    def edit_a_stream(self, job: str, stream: str, settings: dict[str, Any]) -> None:
        given = dict(settings)
        if "destination_table" in given:
            given["destination_table"] = f"{stream.split('.')[1]}_{given['destination_table']}"
        self.files[job]["streams"][stream] = given
        self._write()

    @rule(job=jobs, stream=streams)
    def remove_a_stream(self, job: str, stream: str) -> None:
        if self.files[job]["streams"].keys() - {stream}:
            self.files[job]["streams"].pop(stream, None)
            self._write()

    @rule(job=jobs, active=st.booleans())
    def set_active(self, job: str, active: bool) -> None:
        self.files[job]["active"] = active
        self._write()

    @rule(failing=st.sets(streams, max_size=1))
    def streams_begin_to_fail(self, failing: set[str]) -> None:
        self.lab.world(failures=dict.fromkeys(failing, "bad page"))

    @rule(minutes=st.integers(10, 200))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(timedelta(minutes=minutes))

    @rule(kill=kills)
    def apply(self, kill: int | None) -> None:
        self._finish()
        plan = json.loads(self._run("plan", "--json").out)
        changes = plan["resource_changes"]
        before = self._stored()
        erased = {
            c["tables"]["old"]["database"] + "." + c["tables"]["old"]["table"]
            for c in changes
            if c["data"] == "erased"
        }
        if any(c["blocked"] for c in changes):
            assert self._run("apply", "--auto-approve").code == 3
            assert self._stored() == before, "blocked, and nothing was applied"
            return
        self._consent(erased)
        outcome = self._killable(kill, "apply", "--auto-approve")
        if outcome is None:
            self._after_a_kill(erased)
            return
        assert outcome.code == 0, outcome.text
        self._forget(erased)
        self._files_are_stored()
        assert self._run("plan", "--detailed-exitcode").code == 0, "after an apply the plan is empty"

    @rule(job=jobs, kill=kills)
    def sync(self, job: str, kill: int | None) -> None:
        self._finish()
        stored = self._stored().get(job)
        outcome = self._killable(kill, "sync", job)
        if outcome is None:
            self._adopt_loads()
        elif stored is None:
            assert outcome.code == 1
        elif stored.hold is not None or not stored.active:
            assert outcome.code == 3
        else:
            failing = self.lab.world()["failures"].keys() & {
                str(i) for i, s in stored.streams.items() if s.phase is not StreamPhase.REMOVED
            }
            assert outcome.code == (1 if failing else 0), outcome.text
            self._loaded(stored)

    @rule(job=jobs, kill=kills)
    def clear_by_hand(self, job: str, kill: int | None) -> None:
        self._finish()
        stored = self._stored().get(job)
        full = {str(s.place) for s in stored.streams.values() if _is_full(s)} if stored else set()
        if stored is not None and stored.active and stored.hold is None:
            self._consent(full)
        outcome = self._killable(kill, "clear", job, "--auto-approve")
        if outcome is None:
            self._after_a_kill(full)
        elif stored is None:
            assert outcome.code == 1
        elif stored.hold is not None or not stored.active:
            assert outcome.code == 3
        else:
            assert outcome.code == 0, outcome.text
            self._forget(full)

    @rule(job=jobs)
    def pause(self, job: str) -> None:
        self._run("pause", job)

    @rule(job=jobs)
    def resume(self, job: str) -> None:
        self._run("resume", job)

    @rule(kill=kills)
    def the_loop_passes(self, kill: int | None) -> None:
        self._finish()
        before = self._stored()
        if self._killable(kill, "reconcile") is None:
            self._adopt_loads()
            return
        now = self.clock.now()
        for name, job in before.items():
            if job.active and job.hold is None and job.due is not None and job.due <= now:
                self._loaded(job)
                after = self._stored()[name]
                assert after.due is None or after.due > now, f"{name} ran, and is due again at once"

    # What must hold whenever nothing is half done

    @invariant()
    def tables_hold_what_the_model_says(self) -> None:
        if self._is_half_done():
            return
        found = {place: (t["owner"]["job"], t["settings"]) for place, t in self.lab.tables.items()}
        assert found == self.tables

    @invariant()
    def a_table_has_no_rows_of_other_settings_than_those_of_its_generation(self) -> None:
        if self._is_half_done():
            return
        tables = self.lab.tables
        for job in self._stored().values():
            for stream in job.streams.values():
                table = tables.get(str(stream.place))
                if stream.phase is StreamPhase.PENDING:
                    assert table is None or table["owner"]["stream"] != stream.uid
                if stream.phase is StreamPhase.LIVE:
                    assert table is not None
                    assert table["owner"]["stream"] == stream.uid
                    assert table["owner"]["generation"] == stream.generation
                    assert table["settings"] == _settings(stream)

    @invariant()
    def nothing_is_cleared_without_consent_nor_twice(self) -> None:
        cleared = Counter(
            (c["owner"]["stream"], c["owner"]["generation"]) for c in self.lab.world()["clears"]
        )
        assert all(count == 1 for count in cleared.values()), cleared
        places = Counter((c["place"], c["owner"]["generation"]) for c in self.lab.world()["clears"])
        assert places <= self.consented

    @invariant()
    def a_job_has_one_running_run_at_most(self) -> None:
        running = Counter(r.job for r in self.lab.store.runs(limit=1000) if r.status is RunStatus.RUNNING)
        assert all(count == 1 for count in running.values()), running

    @invariant()
    def an_active_job_is_due_within_the_hour(self) -> None:
        if self._is_half_done():
            return
        for name, job in self._stored().items():
            if job.active:
                assert job.due is not None, f"{name} would never run"
                assert job.due <= self.clock.now() + timedelta(hours=1), name

    # The model

    def _loaded(self, job: StoredJob) -> None:
        """A sync of the job as it was stored: every stream but failing ones holds what its settings say."""
        failing = self.lab.world()["failures"]
        for stream in job.streams.values():
            if stream.phase is not StreamPhase.REMOVED and str(stream.id) not in failing:
                self.tables[str(stream.place)] = (job.name, _settings(stream))

    def _forget(self, places: set[str]) -> None:
        for place in places:
            self.tables.pop(place, None)

    def _consent(self, places: set[str]) -> None:
        tables = self.lab.tables
        self.consented.update((p, tables[p]["owner"]["generation"]) for p in places if p in tables)

    def _after_a_kill(self, places: set[str]) -> None:
        """What was consented to is done job by job: all of a job's clears or none of them."""
        self._finish()
        tables = self.lab.tables
        of_jobs: dict[str, set[bool]] = {}
        for place in places & self.tables.keys():
            of_jobs.setdefault(self.tables[place][0], set()).add(place in tables)
        assert all(len(kept) == 1 for kept in of_jobs.values()), of_jobs
        self._forget(places - tables.keys())

    def _adopt_loads(self) -> None:
        """A killed sync has loaded some streams, with their stored settings, and not the others."""
        self._finish()
        found = self.lab.tables
        for job in self._stored().values():
            for stream in job.streams.values():
                place = str(stream.place)
                wanted = _settings(stream)
                if stream.phase is not StreamPhase.REMOVED and found.get(place, {}).get("settings") == wanted:
                    self.tables[place] = (job.name, wanted)

    def _files_are_stored(self) -> None:
        for name, job in self._stored().items():
            declared = self.files[name]["streams"]
            present = {str(i): s for i, s in job.streams.items() if s.phase is not StreamPhase.REMOVED}
            assert present.keys() == declared.keys()
            assert job.active is self.files[name]["active"]
            for stream, settings in declared.items():
                for key in ("partition_by", "filter"):
                    assert present[stream].spec.get(key) == settings.get(key)
                assert present[stream].place.table == settings.get("destination_table", stream.split(".")[1])

    # Doing it

    def _write(self) -> None:
        for name, job in self.files.items():
            document = {
                "kind": "Job",
                "name": name,
                "schedule": "@hourly",
                "active": job["active"],
                "stream_defaults": {"sync_mode": "full_refresh", "destination_database": name},
                "streams": job["streams"],
            }
            self.lab.write({f"jobs/{name}.yaml": json.dumps(document)})

    def _stored(self) -> dict[str, StoredJob]:
        return self.lab.store.read().jobs

    def _is_half_done(self) -> bool:
        return bool(self.lab.store.applies(ApplyStatus.RUNNING))

    def _finish(self) -> None:
        """Any command finishes what a kill left; this one does nothing else."""
        assert self._run("sync", "no-such-job").code == 1
        assert not self._is_half_done()
        runs = [r for r in self.lab.store.runs() if r.status is RunStatus.RUNNING]
        assert all(r.type is RunType.SYNC for r in runs), "a clear stays running"

    def _run(self, *arguments: str) -> Outcome:
        outcome = self._killable(None, *arguments)
        assert outcome is not None
        return outcome

    def _killable(self, kill: int | None, *arguments: str) -> Outcome | None:
        """Run a command line; None when it was killed before its `kill`-th call."""
        self.lives += 1
        original = wiring.services_for
        calls: list[str] = []

        def watch(name: str, number: int, when: str) -> None:
            if kill is not None and number >= kill:
                raise Killed

        def services_for(root: Path, project: Project, secrets: Secrets) -> Services:
            services = original(root, project, secrets)
            # A process of its own, and one that is dead for whoever comes after.
            holder = services.holder.model_copy(update={"pid": os.getpid(), "started": f"{self.lives}"})
            return watched(replace(services, clock=self.clock, holder=holder), calls, watch)

        def launcher(root: Path, project: Project) -> DirectLauncher:
            # Runs are made here too, so that they have the clock, and die with the command that started them.
            return DirectLauncher(services_for(root, project, wiring.system_secrets(root)), project.uid)

        with mock.patch.multiple(
            wiring, services_for=services_for, warm_launcher=launcher, launcher=launcher
        ):
            try:
                return self.lab.run(*arguments)
            except Killed:
                return None


def _settings(stream: Any) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(canonical_stream(read_stream(stream.id, stream.spec))))
    return settings


def _is_full(stream: Any) -> bool:
    return stream.phase.has_data and stream.phase is not StreamPhase.REMOVED

"""A command to kill: the workspace before it, copies to kill it in, and what a workspace looks like after."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from olake_reconcile.model.stored import Stored, StoredJob
from tests.crash.applies import Change, Killed
from tests.crash.forks import Child, Driver
from tests.workspaces import Lab, a_lab

PLAN = "the.plan"


# A workspace without what differs from run to run: uids, run ids, times


def job_view(job: StoredJob) -> dict[str, Any]:
    """A job as it is stored; of its due time, whether there is one, and why."""
    streams = {str(i): (s.spec, str(s.place), s.generation, s.phase.value) for i, s in job.streams.items()}
    return {"spec": job.spec, "due": (job.due is not None, job.due_reason), "streams": streams}


def stored_view(stored: Stored) -> dict[str, Any]:
    """Everything that is stored."""
    return {
        "sources": {n: (s.spec, s.identity) for n, s in stored.sources.items()},
        "destinations": {n: (d.spec, d.identity) for n, d in stored.destinations.items()},
        "jobs": {n: job_view(j) for n, j in stored.jobs.items()},
    }


def view(lab: Lab) -> dict[str, Any]:
    """Everything that is stored, what each table holds and was loaded with, and what was cleared ever."""
    tables = {
        place: (table["rows"], table["settings"], table["owner"]["job"], table["owner"]["generation"])
        for place, table in lab.tables.items()
    }
    return {**stored_view(lab.store.read()), "tables": tables, "clears": clears(lab)}


def clears(lab: Lab) -> list[tuple[str, int]]:
    """What was cleared: each place, with the generation that was in it."""
    return sorted((c["place"], c["owner"]["generation"]) for c in lab.world()["clears"])


class Rig:
    """One apply: `base` is the workspace before it, `done` after it, `calls` what it calls on its way."""

    def __init__(self, driver: Driver, killed: Killed, folder: Path) -> None:
        self._driver = driver
        self._folder = folder
        self._copies = 0
        self._expected: dict[Any, dict[str, Any]] = {}
        self.killed = killed
        self.base = self._made_ready()
        self.done = self.copy(self.base)
        self.calls = self.run(self.done, [killed.command]).calls

    def _made_ready(self) -> Lab:
        (self._folder / "base").mkdir()
        lab = a_lab(self._folder / "base", {})
        for step in self.killed.before:
            change(lab, step)
            lab.apply()
            for name, job in lab.store.read().jobs.items():
                if job.active:
                    lab.ok("sync", name)
        lab.world(clears=[])
        change(lab, self.killed.after)
        if self.killed.command[0] == "apply":
            self.run(lab, [("plan", "--out", PLAN, *self.killed.command[2:])])
        return lab

    def copy(self, lab: Lab) -> Lab:
        """Return a workspace of its own that is as `lab` is."""
        self._copies += 1
        folder = self._folder / str(self._copies)
        shutil.copytree(lab.folder, folder)
        return Lab(folder)

    def drop(self, *labs: Lab) -> None:
        """Remove copies: there are many."""
        for lab in labs:
            shutil.rmtree(lab.folder)

    def run(
        self, lab: Lab, commands: list[tuple[str, ...]], codes: tuple[int, ...] = (0,), where: str = ""
    ) -> Child:
        """Run command lines, each of which must end with one of `codes`."""
        child = self._driver.run(lab.folder, *commands, environment=self.killed.after.environment)
        for command, outcome in zip(commands, child.outcomes, strict=True):
            assert outcome.code in codes, f"{where}: {' '.join(command)}: {outcome.code}\n{outcome.text}"
        return child

    def expected(self, follower: Callable[[Rig, Lab, str], dict[str, Any]]) -> dict[str, Any]:
        """Return what the workspace looks like when `follower` is done after the command that nobody killed."""
        if follower not in self._expected:
            lab = self.copy(self.done)
            self._expected[follower] = follower(self, lab, "not killed")
            self.drop(lab)
        return self._expected[follower]

    @property
    def points(self) -> list[tuple[int, str]]:
        """Where to kill: before each call, and after the last. Nothing is written between two calls."""
        return [(n + 1, "before") for n in range(len(self.calls))] + [(len(self.calls), "after")]

    def kill(self, point: tuple[int, str]) -> Lab:
        """Return the workspace as the command leaves it when it is killed at `point`."""
        lab = self.copy(self.base)
        environment = self.killed.after.environment
        child = self._driver.run(lab.folder, self.killed.command, environment=environment, kill=point)
        assert child.killed
        return lab


def change(lab: Lab, wanted: Change) -> None:
    """Make the workspace what `wanted` says."""
    lab.write({name: text for name, text in wanted.files.items() if text is not None})
    for name, text in wanted.files.items():
        if text is None:
            (lab.root / name).unlink(missing_ok=True)

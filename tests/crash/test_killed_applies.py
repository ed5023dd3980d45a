"""kill -9 at every step of an apply: whatever is done next, it ends as without the kill (design §6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olake_reconcile.model.journal import ApplyStatus, StepKind
from olake_reconcile.model.run import RunStatus
from olake_reconcile.reconcile.runs import finish_applies
from olake_reconcile.state.holder import is_dead
from tests.crash.applies import APPLIES
from tests.crash.forks import Driver
from tests.crash.rig import PLAN, Rig, change, clears, job_view, view
from tests.workspaces import Lab

pytestmark = pytest.mark.crash

# These in every run of the suite, one follower per point; everything behind `make soak`.
ALWAYS = ["removal with erase", "clear by hand", "endpoint, job and removal"]


@pytest.mark.parametrize("name", ALWAYS)
def test_a_killed_apply_ends_as_if_it_had_not_been_killed(driver: Driver, tmp_path: Path, name: str) -> None:
    rig = Rig(driver, APPLIES[name], tmp_path)
    for number, point in enumerate(rig.points):
        _check(rig, point, [FOLLOWERS[number % len(FOLLOWERS)]])


@pytest.mark.soak
@pytest.mark.parametrize("name", APPLIES)
def test_every_killed_apply_ends_as_if_it_had_not_been_killed(
    driver: Driver, tmp_path: Path, name: str
) -> None:
    rig = Rig(driver, APPLIES[name], tmp_path)
    for point in rig.points:
        _check(rig, point, FOLLOWERS)


def _check(rig: Rig, point: tuple[int, str], followers: list[Callable[[Rig, Lab, str], Any]]) -> None:
    number, when = point
    where = f"killed {when} call {number} ({rig.calls[number - 1]})"
    killed = rig.kill(point)
    _recovery(rig, killed, where)
    for follower in followers:
        lab = rig.copy(killed)
        expected, found = rig.expected(follower), follower(rig, lab, where)
        _nothing_is_left(lab, where)
        if follower is _an_apply_of_changed_files:
            # Without the kill more may have been cleared: what was consented to, and then what came of the edit.
            extra, most = found.pop("clears"), expected["clears"]
            assert all(extra.count(c) <= most.count(c) for c in extra), where
            found["clears"] = most
        assert found == expected, f"{where}, then {follower.__name__}"
        rig.drop(lab)
    rig.drop(killed)


def _recovery(rig: Rig, killed: Lab, where: str) -> None:
    """Each job is done exactly as consented, or as it was: nothing lies between."""
    lab = rig.copy(killed)
    before, done = rig.base.store.read().jobs, rig.done.store.read().jobs
    past = _past_return(rig, lab)
    finish_applies(lab.services())
    _nothing_is_left(lab, where)
    after = lab.store.read().jobs
    for name in before.keys() | done.keys():
        if name in past:
            assert job_view(after[name]) == job_view(done[name]), f"{where}: {name} is rolled forward"
        elif name in before:
            assert after[name] == before[name], f"{where}: {name} is as it was, its due time too"
        else:
            assert name not in after, f"{where}: {name} was not created yet"
    assert set(clears(lab)) <= set(clears(rig.done)), f"{where}: nothing else is cleared"
    rig.drop(lab)


def _past_return(rig: Rig, lab: Lab) -> set[str]:
    """The jobs that have begun to clear, or whose settings are stored, or whose source is another server now."""
    stored, before = lab.store.read(), rig.base.store.read()
    other = {
        n
        for n, s in stored.sources.items()
        if n in before.sources and s.identity != before.sources[n].identity
    }
    begun = {
        step.subject.split(".")[1]
        for record in lab.store.applies(ApplyStatus.RUNNING)
        for step in lab.store.journal(record.id)
        if step.kind is StepKind.STREAM_CLEARED
    }
    serials = {name: job.serial for name, job in before.jobs.items()}
    changed = {
        n for n, j in stored.jobs.items() if j.serial != serials.get(n, 0) or j.spec["source"] in other
    }
    return begun | changed


def _nothing_is_left(lab: Lab, where: str) -> None:
    store = lab.store
    assert not store.applies(ApplyStatus.RUNNING), f"{where}: the journal is closed"
    assert all(is_dead(lease.holder) for lease in store.leases()), f"{where}: no lease that keeps anybody out"
    running = [r.id for r in store.runs() if r.status is RunStatus.RUNNING]
    assert not running, f"{where}: no run is left running"


# What is done after the kill, and what the workspace looks like then


def _another_apply(rig: Rig, lab: Lab, where: str) -> dict[str, Any]:
    rig.run(lab, [rig.killed.command, _NO_CHANGES], where=where)
    return view(lab)


def _the_same_saved_plan(rig: Rig, lab: Lab, where: str) -> dict[str, Any]:
    if rig.killed.command[0] != "apply":
        return _another_apply(rig, lab, where)
    # Stale only where it was done to its end.
    done = not lab.store.applies(ApplyStatus.RUNNING) and view(lab) == view(rig.done)
    rig.run(lab, [("apply", PLAN)], (4,) if done else (0,), where)
    rig.run(lab, [_NO_CHANGES], where=where)
    return view(lab)


def _a_loop_pass(rig: Rig, lab: Lab, where: str) -> dict[str, Any]:
    rig.run(lab, [("reconcile",)], where=where)
    _nothing_is_left(lab, where)
    rig.run(lab, [rig.killed.command, _NO_CHANGES, ("reconcile",)], where=where)
    return view(lab)


def _an_apply_of_changed_files(rig: Rig, lab: Lab, where: str) -> dict[str, Any]:
    change(lab, rig.killed.meanwhile)
    again = [rig.killed.command]
    if rig.killed.command[0] != "apply":
        again.append(("apply", "--auto-approve"))
    syncs = [("sync", name) for name in ("daily", "weekly") if (lab.root / f"jobs/{name}.yaml").exists()]
    rig.run(lab, [*again, _NO_CHANGES, *syncs], where=where)
    return view(lab)


_NO_CHANGES = ("plan", "--detailed-exitcode")

FOLLOWERS: list[Callable[[Rig, Lab, str], Any]] = [
    _another_apply,
    _the_same_saved_plan,
    _a_loop_pass,
    _an_apply_of_changed_files,
]

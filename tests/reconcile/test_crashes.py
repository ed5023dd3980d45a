"""kill -9 before and after every write of an apply: what comes next ends where an unkilled apply ends (design §6)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from olake_reconcile.model.journal import ApplyStatus
from tests.reconcile.crashing import copy_of, killed_at
from tests.workspaces import DAILY_YAML, Lab

# Forking is the point here; Python 3.12 warns of it where there are threads.
pytestmark = [pytest.mark.crash, pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")]

REBUILD = DAILY_YAML.replace("  public.orders:\n", "  public.orders: {partition_by: [day(at)]}\n").replace(
    "  public.customers:\n", "  public.customers: {destination_table: clients}\n  public.items:\n"
)
ERASE = DAILY_YAML.replace("  public.orders:\n", "")
TO_ERASE = DAILY_YAML.replace("public.orders:", "public.orders: {on_remove: clear}")


def everything(lab: Lab) -> dict[str, Any]:
    """Return all that matters of a state and its world: who holds what, and what is owed."""
    stored = lab.store.read()
    uids = {s.uid: f"{j.name}/{s.id}" for j in stored.jobs.values() for s in j.streams.values()}
    return {
        "jobs": {
            name: (
                job.spec,
                job.serial,
                job.due_reason,
                {str(i): (s.spec, s.phase, s.generation, s.place) for i, s in job.streams.items()},
            )
            for name, job in stored.jobs.items()
        },
        "endpoints": {n: e.spec for n, e in (stored.sources | stored.destinations).items()},
        "tables": {
            place: (table["rows"], table["settings"], uids.get(table["owner"]["stream"]))
            for place, table in lab.tables.items()
        },
    }


@pytest.fixture
def synced(lab: Lab) -> Lab:
    lab.apply()
    lab.ok("sync", "daily")
    return lab


def erased(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": TO_ERASE})
    lab.apply()
    lab.write({"jobs/daily.yaml": ERASE})


def rebuilt(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": REBUILD})


def paused_and_rebuilt(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": REBUILD.replace("schedule:", "active: false\nschedule:")})


EDITS: dict[str, Callable[[Lab], None]] = {
    "rebuild and move": rebuilt,
    "rebuild and pause": paused_and_rebuilt,
    "erase": erased,
}


def killed_everywhere(lab: Lab, folder: Path, every: int = 1) -> dict[int, Lab]:
    """Return a lab for each moment at which an apply was killed, or for `every` so many."""
    labs: dict[int, Lab] = {}
    for moment in count(0, every):
        copy = copy_of(lab, folder / str(moment))
        if not killed_at(copy, moment, "apply", "--auto-approve"):
            break
        labs[moment] = copy
    assert len(labs) * every > 10
    return labs


@pytest.mark.parametrize("edit", EDITS)
def test_killed_anywhere_another_apply_ends_as_if_nothing_had_happened(
    edit: str, synced: Lab, tmp_path: Path
) -> None:
    EDITS[edit](synced)
    unkilled = copy_of(synced, tmp_path / "unkilled")
    unkilled.apply()
    wanted = everything(unkilled)
    every = 1 if edit == "rebuild and move" else 2
    for moment, lab in killed_everywhere(synced, tmp_path, every).items():
        lab.apply()
        assert everything(lab) == wanted, f"killed at moment {moment}"
        assert not lab.store.applies(ApplyStatus.RUNNING)
        assert "No changes." in lab.ok("plan").out
        clears = [r for r in lab.store.runs("daily") if r.type == "clear"]
        assert all(r.status.is_final for r in clears), f"killed at moment {moment}"


def test_killed_anywhere_a_loop_pass_finishes_or_leaves_it_and_serves_no_half_done_job(
    synced: Lab, tmp_path: Path
) -> None:
    rebuilt(synced)
    before = everything(copy_of(synced, tmp_path / "untouched"))["jobs"]["daily"][3]
    for moment, lab in killed_everywhere(synced, tmp_path, 2).items():
        outcome = lab.run("reconcile")
        assert outcome.code == 0, f"killed at moment {moment}: {outcome.text}"
        assert not lab.store.applies(ApplyStatus.RUNNING)
        streams = everything(lab)["jobs"]["daily"][3]
        if streams != before:  # it went forward: then it went all the way, and loaded what it cleared
            assert {s[1] for s in streams.values()} == {"live"}
            assert lab.tables.keys() == {"sales.orders", "sales.clients", "sales.items"}
        else:
            assert lab.tables.keys() == {"sales.orders", "sales.customers"}
        lab.apply()
        assert "No changes." in lab.ok("plan").out


def test_killed_past_the_first_clear_it_is_finished_as_consented_though_the_files_changed(
    synced: Lab, tmp_path: Path
) -> None:
    rebuilt(synced)
    changed = 0
    for moment, lab in killed_everywhere(synced, tmp_path, 2).items():
        lab.write({"jobs/daily.yaml": DAILY_YAML})
        begun = lab.tables.keys() != {"sales.orders", "sales.customers"}
        lab.apply()
        streams = lab.store.read().jobs["daily"].streams
        generations = {str(i): s.generation for i, s in streams.items()}
        if begun:
            # Rolled forward to the consented settings, and from there by a plan of its own to the new files.
            changed += 1
            assert generations["public.orders"] >= 2, f"killed at moment {moment}"
        assert "No changes." in lab.ok("plan").out
        assert not lab.store.applies(ApplyStatus.RUNNING)
    assert changed > 2


def test_killed_before_the_first_clear_nothing_is_cleared_and_the_schedule_goes_on(
    synced: Lab, tmp_path: Path
) -> None:
    rebuilt(synced)
    due = synced.store.read().jobs["daily"].due
    for lab in killed_everywhere(synced, tmp_path).values():
        steps = [s.kind for a in lab.store.applies() for s in lab.store.journal(a.id)]
        if "stream_cleared" in steps or "settings_stored" in steps:
            continue
        assert lab.tables.keys() == {"sales.orders", "sales.customers"}
        lab.ok("reconcile")  # abandons it
        assert lab.store.read().jobs["daily"].due == due
        assert [a.status for a in lab.store.applies()][0:1] != [ApplyStatus.RUNNING]


def test_killed_in_its_first_apply_a_job_is_applied_by_the_next(lab: Lab, tmp_path: Path) -> None:
    unkilled = copy_of(lab, tmp_path / "unkilled")
    unkilled.apply()
    for moment, killed in killed_everywhere(lab, tmp_path).items():
        killed.apply()
        assert everything(killed) == everything(unkilled), f"killed at moment {moment}"

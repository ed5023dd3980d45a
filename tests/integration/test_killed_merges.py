"""kill -9 at every step of a merge, and writers that race: the table is always at one position, wholly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mergers import Mergers, expected, lab_in
from tablelab import TableLab

from olake_reconcile.destinations.iceberg.expire import expired_lists

pytestmark = [pytest.mark.integration, pytest.mark.crash]


@pytest.fixture(scope="module")
def mergers() -> Iterator[Mergers]:
    mergers = Mergers()
    yield mergers
    mergers.close()


def position(lab: TableLab) -> int:
    with lab.change() as (_, change):
        return -1 if change.position is None else int(change.position["at"])


def check(lab: TableLab) -> int:
    """The rows are those of the position; returns it."""
    found = position(lab)
    if found >= 0:
        rows = sorted(expected(found), key=lambda r: str(r["id"]))
        assert lab.read() == rows
    return found


def kill_at_every_step(mergers: Mergers, folder: Path, first: int, every: int) -> int:
    """Kill a merge at its steps one after the other, and let it be repeated each time; return how many were killed."""
    lab = lab_in(folder)
    for _ in range(first):
        assert mergers.run(folder) == [0]
    before = position(lab)
    for steps in range(0, 1000, every):
        if mergers.run(folder, steps=steps) == [0]:
            assert check(lab) == before + 1
            return steps
        after = check(lab)
        assert after in (before, before + 1)
        if after == before:
            assert mergers.run(folder) == [0]
            assert check(lab) == before + 1
        before += 1
    raise AssertionError("the merge never ends")


@pytest.mark.parametrize("first", [0, 3], ids=["first commit", "merge"])
def test_a_killed_merge_is_done_or_not_and_repeated_to_the_same_end(
    mergers: Mergers, tmp_path: Path, first: int
) -> None:
    assert kill_at_every_step(mergers, tmp_path, first, 4 if first else 5) >= 3


@pytest.mark.soak
@pytest.mark.parametrize("first", range(8))
def test_a_merge_killed_at_every_single_step(mergers: Mergers, tmp_path: Path, first: int) -> None:
    kill_at_every_step(mergers, tmp_path, first, 1)


def kill_maintenance(mergers: Mergers, folder: Path, every: int) -> int:
    """Kill maintenance at its steps one after the other; the rows stay, and every file that is live. Return how many."""
    lab = lab_in(folder)
    assert mergers.run(folder) == [0]
    for steps in range(0, 1000, every):
        for _ in range(3):
            assert mergers.run(folder) == [0]
        before = position(lab)
        ended = mergers.run(folder, steps=steps, maintain=True)
        assert check(lab) == before
        assert mergers.run(folder, maintain=True) == [0]
        assert check(lab) == before
        for snapshot in lab.table().metadata.snapshots:
            assert lab.table().scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows == 60
        assert expired_lists(lab.table().properties) == []
        if ended == [0]:
            return steps
    raise AssertionError("maintenance never ends")


def test_killed_maintenance_changes_no_row_and_the_next_finishes_it(mergers: Mergers, tmp_path: Path) -> None:
    assert kill_maintenance(mergers, tmp_path, 13) >= 26


@pytest.mark.soak
def test_maintenance_killed_at_every_single_step(mergers: Mergers, tmp_path: Path) -> None:
    kill_maintenance(mergers, tmp_path, 1)


@pytest.mark.parametrize("how", ["append", "merge"])
def test_racing_writers_neither_lose_nor_double_a_row(mergers: Mergers, tmp_path: Path, how: str) -> None:
    goal = 12
    assert mergers.run(tmp_path, writers=3, goal=goal, how=how) == [0, 0, 0]
    lab = TableLab(tmp_path)
    assert position(lab) == goal
    found = [r["id"] for r in lab.read()]
    assert sorted(found) == (list(range(goal)) if how == "append" else [0])

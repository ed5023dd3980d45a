"""300 jobs over a year: restarts, holds, overruns, failures, and clocks that are put forward and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.schedule.memory import MemoryStore
from tests.schedule.year import JOBS, SqliteQueue, World


def test_in_a_year_every_due_time_of_300_jobs_is_honoured_once_and_in_order(tmp_path: Path) -> None:
    assert JOBS == 300
    world = World(tmp_path, 365, MemoryStore())
    world.live()
    fates = world.check()
    # Nothing in it is left to chance that never came: the year had all of it.
    assert fates["on time"] > 50_000
    assert min(fates["late"], fates["coalesced"], fates["overlap"]) > 50
    assert fates["again"] > 5
    assert world.restarts > 30


def test_a_day_on_the_real_store_is_no_different(tmp_path: Path) -> None:
    world = World(tmp_path, 1, SqliteQueue(tmp_path))
    world.live()
    assert world.check()["on time"] > 70


@pytest.mark.soak
def test_a_year_on_the_real_store_is_no_different(tmp_path: Path) -> None:
    world = World(tmp_path, 365, SqliteQueue(tmp_path))
    world.live()
    assert world.check()["on time"] > 50_000

"""kill -9 at random moments of backfills and incremental runs, under a source that never stops writing."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from lab import Lab, owner
from sync_driver import SyncDriver
from test_incremental import APPEND, UPSERT, held, source

from olake_reconcile.model.stream import Stream

pytestmark = [pytest.mark.integration, pytest.mark.crash]

ROWS = 4000
#: A run takes a fraction of a second on two quiet cores; one that ends before its kill is not counted.
LONGEST = 1.2


class Writer:
    """Two sessions that insert, update and roll back, with savepoints, each transaction open for a while."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self._lab = lab
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(seed + i,)) for i in range(2)]

    def __enter__(self) -> Writer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, seed: int) -> None:
        chance = random.Random(seed)
        with self._lab.connect() as connection:
            while not self._stop.is_set():
                connection.execute("BEGIN")
                for number in range(chance.randint(1, 3)):
                    connection.execute(f"SAVEPOINT s{number}")
                    at = chance.choice(("now()", "clock_timestamp()"))
                    connection.execute(
                        f"INSERT INTO log (at, note) SELECT {at}, 'new' FROM generate_series(1, 3)"
                    )
                    connection.execute(f"INSERT INTO orders (at, note) VALUES ({at}, 'new')")
                    connection.execute(
                        f"UPDATE orders SET at = {at}, note = 'changed {number}' WHERE id = %s",
                        (chance.randint(1, ROWS),),
                    )
                    if chance.random() < 0.2:
                        connection.execute(f"ROLLBACK TO SAVEPOINT s{number}")
                    self._stop.wait(chance.random() * 0.1)
                connection.execute(chance.choice(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK")))


@pytest.fixture
def driver() -> Iterator[SyncDriver]:
    running = SyncDriver()
    yield running
    running.close()


def streams(lab: Lab, life: int) -> list[Stream]:
    return [
        lab.incremental("public.log", "at", write_mode=APPEND, destination_table=f"log{life}"),
        lab.incremental("public.orders", "at", write_mode=UPSERT, destination_table=f"orders{life}"),
    ]


def kill_one(lab: Lab, driver: SyncDriver, stream: Stream, after: float) -> bool:
    """Start a run and kill it; tell whether the kill came in time."""
    source = lab.source.config.model_dump(mode="json") | {"password": lab.server.password}
    request = {
        "folder": str(lab.folder),
        "stream": stream.model_dump(mode="json"),
        "owner": owner(stream.id).model_dump(),
        "source": source,
        "chunk_bytes": 48 << 10,
    }
    pid = driver.start(request)
    time.sleep(after)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    status = driver.wait()
    assert status in (0, -signal.SIGKILL)
    return status != 0


def assert_equal(lab: Lab, stream: Stream) -> None:
    name = stream.destination_table
    assert held(lab, 'id, note, "at"', name) == source(lab, 'id, note, "at"', stream.id.name), name


def kill_and_compare(lab: Lab, driver: SyncDriver, moments: int, seed: int) -> None:
    """Kill `moments` runs, then let every stream finish: all tables must equal their sources."""
    chance = random.Random(seed)
    for table in ("log", "orders"):
        lab.sql(
            f"CREATE TABLE {table} (id bigserial PRIMARY KEY, at timestamptz, note text)",
            f"INSERT INTO {table} (at, note) SELECT now() - interval '1 hour', repeat('x', 60) || g "
            f"FROM generate_series(1, {ROWS}) g",
            f"CREATE INDEX ON {table} (at)",
        )
    killed = tried = 0
    with Writer(lab, seed):
        while killed < moments:
            tried += 1
            assert tried <= 10 * moments, "runs end before they are killed"
            # A life begins with a backfill, killed once or twice, and goes on with incremental runs.
            stream = chance.choice(streams(lab, killed // 6))
            killed += kill_one(lab, driver, stream, chance.random() * LONGEST)
            if chance.random() < 0.5:
                lab.load(stream, run_id=f"again-{tried}")
    lives = (moments - 1) // 6 + 1
    for life in range(lives):
        for stream in streams(lab, life):
            lab.positions.clear()
            lab.load(stream, run_id=f"end-{life}")
            assert_equal(lab, stream)
            files = lab.files()
            assert lab.load(stream).files == 0
            assert lab.files() == files


def test_killed_runs_lose_nothing_and_repeat_nothing(lab: Lab, driver: SyncDriver) -> None:
    kill_and_compare(lab, driver, moments=6, seed=random.randrange(1 << 30))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_runs_killed_at_fifty_moments_lose_nothing_and_repeat_nothing(lab: Lab, driver: SyncDriver) -> None:
    kill_and_compare(lab, driver, moments=50, seed=random.randrange(1 << 30))

"""The first load of a stream that is read by a cursor: in ranges of its key, and never the same range twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lab import Lab
from local_postgres import LocalPostgres
from test_incremental import APPEND, BOTH, UPSERT, assert_nothing_new, assert_same, held, source

from olake_reconcile.engine import first_load as engine
from olake_reconcile.engine.load import Load
from olake_reconcile.model.event import (
    Event,
    StreamCancelled,
    StreamCheckpoint,
    StreamCommitted,
    StreamFailed,
    StreamStarted,
)
from olake_reconcile.model.stream import Stream, WriteMode
from olake_reconcile.sources.postgres import chunks, key_ranges
from olake_reconcile.sources.postgres.position import Backfill

pytestmark = pytest.mark.integration

PAD = "repeat('x', 200)"


@pytest.fixture(autouse=True)
def many_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables in many ranges, and a checkpoint after each."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 64 << 10)
    monkeypatch.setattr(chunks, "SPLIT_ABOVE", 64 << 10)
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(engine, "CHECKPOINT_SHARE", 0.0)


def table(lab: Lab, columns: str = "id int PRIMARY KEY", values: str = "g", rows: int = 3000) -> None:
    lab.sql(
        f"CREATE TABLE t ({columns}, at timestamptz, note text)",
        f"INSERT INTO t SELECT {values}, now() - interval '1 day', {PAD} || g FROM generate_series(1, {rows}) g",
    )


def stream(lab: Lab, mode: WriteMode = UPSERT, **settings: Any) -> Stream:
    return lab.incremental("public.t", "at", write_mode=mode, **settings)


def stop_after(checkpoints: int) -> dict[str, Any]:
    """Cancel when so many checkpoints were made."""
    seen: list[Event] = []
    return {
        "watch": lambda e: seen.append(e) if isinstance(e, StreamCheckpoint) else None,
        "cancelled": lambda: len(seen) >= checkpoints,
    }


@pytest.fixture
def read_conditions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The conditions of the pieces that were read to their end."""
    conditions: list[str] = []
    real = Load.read

    def read(self: Load, target: Any, pieces: Any, *rest: Any) -> Any:
        loaded = real(self, target, pieces, *rest)
        conditions.extend(dict(pieces)[number] for number in loaded.pieces)
        return loaded

    monkeypatch.setattr(Load, "read", read)
    return conditions


@BOTH
def test_a_first_load_commits_as_it_goes_and_ends_where_the_next_run_begins(
    lab: Lab, mode: WriteMode
) -> None:
    table(lab)
    events = lab.run(stream(lab, mode))
    checkpoints = [e for e in events if isinstance(e, StreamCheckpoint)]
    assert len(checkpoints) >= 4
    assert [e.rows for e in checkpoints] == sorted({e.rows for e in checkpoints})
    assert isinstance(events[-1], StreamCommitted)
    assert events[-1].rows == 3000
    assert "backfill" not in events[-1].position
    assert_same(lab)
    assert_nothing_new(lab, stream(lab, mode))


@BOTH
def test_a_stopped_load_goes_on_with_what_is_left_and_reads_what_changed_since(
    lab: Lab, mode: WriteMode, read_conditions: list[str]
) -> None:
    table(lab)
    assert isinstance(lab.run(stream(lab, mode), **stop_after(2))[-1], StreamCancelled)
    before, finished = source(lab), list(read_conditions)
    assert 0 < sum(held(lab).values()) < 3000
    lab.positions.clear()  # the table is enough to go on from
    lab.sql(
        "UPDATE t SET note = 'changed', at = clock_timestamp() WHERE id % 100 = 0",
        "INSERT INTO t SELECT g, clock_timestamp(), 'new' FROM generate_series(3001, 3050) g",
        "INSERT INTO t SELECT -g, clock_timestamp(), 'new' FROM generate_series(1, 50) g",
    )
    lab.load(stream(lab, mode))
    assert len(finished) >= 2
    assert not set(finished) & set(read_conditions[len(finished) :]), "finished ranges are not read again"
    if mode is UPSERT:
        assert_same(lab)
    else:
        both = Counter(dict.fromkeys((before | source(lab)).keys(), 1))
        assert source(lab) <= held(lab) <= both
    assert_nothing_new(lab, stream(lab, mode))


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("a int, id text, PRIMARY KEY (a, id)", "g % 3, g::text"),
        ("id text COLLATE \"C\" PRIMARY KEY", "md5(g::text)"),
        ("id uuid PRIMARY KEY", "md5(g::text)::uuid"),
        ("id numeric PRIMARY KEY", "CASE WHEN g = 3000 THEN 9e18 ELSE -g * 0.5 END"),
        ("id timestamptz PRIMARY KEY", "'2000-01-01'::timestamptz + g * interval '1 second'"),
        ("id bytea PRIMARY KEY", "decode(md5(g::text), 'hex')"),
        ("id char(12) PRIMARY KEY", "'k' || g"),
    ],
)  # fmt: skip
def test_keys_of_every_kind_are_cut_by_the_server_s_order(lab: Lab, columns: str, values: str) -> None:
    table(lab, columns, values)
    first = lab.run(stream(lab, APPEND), **stop_after(2))
    started = next(e for e in first if isinstance(e, StreamStarted))
    assert started.chunks > 4
    assert sum(lab.load(stream(lab, APPEND)).rows for _ in range(2)) < 3000
    assert_same(lab, "note")


def test_a_chunk_column_is_cut_by_and_its_nulls_are_loaded_too(lab: Lab) -> None:
    table(lab, "id int, part int", "g, nullif(g % 500, 0)")
    settings = stream(lab, APPEND, chunk_column="part")
    first = lab.run(settings, **stop_after(1))
    assert isinstance(first[-1], StreamCancelled)
    lab.load(settings)
    assert_same(lab, "id, part")
    assert_nothing_new(lab, settings)


def test_an_upsert_survives_rows_that_move_between_ranges(lab: Lab) -> None:
    table(lab, "id int PRIMARY KEY, part int", "g, g")
    settings = stream(lab, chunk_column="part")
    lab.run(settings, **stop_after(2))
    lab.sql("UPDATE t SET part = 4000 - part, at = clock_timestamp() WHERE id % 2 = 0")
    lab.load(settings)
    assert_same(lab, "id, part")


def test_a_server_that_dies_in_a_first_load_costs_what_was_not_committed(tmp_path: Path) -> None:
    with LocalPostgres(settings={"fsync": "on", "synchronous_commit": "on"}) as server:
        lab = Lab(server, "postgres", tmp_path)
        table(lab)
        crashed: list[Event] = []

        def crash(event: Event) -> None:
            if isinstance(event, StreamCheckpoint) and not crashed:
                crashed.append(event)
                server.crash()

        assert isinstance(lab.run(stream(lab), watch=crash)[-1], StreamFailed)
        there = sum(held(lab).values())
        server.restart()
        lab.sql("UPDATE t SET note = 'changed', at = clock_timestamp() WHERE id IN (1, 1500, 3000)")
        assert 0 < there < 3000
        assert lab.load(stream(lab)).rows <= 3000 - there + 6
        assert_same(lab)


def test_values_that_met_their_policy_are_counted_over_all_phases_of_a_run(lab: Lab) -> None:
    table(
        lab, "id int PRIMARY KEY, price numeric(5,2)", "g, CASE WHEN g % 2 = 0 THEN 'NaN'::numeric ELSE 1 END"
    )
    [*_, stopped] = lab.run(stream(lab), **stop_after(1))
    assert isinstance(stopped, StreamCancelled)
    there = sum(held(lab).values())
    lab.sql("INSERT INTO t SELECT g, 'NaN', clock_timestamp(), 'new' FROM generate_series(3001, 3100) g")
    event = lab.load(stream(lab))
    [count] = event.policies
    # The new rows are above all ranges but the last, and read twice: by it, and by what follows the load.
    assert (3000 - there) // 2 + 100 <= count.count <= (3000 - there) // 2 + 202
    assert_same(lab, "id")


def test_a_table_without_a_key_starts_over(lab: Lab) -> None:
    table(lab, "id int", "g % 700")
    events = lab.run(stream(lab, APPEND), **stop_after(1))
    assert not [e for e in events if isinstance(e, StreamCheckpoint)]
    assert held(lab) == source(lab)
    assert_nothing_new(lab, stream(lab, APPEND))


def test_the_number_of_ranges_is_bounded_and_scattered_keys_get_few(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(lab, "id int PRIMARY KEY", "(g::bigint * 7919 % 3001)::int")
    monkeypatch.setattr(key_ranges, "SPLIT_ABOVE", 64 << 10)
    monkeypatch.setattr(key_ranges, "MAX_RANGES", 10)
    monkeypatch.setattr(key_ranges, "MAX_SCATTERED", 5)
    for ranges in (10, 5):
        events = lab.run(stream(lab, destination_table=f"t{ranges}"), **stop_after(1))
        assert next(e for e in events if isinstance(e, StreamStarted)).chunks == ranges
        lab.sql("ANALYZE t")


def test_a_backfill_remembers_its_finished_ranges_as_runs() -> None:
    backfill = Backfill(key=("id",), cuts=(("1",), ("2",), ("3",)), nulls=True)
    backfill = backfill.finish([3, 1]).finish([2])
    assert (backfill.done, backfill.unfinished()) == (((1, 4),), [0, 4])

"""Reading by a cursor: no row lost, none twice, whatever the source does between and during two runs."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from lab import Lab

from olake_reconcile.engine import stream_run as engine
from olake_reconcile.model.event import Logged, StreamCommitted, StreamFailed
from olake_reconcile.model.stream import NullCursor, Stream, WriteMode

pytestmark = pytest.mark.integration

APPEND, UPSERT = WriteMode.APPEND, WriteMode.UPSERT
BOTH = pytest.mark.parametrize("mode", [APPEND, UPSERT])

ORDERS = "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, note text)"


def orders(lab: Lab, mode: WriteMode = UPSERT, **settings: Any) -> Stream:
    return lab.incremental("public.t", "at", write_mode=mode, **settings)


def held(lab: Lab, columns: str = "id, note", name: str = "t") -> Counter[tuple[Any, ...]]:
    """The rows at the destination, as DuckDB reads them; rows that are marked as deleted are none."""
    found = lab.duck(name, f"SELECT {columns} FROM t WHERE _op_type <> 'd'")
    return Counter(zip(*(c.to_pylist() for c in found.columns), strict=True))


def source(lab: Lab, columns: str = "id, note", name: str = "t") -> Counter[tuple[Any, ...]]:
    return Counter(lab.sql(f"SELECT {columns} FROM {name}"))


def insert(first: int, last: int, at: str = "clock_timestamp()") -> str:
    return f"INSERT INTO t SELECT g, {at}, 'row ' || g FROM generate_series({first}, {last}) g"


def assert_same(lab: Lab, columns: str = "id, note") -> None:
    assert held(lab, columns) == source(lab, columns)


def assert_nothing_new(lab: Lab, stream: Stream) -> None:
    """A run without changes writes no file and no snapshot."""
    files = lab.files()
    head = lab.table(stream.destination_table).metadata.current_snapshot_id
    event = lab.load(stream)
    assert (event.rows, event.files, event.snapshot) == (0, 0, str(head))
    assert lab.files() == files


@contextmanager
def writing(lab: Lab, *statements: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A transaction that is open, and commits at the end."""
    with lab.connect() as connection:
        connection.execute("BEGIN")
        for statement in statements:
            connection.execute(statement)
        yield connection
        connection.execute("COMMIT")


# -- the ordinary --------------------------------------------------------------------------------


@BOTH
def test_new_and_changed_rows_arrive_and_a_run_without_changes_writes_nothing(
    lab: Lab, mode: WriteMode
) -> None:
    lab.sql(ORDERS, insert(1, 100))
    stream = orders(lab, mode)
    assert lab.load(stream).rows == 100
    assert_nothing_new(lab, stream)
    lab.sql(insert(101, 150), "UPDATE t SET note = 'changed', at = clock_timestamp() WHERE id <= 10")
    assert lab.load(stream).rows == 60
    if mode is UPSERT:
        assert_same(lab)
    else:
        assert held(lab) == source(lab) + Counter({(i, f"row {i}"): 1 for i in range(1, 11)})
    assert_nothing_new(lab, stream)
    kinds = Counter(lab.duck("t", "SELECT _op_type FROM t").column(0).to_pylist())
    assert kinds == {"r": 90 if mode is UPSERT else 100, "u": 60}


@BOTH
def test_a_lost_state_changes_nothing_the_table_knows_where_it_stands(lab: Lab, mode: WriteMode) -> None:
    lab.sql(ORDERS, insert(1, 100))
    stream = orders(lab, mode)
    lab.load(stream)
    lab.sql(insert(101, 150))
    lab.load(stream)
    lab.positions.clear()
    assert_nothing_new(lab, stream)
    lab.positions.clear()
    lab.sql(insert(151, 160))
    assert lab.load(stream).rows == 10
    assert_same(lab)


def test_an_empty_table_is_created_and_what_comes_later_is_read(lab: Lab) -> None:
    lab.sql(ORDERS)
    stream = orders(lab)
    assert lab.load(stream).rows == 0
    assert_nothing_new(lab, stream)
    lab.sql(insert(1, 5), "INSERT INTO t VALUES (6, '1970-01-01', 'old')")
    assert lab.load(stream).rows == 6
    assert_same(lab)


def test_a_filter_holds_in_every_phase(lab: Lab) -> None:
    lab.sql(ORDERS, insert(1, 100))
    stream = orders(lab, filter="id > 50 and note != 'row 60'")
    assert lab.load(stream).rows == 49
    lab.sql(insert(101, 110), "UPDATE t SET at = clock_timestamp() WHERE id IN (1, 60, 70)")
    assert lab.load(stream).rows == 11
    assert_nothing_new(lab, stream)


def test_a_row_that_leaves_the_filter_is_marked_as_deleted_and_one_that_returns_is_there_again(
    lab: Lab,
) -> None:
    lab.sql(ORDERS, insert(1, 10))
    stream = orders(lab, filter="note != 'draft'", use_source_column_names=True)
    lab.load(stream)
    lab.sql("UPDATE t SET note = 'draft', at = clock_timestamp() WHERE id <= 3", insert(11, 12))
    lab.load(stream)
    assert sorted(held(lab, "id")) == [(i,) for i in range(4, 13)]
    gone = lab.duck("t", "SELECT id, note FROM t WHERE _op_type = 'd' ORDER BY id").to_pylist()
    assert gone == [{"id": i, "note": f"row {i}"} for i in (1, 2, 3)], "soft deletes keep the former values"
    assert_nothing_new(lab, stream)
    lab.sql("UPDATE t SET note = 'back', at = clock_timestamp() WHERE id = 1")
    assert lab.load(stream).rows == 1
    assert len(held(lab)) == 10
    assert_nothing_new(lab, stream)


@BOTH
def test_partitions_are_read_whole_also_one_attached_with_rows_older_than_the_last_run(
    lab: Lab, mode: WriteMode
) -> None:
    lab.sql(
        "CREATE TABLE t (id bigint, at timestamptz, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2000-01-01') TO ('2024-01-01')",
        "CREATE TABLE t2 (LIKE t INCLUDING ALL)",
        insert(1, 10, "'2023-12-31'"),
        "INSERT INTO t2 SELECT g, '2024-06-01', 'waiting' FROM generate_series(11, 20) g",
    )
    stream = orders(lab, mode)
    assert lab.load(stream).rows == 10
    assert_nothing_new(lab, stream)
    lab.sql("ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
    assert lab.load(stream).rows == 10
    assert_same(lab)
    assert_nothing_new(lab, stream)


def test_a_view_has_no_row_versions_and_is_read_all_the_same(lab: Lab) -> None:
    lab.sql(ORDERS, insert(1, 10, "'2024-01-01'"), "CREATE VIEW v AS SELECT * FROM t")
    stream = lab.incremental("public.v", "at", write_mode=APPEND, destination_table="t")
    assert lab.load(stream).rows == 10
    assert_nothing_new(lab, stream)
    lab.sql(insert(11, 15, "'2024-01-01'"), insert(16, 20))
    assert lab.load(stream).rows == 10
    assert_same(lab)
    assert_nothing_new(lab, stream)


def test_another_server_s_row_versions_say_nothing(lab: Lab) -> None:
    """A position of another history: what is in range is compared with the table, and nothing comes twice."""
    lab.sql(ORDERS, insert(1, 10, "'2024-01-01'"))
    stream = orders(lab, APPEND)
    event = lab.load(stream)
    head = str(lab.table("t").metadata.current_snapshot_id)
    for changed in ({"history": "postgres:1/x@1"}, {"storage": "other"}, {"seen": 1 << 60}):
        lab.positions[stream.id] = event.position | {"head": head} | changed
        assert lab.load(stream).files == 0
    lab.sql(insert(11, 12, "'2024-01-01'"))
    lab.positions[stream.id] = event.position | {"head": head, "history": "postgres:1/x@1"}
    assert lab.load(stream).rows == 2
    assert_same(lab)


@BOTH
def test_a_table_that_no_position_of_this_cursor_is_behind_is_replaced_in_one_commit(
    lab: Lab, mode: WriteMode
) -> None:
    lab.sql(ORDERS, insert(1, 10))
    lab.load(lab.stream("public.t"))  # such as a table that was taken over
    assert lab.load(orders(lab, mode)).rows == 10
    assert_same(lab)
    assert_nothing_new(lab, orders(lab, mode))


def test_a_position_of_a_later_release_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.sql(ORDERS, insert(1, 10))
    lab.load(orders(lab))
    monkeypatch.setattr(engine, "VERSION", 0)
    [failed] = lab.run(orders(lab))
    assert isinstance(failed, StreamFailed)
    assert "by a later release" in failed.summary


# -- late commits (H-1) --------------------------------------------------------------------------


@BOTH
def test_rows_committed_after_a_run_that_passed_them_are_found(lab: Lab, mode: WriteMode) -> None:
    lab.sql(ORDERS, insert(1, 10))
    stream = orders(lab, mode)
    lab.load(stream)
    with writing(lab, insert(11, 20, "now()")):
        lab.sql(insert(21, 30))
        for _ in range(3):  # a run that comes by again neither loses nor repeats
            lab.load(stream)
            assert held(lab) == source(lab)
    lab.load(stream)
    assert_same(lab)
    assert_nothing_new(lab, stream)


@BOTH
def test_a_transaction_without_an_id_yet_is_waited_for(lab: Lab, mode: WriteMode) -> None:
    lab.sql(ORDERS, insert(1, 10))
    stream = orders(lab, mode)
    lab.load(stream)
    with writing(lab, "SELECT now()") as early:  # it has taken its time and written nothing
        lab.sql(insert(11, 20))
        lab.load(stream)
        early.execute(insert(21, 30, "now()"))
        lab.sql(insert(31, 40))
        lab.load(stream)
    lab.load(stream)
    assert_same(lab)


@BOTH
def test_prepared_transactions_and_savepoints_are_waited_for(lab: Lab, mode: WriteMode) -> None:
    if lab.sql("SHOW max_prepared_transactions")[0][0] == "0":
        pytest.skip("the server keeps no prepared transactions")
    lab.sql(ORDERS, insert(1, 10))
    stream = orders(lab, mode)
    lab.load(stream)
    name = f"p{uuid.uuid4().hex}"
    with lab.connect() as early:
        early.execute("BEGIN")
        early.execute("SELECT now()")
        lab.sql(insert(11, 20))
        lab.load(stream)
        early.execute("SAVEPOINT one")
        early.execute(insert(21, 25, "now()"))
        early.execute("SAVEPOINT two")
        early.execute(insert(26, 30, "now()"))
        early.execute(f"PREPARE TRANSACTION '{name}'")
    lab.sql(insert(31, 40))
    for _ in range(2):
        lab.load(stream)
        assert_same(lab)
    lab.sql(f"COMMIT PREPARED '{name}'")
    lab.load(stream)
    assert_same(lab)
    assert_nothing_new(lab, stream)


@BOTH
def test_savepoints_of_a_transaction_that_is_open_at_a_run_are_read_by_the_next(
    lab: Lab, mode: WriteMode
) -> None:
    lab.sql(ORDERS, insert(1, 10))
    stream = orders(lab, mode)
    lab.load(stream)
    with writing(lab, "SAVEPOINT one", insert(11, 15, "now()"), "SAVEPOINT two", insert(16, 20, "now()")):
        lab.sql(insert(21, 30))
        lab.load(stream)
        lab.sql(insert(31, 40))
        lab.load(stream)
    lab.load(stream)
    assert_same(lab)


@BOTH
def test_what_was_in_flight_at_the_first_load_is_found_by_the_next_run(
    lab: Lab, mode: WriteMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("olake_reconcile.engine.moment.PATIENCE_SECONDS", 0.1)
    lab.sql(ORDERS, insert(1, 10, "now() - interval '1 day'"))
    stream = orders(lab, mode)
    with writing(lab, insert(11, 20, "now() - interval '2 days'")):
        lab.load(stream)
    assert lab.load(stream).rows == 10
    assert_same(lab)
    assert_nothing_new(lab, stream)


# -- ties, NULLs, clocks -------------------------------------------------------------------------


@BOTH
def test_a_user_who_may_read_the_table_and_nothing_else_loses_nothing(lab: Lab, mode: WriteMode) -> None:
    lab.sql(
        ORDERS,
        insert(1, 10),
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clerk') THEN "
        "CREATE ROLE clerk LOGIN PASSWORD 'clerk-secret'; END IF; END $$",
        "GRANT SELECT ON t TO clerk",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC",
    )
    clerk = lab.source_with(username="clerk", password="clerk-secret")
    stream = orders(lab, mode)
    assert lab.load(stream, source=clerk).rows == 10
    with writing(lab, insert(11, 20, "now()")):
        lab.sql(insert(21, 30))
        lab.load(stream, source=clerk)
        lab.sql(insert(31, 40))
        lab.load(stream, source=clerk)
        assert held(lab) == source(lab)
    lab.load(stream, source=clerk)
    assert_same(lab)
    assert lab.load(stream, source=clerk).files == 0


@BOTH
def test_a_thousand_rows_with_one_cursor_value_across_two_runs(lab: Lab, mode: WriteMode) -> None:
    same = "'2024-05-01 12:00:00.123456+00'"
    lab.sql(ORDERS, insert(1, 500, same))
    stream = orders(lab, mode)
    assert lab.load(stream).rows == 500
    lab.sql(insert(501, 1000, same))
    assert lab.load(stream).rows == 500
    assert_same(lab)
    assert_nothing_new(lab, stream)


def test_equal_rows_without_a_key_are_counted(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE t (n int, note text)", "INSERT INTO t SELECT 7, 'same' FROM generate_series(1, 300)"
    )
    stream = lab.incremental("public.t", "n", write_mode=APPEND)
    assert lab.load(stream).rows == 300
    lab.sql(
        "INSERT INTO t SELECT 7, 'same' FROM generate_series(1, 200)",
        "INSERT INTO t VALUES (7, NULL), (8, NULL)",
    )
    assert lab.load(stream).rows == 202
    assert held(lab, "n, note") == source(lab, "n, note")
    assert_nothing_new(lab, stream)


@BOTH
def test_rows_without_a_cursor_are_reloaded(lab: Lab, mode: WriteMode) -> None:
    lab.sql(ORDERS, insert(1, 10), insert(11, 20, "NULL"))
    stream = orders(lab, mode)
    assert lab.load(stream).rows == 20
    assert_nothing_new(lab, stream)
    lab.sql(insert(21, 25, "NULL"), "UPDATE t SET note = 'new' WHERE id = 11")
    assert lab.load(stream).rows == 6
    assert_nothing_new(lab, stream)
    if mode is UPSERT:
        assert_same(lab)


def test_rows_without_a_cursor_are_ignored_after_the_first_load_and_counted(lab: Lab) -> None:
    lab.sql(ORDERS, insert(1, 10), insert(11, 20, "NULL"))
    stream = orders(lab, null_cursor=NullCursor.IGNORE)
    assert lab.load(stream).rows == 20
    lab.sql(insert(21, 25, "NULL"))
    events = lab.run(stream)
    assert [e.message[:30] for e in events if isinstance(e, Logged)] == ["15 rows have no cursor value: "]
    assert len(held(lab)) == 20


def test_rows_without_a_cursor_fail_when_they_are_to_and_say_how_many(lab: Lab) -> None:
    lab.sql(ORDERS, insert(1, 10))
    stream = orders(lab, null_cursor=NullCursor.FAIL)
    lab.load(stream)
    lab.sql(insert(11, 12, "NULL"))
    [*_, failed] = lab.run(stream)
    assert isinstance(failed, StreamFailed)
    assert failed.summary == "2 rows of public.t have no cursor value, and null_cursor is fail"
    assert len(held(lab)) == 10


@BOTH
def test_rows_without_the_cursor_are_found_by_the_fallback(lab: Lab, mode: WriteMode) -> None:
    lab.sql(ORDERS, insert(1, 10), insert(11, 20, "NULL"))
    stream = orders(lab, mode, fallback_cursor="id")
    assert lab.load(stream).rows == 20
    assert_nothing_new(lab, stream)
    lab.sql(insert(21, 25, "NULL"), insert(26, 30), "UPDATE t SET at = clock_timestamp() WHERE id = 12")
    assert lab.load(stream).rows == 11
    if mode is UPSERT:
        assert_same(lab)
    assert_nothing_new(lab, stream)


@BOTH
def test_a_cursor_that_goes_back_is_warned_of_and_nothing_is_read_twice(lab: Lab, mode: WriteMode) -> None:
    lab.sql(ORDERS, insert(1, 10))
    stream = orders(lab, mode)
    lab.load(stream)
    lab.sql("DELETE FROM t WHERE id > 5")
    events = lab.run(stream)
    assert any(isinstance(e, Logged) and "clear the stream" in e.message for e in events)
    assert isinstance(events[-1], StreamCommitted)
    lab.sql(insert(11, 12))
    assert lab.load(stream).rows == 2


def test_what_makes_runs_slow_is_said(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olake_reconcile.engine.moment.LARGE", 0)
    monkeypatch.setattr("olake_reconcile.engine.moment.LONG", timedelta(0))
    lab.sql(ORDERS, insert(1, 10))
    lab.load(orders(lab))
    with writing(lab, insert(11, 12)):
        said = [e.message for e in lab.run(orders(lab)) if isinstance(e, Logged)]
    assert said[0] == "no index begins with the cursor at: every run reads the whole table at the server"
    assert said[1].startswith("the transaction of process ")
    lab.sql("CREATE INDEX ON t (at, id)")
    assert not [e for e in lab.run(orders(lab)) if isinstance(e, Logged)]


@BOTH
def test_a_row_from_the_future_hides_nothing(lab: Lab, mode: WriteMode) -> None:
    lab.sql(ORDERS, insert(1, 10), insert(11, 11, "'9999-12-31'"), insert(12, 12, "'infinity'"))
    stream = orders(lab, mode)
    lab.load(stream)
    lab.sql(insert(13, 20))
    assert lab.load(stream).rows == 8
    assert_same(lab)
    assert_nothing_new(lab, stream)


@BOTH
def test_an_hour_that_clocks_without_a_zone_show_twice_loses_no_row(lab: Lab, mode: WriteMode) -> None:
    lab.sql("CREATE TABLE t (id bigint PRIMARY KEY, at timestamp, note text)")
    stream = orders(lab, mode)
    lab.sql(insert(1, 60, "timestamp '2024-10-27 02:00' + g * interval '1 minute'"))  # summer time
    lab.load(stream)
    lab.sql(insert(61, 119, "timestamp '2024-10-27 01:00' + g * interval '1 minute'"))  # the same hour again
    assert lab.load(stream).rows == 59
    assert_same(lab)
    assert_nothing_new(lab, stream)


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("numeric", ["1234567890123456789012345.678901", "1234567890123456789012345.678902"]),
        ("numeric(30,5)", ["1234567890123456789012345.67890", "1234567890123456789012345.67891"]),
        ("timestamptz", ["2024-01-01 00:00:00.000001+00", "2024-01-01 00:00:00.000002+00"]),
        ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"]),
        ("text", ["it''s", "it''t"]),
        ("text", ["", "a"]),
        ("date", ["2024-02-28", "2024-02-29"]),
        ("bytea", ["\\xff00", "\\xff01"]),
        ("float8", ["0.30000000000000004", "0.3000000000000001"]),
    ],
)
def test_cursors_keep_their_full_precision(lab: Lab, type_: str, values: list[str]) -> None:
    lab.sql(f"CREATE TABLE t (id bigint PRIMARY KEY, at {type_})", f"INSERT INTO t VALUES (1, '{values[0]}')")
    stream = orders(lab, APPEND)
    lab.load(stream)
    lab.sql(f"INSERT INTO t VALUES (2, '{values[1]}'), (3, '{values[0]}')")
    assert lab.load(stream).rows == 2
    assert_nothing_new(lab, stream)
    assert sorted(held(lab, "id")) == [(1,), (2,), (3,)]


def test_a_cursor_that_orders_nothing_is_refused_with_a_reason(lab: Lab) -> None:
    lab.sql("CREATE TABLE t (id int PRIMARY KEY, at json, f float8)", "INSERT INTO t VALUES (1, '{}', 'NaN')")
    for name, text in (("at", "its type is json"), ("f", "holds NaN"), ("gone", "has no column gone")):
        [failed] = lab.run(lab.incremental("public.t", name))
        assert isinstance(failed, StreamFailed)
        assert text in failed.summary
    [failed] = lab.run(lab.incremental("public.t", "id", columns={"exclude": ("id",)}))
    assert isinstance(failed, StreamFailed)
    assert "not among the replicated columns" in failed.summary


def test_an_upsert_without_a_key_is_refused(lab: Lab) -> None:
    lab.sql("CREATE TABLE t (id int)")
    [failed] = lab.run(lab.incremental("public.t", "id"))
    assert isinstance(failed, StreamFailed)
    assert "it has no primary key" in failed.summary
    assert lab.files() == []

"""Full refreshes: what is read, as of when, and what a failed or cancelled one leaves."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg
import pytest
from lab import Lab, owner
from local_postgres import LocalPostgres

from olake_reconcile.model.event import (
    Event,
    Level,
    Logged,
    Progress,
    StreamCancelled,
    StreamCommitted,
    StreamFailed,
    StreamStarted,
)
from olake_reconcile.model.table import TableAbsent, TableFacts
from olake_reconcile.sources.postgres import chunks, read, sql

pytestmark = pytest.mark.integration


@pytest.fixture
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut tables into pieces of 64 KB, so that small ones have many chunks."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 64 << 10)


def numbers(lab: Lab, count: int = 20_000) -> None:
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n int, pad text)",
        f"INSERT INTO t SELECT g, g % 100, repeat('x', 50) FROM generate_series(1, {count}) g",
    )


def content(lab: Lab, name: str = "t") -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for row in lab.duck(name, "SELECT id, n FROM t").to_pylist()}


def test_a_load_equals_the_source_as_of_its_start_whatever_is_written_meanwhile(
    lab: Lab, many_chunks: None
) -> None:
    numbers(lab)
    before = set(lab.sql("SELECT id, n FROM t"))
    written: list[Event] = []

    def write(event: Event) -> None:
        if isinstance(event, StreamStarted | Progress) and len(written) < 3:
            written.append(event)
            # Rows move to other pages, new pages appear, rows disappear, and the space is used again.
            lab.sql(
                "UPDATE t SET n = n + 1000 WHERE id % 3 = 0",
                "DELETE FROM t WHERE id % 7 = 0",
                "INSERT INTO t SELECT m + g, -1, repeat('y', 50) FROM (SELECT max(id) AS m FROM t) t, "
                "generate_series(1, 5000) g",
            )

    events = lab.run(lab.stream("public.t"), watch=write)
    started = next(e for e in events if isinstance(e, StreamStarted))
    assert started.chunks > 20
    assert isinstance(events[-1], StreamCommitted)
    assert written
    assert set(lab.sql("SELECT id, n FROM t")) != before
    assert content(lab) == before
    assert events[-1].rows == 20_000


def test_nobody_can_rewrite_the_table_under_a_load(lab: Lab, many_chunks: None) -> None:
    numbers(lab, 2000)
    refused = []

    def rewrite(event: Event) -> None:
        if isinstance(event, StreamStarted):
            for statement in ("TRUNCATE t", "ALTER TABLE t DROP COLUMN n", "VACUUM FULL t"):
                with lab.connect() as connection:
                    connection.execute("SET lock_timeout = '50ms'")
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        connection.execute(statement)
                refused.append(statement)

    assert isinstance(lab.run(lab.stream("public.t"), watch=rewrite)[-1], StreamCommitted)
    assert len(refused) == 3


def test_progress_never_goes_back_and_ends_at_what_was_committed(lab: Lab, many_chunks: None) -> None:
    numbers(lab)
    events = lab.run(lab.stream("public.t"))
    progress = [e for e in events if isinstance(e, Progress)]
    assert [(p.rows, p.bytes, p.chunks) for p in progress] == sorted(
        (p.rows, p.bytes, p.chunks) for p in progress
    )
    last = events[-1]
    assert isinstance(last, StreamCommitted)
    started = next(e for e in events if isinstance(e, StreamStarted))
    assert (progress[-1].rows, progress[-1].bytes, progress[-1].chunks) == (
        last.rows,
        last.bytes,
        started.chunks,
    )
    assert last.bytes == sum(
        (lab.warehouse / f).stat().st_size for f in lab.files() if f.endswith(".parquet")
    )


def test_filters_and_columns_reach_the_destination_alone(lab: Lab) -> None:
    lab.sql(
        'CREATE TABLE t (id int PRIMARY KEY, status text, price numeric(8,2), "Odd ""name""" int, secret text)',
        "INSERT INTO t VALUES (1, 'new', 5, 1, 's'), (2, 'it''s', 50, 2, 's'), (3, NULL, 500, 3, 's'), (4, 'new', NULL, 4, 's')",
    )
    cases = {
        "status != 'new'": [2],
        "not (status = 'new')": [2],
        "status is null or price > 400": [3],
        "price in (5, 50.0) and id < 9": [1, 2],
        "status = 'it''s'": [2],
        "\"Odd \"\"name\"\"\" >= 3": [3, 4],
        "price is not null and not (id = 1 or id = 2)": [3],
    }  # fmt: skip
    for text, ids in cases.items():
        lab.load(lab.stream("public.t", filter=text, columns={"exclude": ("secret", "status")}))
        assert lab.read("t").column("id").to_pylist() == ids, text
    assert lab.read("t").column_names[:3] == ["id", "price", "odd__name_"]
    assert "secret" not in lab.read("t").column_names


def test_hostile_names_are_names(lab: Lab) -> None:
    schema, table = 'we"ird; DROP', "x'y\"; drop table t; -- {c} %s 👩"
    columns = ['a"b', "c'd", "e;f", "{c}", "%s", "sp ace", "ümlaut", "n" * 63, "SELECT", "Ctid"]
    quoted = ", ".join('"' + c.replace('"', '""') + '" text' for c in columns)
    name = '"' + schema.replace('"', '""') + '"."' + table.replace('"', '""') + '"'
    lab.sql(
        'CREATE SCHEMA "we""ird; DROP"',
        f'CREATE TABLE {name} ({quoted}, PRIMARY KEY ("a""b", "%s"))',
        f"INSERT INTO {name} VALUES ({', '.join(repr(str(i)) for i in range(len(columns)))})",
    )
    stream = lab.stream(
        f"{schema}.{table}", use_source_column_names=True, destination_table="odd", filter="\"{c}\" = '3'"
    )
    assert lab.load(stream).rows == 1
    row = lab.duck("odd", "SELECT * FROM t").to_pylist()[0]
    assert [row[c] for c in columns] == [str(i) for i in range(len(columns))]
    assert stream.id in lab.engine.discover(lab.source).streams


def test_an_empty_table_becomes_an_empty_table(lab: Lab) -> None:
    lab.sql("CREATE TABLE t (id int PRIMARY KEY, n numeric(5,2)[])")
    assert lab.load(lab.stream("public.t", partition_by=("bucket(4, id)",))).rows == 0
    assert lab.duck("t").num_rows == 0
    assert lab.table("t").metadata.current_snapshot() is not None


def test_views_partitions_children_and_foreign_relations_are_read_whole(lab: Lab, many_chunks: None) -> None:
    numbers(lab, 5000)
    lab.sql(
        "CREATE VIEW v AS SELECT id, n FROM t",
        "CREATE MATERIALIZED VIEW mv AS SELECT id, n FROM t",
        "CREATE TABLE parts (id int, n int, pad text) PARTITION BY RANGE (id)",
        # One large, one small, one empty, and one partitioned again.
        "CREATE TABLE p1 PARTITION OF parts FOR VALUES FROM (0) TO (4000)",
        "CREATE TABLE p2 PARTITION OF parts FOR VALUES FROM (4000) TO (4100)",
        "CREATE TABLE p3 PARTITION OF parts FOR VALUES FROM (100000) TO (200000)",
        "CREATE TABLE p4 PARTITION OF parts FOR VALUES FROM (4100) TO (9000) PARTITION BY HASH (n)",
        "CREATE TABLE p4a PARTITION OF p4 FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE p4b PARTITION OF p4 FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "INSERT INTO parts SELECT * FROM t",
        "CREATE TABLE heir () INHERITS (t)",
        "INSERT INTO heir SELECT g, 1, 'heir' FROM generate_series(50001, 59000) g",
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw "
        f"OPTIONS (host '{lab.server.socket_folder}', port '{lab.server.port}', dbname '{lab.database}')",
        f"CREATE USER MAPPING FOR {lab.server.user} SERVER s OPTIONS (user '{lab.server.user}', password_required 'false')",
        "CREATE FOREIGN TABLE f (id int, n int) SERVER s OPTIONS (table_name 'mv')",
    )
    for name in ("v", "mv", "parts", "f", "t", "p4"):
        events = lab.run(lab.stream(f"public.{name}"))
        assert isinstance(events[-1], StreamCommitted), events[-1]
        assert content(lab, name) == set(lab.sql(f"SELECT id, n FROM {name}")), name
        assert events[-1].rows == lab.sql(f"SELECT count(*) FROM {name}")[0][0]
        started = next(e for e in events if isinstance(e, StreamStarted))
        assert (started.chunks > 1) == (name not in ("v", "f"))


def test_wide_rows_are_cut_by_their_width_and_read_once_each(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "WIDE_CHUNK_BYTES", 1 << 20)
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n text, j jsonb) PARTITION BY HASH (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE t2 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "ALTER TABLE t1 ALTER n SET STORAGE EXTERNAL",
        "INSERT INTO t SELECT g, repeat(md5(g::text), 3000), NULL FROM generate_series(1, 200) g",
        "INSERT INTO t VALUES (0, NULL, NULL)",
    )
    events = lab.run(lab.stream("public.t"))
    started = next(e for e in events if isinstance(e, StreamStarted))
    assert 15 < started.chunks < 30
    assert content(lab) == set(lab.sql("SELECT id, n FROM t"))


# -- row ids ---------------------------------------------------------------------------------------


def ids(lab: Lab, name: str) -> list[str]:
    return list(lab.duck(name, 'SELECT "_olake_id" FROM t ORDER BY 1').column(0).to_pylist())


def test_the_metadata_columns_are_olake_s(lab: Lab) -> None:
    lab.sql("CREATE TABLE t (id bigint PRIMARY KEY)", "INSERT INTO t VALUES (-5)")
    [(before,)] = lab.sql("SELECT now()")
    lab.load(lab.stream("public.t"))
    [row] = lab.read("t").to_pylist()
    assert before < row.pop("_olake_timestamp") < lab.sql("SELECT now()")[0][0]
    assert row == {"id": -5, "_olake_id": "-5", "_op_type": "r", "_cdc_timestamp": None, "_cdc_lsn": None}


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("numeric(10,2)", "1.5", "1.50"),
        ("numeric(10,2)", "'NaN'", "NaN"),
        ("timestamptz", "'infinity'", "infinity"),
        ("timestamptz", "'2024-01-01 12:00+02'", "2024-01-01 10:00:00+00"),
        ("char(4)", "'ab'", "ab  "),
        ("inet", "'1.2.3.4'", "1.2.3.4"),
        ("text", "''", ""),
        ("boolean", "true", "true"),
    ],
)
def test_the_id_of_a_single_key_is_its_text(lab: Lab, type_: str, value: str, text: str) -> None:
    lab.sql(f"CREATE TABLE t (k {type_} PRIMARY KEY, other int)", f"INSERT INTO t VALUES ({value}, 1)")
    lab.load(lab.stream("public.t"))
    assert ids(lab, "t") == [text]
    lab.load(lab.stream("public.t", columns={"exclude": ("k",)}))
    assert ids(lab, "t") == [text]


def test_the_id_of_a_composite_key_cannot_be_forged_by_its_values(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE t (b text, a text, n int, PRIMARY KEY (b, a))",
        "INSERT INTO t VALUES ('x|y', 'z', 1), ('x', 'y|z', 2), ('', 'é', 3)",
    )
    lab.load(lab.stream("public.t"))
    parts = [("z", "x|y"), ("y|z", "x"), ("é", "")]
    expected = [hashlib.md5(f"string:{len(a)}:{a}string:{len(b)}:{b}".encode()).hexdigest() for a, b in parts]
    assert ids(lab, "t") == sorted(expected)


def test_rows_without_a_key_are_named_by_all_their_columns(lab: Lab) -> None:
    lab.sql("CREATE TABLE t (b text, a int)", "INSERT INTO t VALUES (NULL, 7), ('-', 7), (NULL, 7)")
    lab.load(lab.stream("public.t", columns={"include": ("a",)}))
    null, text = (hashlib.md5(t.encode()).hexdigest() for t in ("int:1:7-", "int:1:7string:1:-"))
    assert ids(lab, "t") == sorted([null, null, text])


# -- failure ---------------------------------------------------------------------------------------


def loaded(lab: Lab) -> tuple[list[str], set[tuple[Any, ...]]]:
    """Load `t` once; return the files and the content that a failure must leave."""
    numbers(lab)
    lab.load(lab.stream("public.t"))
    return lab.files(), content(lab)


def assert_untouched(lab: Lab, before: tuple[list[str], set[tuple[Any, ...]]]) -> None:
    assert lab.files() == before[0]
    assert content(lab) == before[1]


def test_an_error_in_the_middle_leaves_the_old_table_and_no_file(lab: Lab, many_chunks: None) -> None:
    before = loaded(lab)
    lab.sql("CREATE VIEW bad AS SELECT id, n / (id - 19999) AS n FROM t")
    failed = lab.run(
        lab.stream("public.bad", destination_table="t"), owners=[owner(lab.stream("public.t").id)]
    )[-1]
    assert isinstance(failed, StreamFailed)
    assert failed.summary == "PostgreSQL: division by zero"
    assert_untouched(lab, before)


def test_a_first_load_that_fails_leaves_nothing_at_all(lab: Lab, many_chunks: None) -> None:
    numbers(lab)
    lab.sql("CREATE VIEW bad AS SELECT id, n / (id - 19999) AS n FROM t")
    assert isinstance(lab.run(lab.stream("public.bad"))[-1], StreamFailed)
    assert lab.files() == []
    assert lab.engine.observe(lab.destination, [lab.place("bad")]) == {lab.place("bad"): TableAbsent()}


def test_one_stream_s_failure_does_not_stop_the_others(lab: Lab) -> None:
    numbers(lab, 10)
    events = lab.run(lab.stream("public.gone"), lab.stream("public.t"))
    assert isinstance(events[0], StreamFailed)
    assert "no table or view public.gone" in events[0].summary
    assert isinstance(events[-1], StreamCommitted)


def test_a_server_that_dies_in_the_middle_leaves_the_old_table(tmp_path: Any, many_chunks: None) -> None:
    with LocalPostgres() as server:
        lab = Lab(server, "postgres", tmp_path)
        before = loaded(lab)
        lab.sql("CHECKPOINT")  # this server does not wait for its disk, and would forget the rows
        killed: list[Event] = []

        def kill(event: Event) -> None:
            if isinstance(event, StreamStarted) and not killed:
                killed.append(event)
                server.crash()

        failed = lab.run(lab.stream("public.t"), watch=kill)[-1]
        assert isinstance(failed, StreamFailed)
        assert killed
        assert_untouched(lab, before)
        unreachable = lab.run(lab.stream("public.t"), lab.stream("public.u"))
        assert [type(e) for e in unreachable] == [StreamFailed, StreamFailed]
        server.restart()
        assert lab.load(lab.stream("public.t")).rows == 20_000


def test_a_cancel_stops_the_load_and_leaves_the_old_table(lab: Lab, many_chunks: None) -> None:
    before = loaded(lab)
    asked = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 2

    events = lab.run(
        lab.stream("public.t"), lab.stream("public.t", destination_table="u"), cancelled=cancelled
    )
    assert [type(e) for e in events if isinstance(e, StreamCommitted | StreamCancelled)] == [
        StreamCancelled
    ] * 2
    assert_untouched(lab, before)


def test_a_cancel_reaches_a_server_that_is_busy_with_one_row(lab: Lab) -> None:
    lab.sql("CREATE VIEW slow AS SELECT 1 AS id, pg_sleep(120)::text AS n")
    started = []
    events = lab.run(
        lab.stream("public.slow"),
        watch=lambda e: started.append(e) if isinstance(e, StreamStarted) else None,
        cancelled=lambda: bool(started),
    )
    assert isinstance(events[-1], StreamCancelled)
    assert lab.files() == []


def test_a_lost_right_is_said(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clerk') THEN "
        "CREATE ROLE clerk LOGIN PASSWORD 'clerk-secret'; END IF; END $$",
    )
    clerk = lab.source_with(username="clerk", password="clerk-secret")
    [failed] = lab.run(lab.stream("public.t"), source=clerk)
    assert isinstance(failed, StreamFailed)
    assert "Grant SELECT on public.t" in failed.remedy


def test_rows_hidden_by_row_level_security_are_warned_about(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "INSERT INTO t VALUES (1), (2)",
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clerk') THEN "
        "CREATE ROLE clerk LOGIN PASSWORD 'clerk-secret'; END IF; END $$",
        "GRANT SELECT ON t TO clerk",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY one ON t FOR SELECT TO clerk USING (id = 1)",
    )
    events = lab.run(
        lab.stream("public.t"), source=lab.source_with(username="clerk", password="clerk-secret")
    )
    assert isinstance(events[0], Logged)
    assert events[0].level is Level.WARNING
    assert "row-level security" in events[0].message
    assert isinstance(events[-1], StreamCommitted)
    assert events[-1].rows == 1


def test_a_table_that_somebody_locks_is_given_up_with_a_reason(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sql.PINNED_SETTINGS, "lock_timeout", "50ms")
    monkeypatch.setattr(read, "TOLD_AFTER", "10ms")
    numbers(lab, 10)
    with lab.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        [told, failed] = lab.run(lab.stream("public.t"))
        pid = connection.info.backend_pid
    assert isinstance(told, Logged)
    assert f"waits for a lock on the table (process {pid}, " in told.message
    assert isinstance(failed, StreamFailed)
    assert "lock timeout" in failed.summary
    assert failed.remedy


def test_an_error_of_the_caller_s_own_ends_the_load_and_leaves_nothing(lab: Lab, many_chunks: None) -> None:
    numbers(lab)

    def fail(event: Event) -> None:
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab.run(lab.stream("public.t"), watch=fail)
    assert lab.files() == []
    # A database is renamed only when nobody is connected to it; the server waits for those who are leaving.
    with psycopg.connect(lab.server.conninfo(), autocommit=True) as admin:
        for old, new in ((lab.database, f"{lab.database}_"), (f"{lab.database}_", lab.database)):
            admin.execute(f'ALTER DATABASE "{old}" RENAME TO "{new}"')


def test_names_that_collide_are_refused(lab: Lab) -> None:
    lab.sql('CREATE TABLE a ("x-y" int, "x y" int)', 'CREATE TABLE b ("_OP_TYPE" int)')
    for name, wanted in (
        ("a", "'x y' and 'x-y' cannot become the column 'x_y'"),
        ("b", "'_OP_TYPE' cannot become"),
    ):
        [failed] = lab.run(lab.stream(f"public.{name}"))
        assert isinstance(failed, StreamFailed)
        assert wanted in failed.summary
    assert lab.load(lab.stream("public.a", use_source_column_names=True)).rows == 0


def test_the_facts_come_from_the_table_s_metadata(lab: Lab) -> None:
    numbers(lab, 100)
    event = lab.load(lab.stream("public.t"))
    found = lab.engine.observe(lab.destination, [lab.place("t"), lab.place("u")])
    facts = found[lab.place("t")]
    assert isinstance(facts, TableFacts)
    assert facts.trace is not None
    assert facts.trace.runs
    assert not facts.trace.foreign
    assert facts.model_copy(update={"trace": None}) == TableFacts(
        rows=100,
        bytes=event.bytes,
        files=event.files,
        owner=owner(lab.stream("public.t").id),
        snapshot=event.snapshot,
    )
    assert found[lab.place("u")] == TableAbsent()

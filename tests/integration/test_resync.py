"""What a position relied on is gone: a stream that was loaded needs a resync, and is never started over by itself."""

from __future__ import annotations

from typing import Any

import pytest
from lab import Lab, owner
from pyiceberg.catalog.sql import SqlCatalog

from olake_reconcile.model.event import StreamCheckpoint, StreamCommitted, StreamFailed
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.model.stream import Stream, WriteMode

pytestmark = pytest.mark.integration

ORDERS = "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, note text)"
T = StreamId.parse("public.t")


def insert(first: int, last: int) -> str:
    return f"INSERT INTO t SELECT g, clock_timestamp(), 'row ' || g FROM generate_series({first}, {last}) g"


def orders(lab: Lab, **settings: Any) -> Stream:
    return lab.incremental("public.t", "at", **settings)


@pytest.fixture
def live(lab: Lab) -> Lab:
    """A stream that was loaded, and went on once."""
    lab.sql(ORDERS, insert(1, 10))
    lab.load(orders(lab))
    lab.sql(insert(11, 12))
    lab.load(orders(lab))
    return lab


def refused(lab: Lab, stream: Stream | None = None, **settings: Any) -> StreamFailed:
    """Sync, which must fail for want of a resync, twice the same way, and leave the warehouse as it is."""
    files = lab.files()
    first, again = (lab.run(stream or orders(lab), **settings)[-1] for _ in range(2))
    assert isinstance(first, StreamFailed), first
    assert first == again
    assert (first.becomes, first.retryable) == (StreamPhase.NEEDS_RESYNC, False), first
    assert lab.files() == files
    return first


def drop(lab: Lab, name: str = "t") -> None:
    catalog = lab.catalog()
    catalog.drop_table(("lake", name))
    catalog.close()


def edit(lab: Lab, **properties: str) -> None:
    catalog: SqlCatalog = lab.catalog()
    with catalog.load_table(("lake", "t")).transaction() as change:
        change.set_properties({f"olake-reconcile.{k}": v for k, v in properties.items()})
    catalog.close()


def rebuilt(lab: Lab, generation: int = 2) -> None:
    """Rebuild as an apply does: what is there is cleared, the position with it."""
    ticket = lab.engine.prepare_clear(lab.destination, lab.place("t"), owner(T))
    lab.engine.clear(lab.destination, ticket)
    lab.positions.clear()
    lab.load(orders(lab), owners=[owner(T, generation)])
    assert sorted(lab.duck("t").column("id").to_pylist()) == sorted(i for (i,) in lab.sql("SELECT id FROM t"))
    lab.sql("INSERT INTO t SELECT max(id) + 1, clock_timestamp(), 'later' FROM t")
    assert lab.load(orders(lab), owners=[owner(T, generation)]).rows == 1


# -- the destination's table ---------------------------------------------------------------------


def test_a_table_that_was_dropped_needs_a_resync_and_the_rebuild_goes_on_from_there(live: Lab) -> None:
    drop(live)
    assert "is gone" in refused(live).summary
    rebuilt(live)


def test_a_table_that_was_made_again_needs_a_resync_whatever_marks_it_bears(live: Lab) -> None:
    old = live.table("t")
    drop(live)
    catalog = live.catalog()
    catalog.create_table(("lake", "t"), old.schema(), properties=dict(old.properties))
    catalog.close()
    assert "made again" in refused(live).summary
    rebuilt(live)


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({"generation": "7"}, "of generation 7"),
        ({"stream": "uid-other"}, "belongs to"),
        ({"environment": "production"}, "belongs to"),
    ],
)
def test_a_table_with_other_marks_needs_a_resync(live: Lab, marks: dict[str, str], words: str) -> None:
    edit(live, **marks)
    assert words in refused(live).summary


def test_a_table_that_lost_its_marks_alone_is_refused_until_it_has_them_back(live: Lab) -> None:
    edit(live, generation="none")
    last = live.run(orders(live))[-1]
    assert isinstance(last, StreamFailed)
    assert last.becomes is None
    edit(live, generation="1")
    assert live.load(orders(live)).rows == 0


def test_a_table_that_somebody_else_made_in_its_place_needs_a_resync(live: Lab) -> None:
    schema = live.table("t").schema()
    drop(live)
    catalog = live.catalog()
    catalog.create_table(("lake", "t"), schema)
    catalog.close()
    assert "not ours" in refused(live).summary


def test_a_table_of_an_older_generation_needs_a_resync_when_a_later_one_was_loaded(live: Lab) -> None:
    assert "of generation 1" in refused(live, owners=[owner(T, 2)]).summary


def test_a_table_that_was_rolled_back_needs_a_resync(live: Lab) -> None:
    catalog = live.catalog()
    table = catalog.load_table(("lake", "t"))
    first = table.metadata.snapshots[0].snapshot_id
    with table.manage_snapshots() as change:
        change.rollback_to_snapshot(first)
    catalog.close()
    assert "rolled back" in refused(live).summary
    rebuilt(live)


def test_a_table_that_is_ahead_of_the_state_is_gone_on_with(live: Lab) -> None:
    before = dict(live.positions)
    live.sql(insert(13, 13))
    live.load(orders(live))
    live.positions = before
    assert live.load(orders(live)).rows == 0
    assert live.duck("t").num_rows == 13


def test_maintenance_by_others_is_no_reason(live: Lab) -> None:
    edit(live, comment="x")
    live.sql(insert(13, 13))
    assert live.load(orders(live)).rows == 1


def test_a_full_refresh_makes_its_table_again(lab: Lab) -> None:
    lab.sql(ORDERS, insert(1, 3))
    lab.load(lab.stream("public.t"))
    drop(lab)
    assert lab.load(lab.stream("public.t")).rows == 3
    edit(lab, stream="uid-other")
    last = lab.run(lab.stream("public.t"))[-1]
    assert isinstance(last, StreamFailed)
    assert (last.becomes, "another stream" in last.summary) == (None, True)


def test_a_first_load_that_was_never_finished_starts_over_without_asking(lab: Lab) -> None:
    lab.sql(ORDERS, insert(1, 3))
    lab.load(orders(lab))
    unfinished = {"cuts": [["2"]], "key": ["id"], "done": [[0, 1]]}
    lab.positions[T] = {**lab.positions[T], "backfill": unfinished}
    drop(lab)
    assert lab.load(orders(lab)).rows == 3


def test_a_first_load_replaces_a_table_of_an_earlier_generation(live: Lab) -> None:
    live.positions.clear()
    assert live.load(orders(live), owners=[owner(T, 2)]).rows == 12
    assert live.duck("t").num_rows == 12
    assert live.table("t").properties["olake-reconcile.generation"] == "2"


def test_the_other_streams_of_the_job_go_on(live: Lab) -> None:
    live.sql("CREATE TABLE u (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")
    live.sql("INSERT INTO u VALUES (1)")
    drop(live)
    events = live.run(orders(live), live.incremental("public.u", "at"))
    ends = [type(e) for e in events if isinstance(e, StreamCommitted | StreamFailed)]
    assert ends == [StreamFailed, StreamCommitted]
    assert live.duck("u").num_rows == 1


# -- the source's table --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [WriteMode.UPSERT, WriteMode.APPEND])
def test_a_source_table_that_was_created_again_needs_a_resync(lab: Lab, mode: WriteMode) -> None:
    lab.sql(ORDERS, insert(1, 10))
    lab.load(orders(lab, write_mode=mode))
    lab.sql("DROP TABLE t", ORDERS, insert(1, 20))
    assert "created again" in refused(lab, orders(lab, write_mode=mode)).summary


def test_a_source_table_that_was_rewritten_or_emptied_is_the_same_one(live: Lab) -> None:
    live.sql("VACUUM FULL t", insert(13, 13))
    assert live.load(orders(live)).rows == 1
    live.sql("TRUNCATE t", insert(14, 14))
    assert live.load(orders(live)).rows == 1
    assert live.duck("t").num_rows == 14


def test_another_server_that_somebody_vouches_for_may_have_other_tables(live: Lab) -> None:
    live.positions.clear()  # as after a change of the server; the table's own position is what counts
    catalog = live.catalog()
    table = catalog.load_table(("lake", "t"))
    text = table.properties["olake-reconcile.position"].replace("postgres:", "postgres:9")
    catalog.close()
    edit(live, position=text)
    live.sql("DROP TABLE t", ORDERS, insert(1, 12), insert(13, 13))
    live.load(orders(live))
    assert live.duck("t").num_rows == 13


def test_a_cursor_of_another_type_needs_a_resync(live: Lab) -> None:
    live.sql("ALTER TABLE t ALTER at TYPE date USING at::date")
    assert "at (timestamptz)" in refused(live).summary


def test_a_cursor_that_is_gone_quarantines_the_stream(live: Lab) -> None:
    live.sql("ALTER TABLE t DROP at")
    last = live.run(orders(live))[-1]
    assert isinstance(last, StreamFailed)
    assert (last.becomes, last.summary) == (StreamPhase.QUARANTINED, "public.t has no column at")
    assert "another cursor" in last.remedy


def test_another_primary_key_needs_a_resync(live: Lab) -> None:
    live.sql("ALTER TABLE t ADD other bigint GENERATED ALWAYS AS IDENTITY")
    live.sql("ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (other)")
    assert "another primary key" in refused(live).summary


def test_a_key_that_is_gone_quarantines_the_stream_until_it_is_back(live: Lab) -> None:
    live.sql("ALTER TABLE t DROP CONSTRAINT t_pkey")
    last = live.run(orders(live))[-1]
    assert isinstance(last, StreamFailed)
    assert last.becomes is StreamPhase.QUARANTINED
    live.sql("ALTER TABLE t ADD PRIMARY KEY (id)", insert(13, 13))
    assert live.load(orders(live)).rows == 1


def test_a_column_that_no_longer_fits_quarantines_the_stream_until_it_does(live: Lab) -> None:
    live.sql("ALTER TABLE t ALTER note TYPE int USING 1", "UPDATE t SET at = clock_timestamp()")
    last = live.run(orders(live))[-1]
    assert isinstance(last, StreamFailed)
    assert (last.becomes, "note" in last.summary) == (StreamPhase.QUARANTINED, True)
    live.sql("ALTER TABLE t ALTER note TYPE text", "UPDATE t SET at = clock_timestamp()")
    assert live.load(orders(live)).rows == 12


def test_checkpoints_and_commits_tell_the_state_which_table_it_is_and_how_far(live: Lab) -> None:
    position = live.positions[T]
    assert position["serial"] == 2
    assert position["table"] == str(live.table("t").metadata.table_uuid)
    assert not [e for e in live.run(orders(live)) if isinstance(e, StreamCheckpoint)]
    assert live.positions[T]["serial"] == 2

"""The destination's table: replaced whole in one commit, owned, cleared without a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import PLACE_DATABASE, Lab, owner
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import ManifestContent, ManifestEntryStatus
from pyiceberg.table import Table
from sqlalchemy.exc import OperationalError

from olake_reconcile.destinations.iceberg.replace import COMMIT_ID, RUN_ID
from olake_reconcile.engine.base import ClearTicket
from olake_reconcile.errors import Blocked
from olake_reconcile.model.event import Event, StreamCommitted, StreamFailed, StreamStarted
from olake_reconcile.model.table import TableAbsent, TableFacts, TableUnknown

pytestmark = pytest.mark.integration


def make(lab: Lab, rows: int = 100) -> None:
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n int, d date)",
        f"INSERT INTO t SELECT g, g * 2, date '2024-01-01' + g FROM generate_series(1, {rows}) g",
    )


def summary(table: Table) -> dict[str, str]:
    snapshot = table.metadata.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    return dict(snapshot.summary.additional_properties)


# -- replacing -------------------------------------------------------------------------------------


def test_a_reload_is_one_catalog_commit_with_exact_counts(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t"), run_id="first")
    first = lab.table("t")
    lab.sql("DELETE FROM t WHERE id > 40", "INSERT INTO t VALUES (-1, 0, NULL)")
    event = lab.load(lab.stream("public.t"), run_id="second")

    table = lab.table("t")
    assert lab.read("t").num_rows == 41
    assert len(table.metadata.snapshots) == 2
    assert [e.metadata_file for e in table.metadata.metadata_log] == [first.metadata_location]
    found = summary(table)
    assert found[RUN_ID] == "second"
    assert len(found[COMMIT_ID]) == 32
    old = summary(first)
    assert {k: v for k, v in found.items() if not k.startswith("olake")} == {
        "added-data-files": str(event.files),
        "added-records": "41",
        "added-files-size": str(event.bytes),
        "deleted-data-files": old["added-data-files"],
        "deleted-records": "100",
        "removed-files-size": old["added-files-size"],
        "total-data-files": str(event.files),
        "total-records": "41",
        "total-files-size": str(event.bytes),
        "total-delete-files": "0",
        "total-position-deletes": "0",
        "total-equality-deletes": "0",
    }


def test_the_manifests_say_what_was_added_and_what_was_deleted_and_nothing_else(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    lab.load(lab.stream("public.t"))
    lab.load(lab.stream("public.t"))
    table = lab.table("t")
    head = table.metadata.current_snapshot()
    assert head is not None
    manifests = head.manifests(table.io)
    assert {m.content for m in manifests} == {ManifestContent.DATA}
    entries = [e for m in manifests for e in m.fetch_manifest_entry(table.io, discard_deleted=False)]
    assert sorted(e.status for e in entries) == [ManifestEntryStatus.ADDED, ManifestEntryStatus.DELETED]
    assert {e.snapshot_id for e in entries} == {head.snapshot_id}
    assert [head.parent_snapshot_id] == [s.snapshot_id for s in table.metadata.snapshots][-2:-1]


def test_older_snapshots_stay_readable(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    first = lab.table("t").metadata.snapshots[0].snapshot_id
    lab.sql("TRUNCATE t")
    lab.load(lab.stream("public.t"))
    table = lab.table("t")
    assert table.scan().to_arrow().num_rows == 0
    assert table.scan(snapshot_id=first).to_arrow().num_rows == 100


def test_schema_and_partitioning_change_with_the_rows(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t", partition_by=("month(d)", "n")))
    ids = {f.name: f.field_id for f in lab.table("t").schema().fields}
    lab.sql(
        "ALTER TABLE t ALTER n TYPE text",
        "ALTER TABLE t DROP d",
        "ALTER TABLE t ADD d text, ADD e numeric(5,1)[]",
    )
    lab.load(lab.stream("public.t", partition_by=("truncate(1, n)",)))
    table = lab.table("t")
    new = {f.name: f.field_id for f in table.schema().fields}
    assert new["id"] == ids["id"]
    # A column of another type is another column: its id is not reused.
    assert not {new["n"], new["d"], new["e"]} & set(ids.values())
    assert lab.duck("t", "SELECT n FROM t WHERE id = 7").to_pylist() == [{"n": "14"}]
    assert lab.read("t").column("d").null_count == 100
    # And back, without anything piling up.
    lab.sql(
        "ALTER TABLE t DROP d, DROP e",
        "ALTER TABLE t ALTER n TYPE int USING n::int",
        "ALTER TABLE t ADD d date",
    )
    lab.load(lab.stream("public.t", partition_by=("month(d)", "n")))
    lab.load(lab.stream("public.t"))
    lab.load(lab.stream("public.t"))
    table = lab.table("t")
    assert table.spec().is_unpartitioned()
    assert len(table.metadata.schemas) == 3
    assert len(table.metadata.partition_specs) == 4
    assert lab.duck("t").num_rows == 100


def test_readers_see_the_old_table_or_the_new_one(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    lab.sql("UPDATE t SET n = -1")
    seen = []

    def look(event: Event) -> None:
        seen.append({r["n"] < 0 for r in lab.read("t").to_pylist()})

    lab.load(lab.stream("public.t"), watch=look)
    assert seen[:-1] == [{False}] * (len(seen) - 1)
    assert seen[-1] == {True}


def test_bounds_let_readers_skip_files_and_never_rows(lab: Lab) -> None:
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY, s text, f float8, d date, p numeric(30,2), u uuid, b bytea, x timestamptz)",
        "INSERT INTO t VALUES (1, repeat('a', 40), 'NaN', '0044-03-15 BC', -0.01, gen_random_uuid(), '\\xff', '0001-01-01'),"
        "(2, repeat(U&'\\+10FFFF', 20), 5, '9999-12-31', 9e25, gen_random_uuid(), decode(repeat('ff', 40), 'hex'), 'infinity'),"
        "(3, repeat('z', 15) || 'é' || 'x', -0.0, NULL, 0, NULL, '', '2024-01-01')",
    )
    lab.load(lab.stream("public.t"), threads=1)
    table = lab.table("t")
    for row_filter, wanted in (
        ("s == '" + "a" * 40 + "'", [1]),
        ("s > 'zzzz'", [2, 3]),
        ("f >= 5", [2]),
        ("f < 0.1", [3]),
        ("d > '5000-01-01'", [2]),
        ("p < 0", [1]),
        ("p > 1", [2]),
        ("id == 4", []),
    ):
        scan = table.scan(row_filter=row_filter)
        found = scan.to_arrow().column("id").to_pylist()
        assert sorted(i for i in found if row_filter != "f >= 5" or i != 1) == wanted, row_filter
        assert (len(list(scan.plan_files())) == 0) == (not wanted), row_filter
    [task] = table.scan().plan_files()
    file = task.file
    columns = {f.name: f.field_id for f in table.schema().fields}
    assert file.record_count == 3
    assert file.null_value_counts[columns["d"]] == 1
    assert file.lower_bounds[columns["s"]] == b"a" * 16
    assert columns["s"] not in file.upper_bounds
    assert columns["b"] not in file.upper_bounds
    assert file.lower_bounds[columns["p"]] == b"\xff"
    assert Path(file.file_path.removeprefix("file://")).stat().st_size == file.file_size_in_bytes


# -- ownership and conflict ------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["project", "stream", "environment"])
def test_another_s_table_is_neither_written_nor_cleared(lab: Lab, change: str) -> None:
    make(lab)
    stream = lab.stream("public.t")
    lab.load(stream)
    before = lab.files()
    stranger = owner(stream.id).model_copy(update={change: "other"})
    [failed] = lab.run(stream, owners=[stranger])
    assert isinstance(failed, StreamFailed)
    assert "belongs to another stream" in failed.summary
    with pytest.raises(Blocked):
        lab.engine.prepare_clear(lab.destination, lab.place("t"), stranger)
    assert lab.files() == before


def test_a_table_that_we_did_not_make_is_left_alone(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t", destination_table="other"))
    catalog = lab.catalog()
    other = catalog.load_table((PLACE_DATABASE, "other"))
    catalog.create_table((PLACE_DATABASE, "t"), other.schema())
    catalog.close()
    [failed] = lab.run(lab.stream("public.t"))
    assert isinstance(failed, StreamFailed)
    assert "was not made by this program" in failed.summary
    status = lab.engine.observe(lab.destination, [lab.place("t")])[lab.place("t")]
    assert isinstance(status, TableFacts)
    assert (status.owner, status.rows) == (None, 0)


def test_a_run_of_an_older_generation_is_refused(lab: Lab) -> None:
    make(lab)
    stream = lab.stream("public.t")
    lab.load(stream, owners=[owner(stream.id, generation=3)])
    [failed] = lab.run(stream, owners=[owner(stream.id, generation=2)])
    assert isinstance(failed, StreamFailed)
    assert "generation 3" in failed.summary


def meanwhile(lab: Lab, action: Callable[[], Any]) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if isinstance(event, StreamStarted):
            action()

    return watch


def test_a_table_changed_by_somebody_else_meanwhile_is_not_overwritten(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    inner = Lab(lab.server, lab.database, lab.folder)
    failed = lab.run(
        lab.stream("public.t"),
        watch=meanwhile(lab, lambda: inner.load(lab.stream("public.t"), run_id="rival")),
    )[-1]
    assert isinstance(failed, StreamFailed)
    assert "was changed by somebody else during the load" in failed.summary
    assert summary(lab.table("t"))[RUN_ID] == "rival"
    assert len([f for f in lab.files() if f.endswith(".parquet")]) == 2


def test_two_first_loads_of_one_table_make_one_table(lab: Lab) -> None:
    make(lab)
    inner = Lab(lab.server, lab.database, lab.folder)
    failed = lab.run(
        lab.stream("public.t"),
        watch=meanwhile(lab, lambda: inner.load(lab.stream("public.t"), run_id="rival")),
    )[-1]
    assert isinstance(failed, StreamFailed)
    assert lab.read("t").num_rows == 100


class Outage(OperationalError):
    def __init__(self) -> None:
        super().__init__("COMMIT", {}, Exception("disk I/O error"))


def test_a_commit_whose_answer_was_lost_is_looked_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    make(lab)
    real = SqlCatalog.commit_table

    def lose_the_answer(self: SqlCatalog, *args: Any) -> Any:
        real(self, *args)
        raise Outage

    with monkeypatch.context() as patch:
        patch.setattr(SqlCatalog, "commit_table", lose_the_answer)
        assert isinstance(lab.run(lab.stream("public.t"))[-1], StreamCommitted)
    assert lab.read("t").num_rows == 100


def test_a_commit_that_failed_leaves_the_old_table_and_no_file(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    before = lab.files()

    def fail(self: SqlCatalog, *args: Any) -> Any:
        raise Outage

    with monkeypatch.context() as patch:
        patch.setattr(SqlCatalog, "commit_table", fail)
        failed = lab.run(lab.stream("public.t"))[-1]
    assert isinstance(failed, StreamFailed)
    assert "disk I/O error" in failed.why
    assert lab.files() == before


def test_a_disk_that_fills_up_while_metadata_is_written_leaves_no_file(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from olake_reconcile.destinations.iceberg import snapshot

    make(lab)
    lab.load(lab.stream("public.t"))
    before = lab.files()

    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "write_manifest_list", full)
        failed = lab.run(lab.stream("public.t"))[-1]
    assert isinstance(failed, StreamFailed)
    assert "full" in failed.summary
    assert lab.files() == before


def test_an_outcome_that_nobody_knows_keeps_the_files(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    before = lab.files()
    real_commit, real_load = SqlCatalog.commit_table, SqlCatalog.load_table

    with monkeypatch.context() as patch:

        def vanish(self: SqlCatalog, *args: Any) -> Any:
            real_commit(self, *args)
            patch.setattr(SqlCatalog, "load_table", lambda *_: (_ for _ in ()).throw(Outage()))
            raise Outage

        patch.setattr(SqlCatalog, "commit_table", vanish)
        failed = lab.run(lab.stream("public.t"))[-1]
    assert SqlCatalog.load_table is real_load
    assert isinstance(failed, StreamFailed)
    assert "nobody knows" in failed.summary
    assert set(before) < set(lab.files())
    assert lab.read("t").num_rows == 100


# -- clearing --------------------------------------------------------------------------------------


def test_a_clear_removes_the_table_and_every_file_and_nothing_else(lab: Lab) -> None:
    make(lab)
    stream = lab.stream("public.t", partition_by=("month(d)",))
    archive = lab.stream("public.t", destination_table="t_archive")
    for _ in range(3):
        lab.load(stream)
    lab.load(archive)
    kept = [f for f in lab.files() if "t_archive" in f]
    ticket = lab.engine.prepare_clear(lab.destination, lab.place("t"), owner(stream.id))
    lab.engine.clear(lab.destination, ticket)
    assert lab.files() == kept
    assert lab.engine.observe(lab.destination, [lab.place("t")]) == {lab.place("t"): TableAbsent()}
    lab.engine.clear(lab.destination, ticket)
    assert lab.read("t_archive").num_rows == 100


def test_a_clear_killed_anywhere_can_be_finished(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from olake_reconcile.destinations.iceberg import clear, files

    class Killed(BaseException):
        pass

    make(lab)
    real = files.delete_files
    steps = 0
    while True:
        stream = lab.stream("public.t", partition_by=("bucket(3, id)",))
        lab.load(stream)
        lab.load(stream)
        ticket = lab.engine.prepare_clear(lab.destination, lab.place("t"), owner(stream.id))
        left = [steps]

        def dying(io: Any, locations: list[str], left: list[int] = left) -> None:
            for location in locations:
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                real(io, [location])

        with monkeypatch.context() as patch:
            patch.setattr(clear, "delete_files", dying)
            try:
                lab.engine.clear(lab.destination, ticket)
                break
            except Killed:
                steps += 3
        lab.engine.clear(lab.destination, ticket)
        assert lab.files() == []
    assert steps > 9


def test_a_clear_takes_commits_along_that_came_after_its_ticket(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    ticket = lab.engine.prepare_clear(lab.destination, lab.place("t"), owner(lab.stream("public.t").id))
    lab.load(lab.stream("public.t"))
    lab.engine.clear(lab.destination, ticket)
    assert lab.files() == []


def test_a_clear_leaves_the_table_alone_that_took_the_place_since(lab: Lab) -> None:
    make(lab)
    stream = lab.stream("public.t")
    lab.load(stream)
    old = lab.engine.prepare_clear(lab.destination, lab.place("t"), owner(stream.id))
    lab.engine.clear(lab.destination, old)
    lab.load(stream, owners=[owner(stream.id, generation=2)])
    lab.engine.clear(lab.destination, old)
    assert lab.read("t").num_rows == 100


def test_a_foreign_file_in_the_table_s_folder_survives(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    [folder] = (lab.warehouse / PLACE_DATABASE).iterdir()
    (folder / "data" / "notes.txt").write_text("mine")
    ticket = lab.engine.prepare_clear(lab.destination, lab.place("t"), owner(lab.stream("public.t").id))
    lab.engine.clear(lab.destination, ticket)
    assert [f.name for f in folder.rglob("*") if f.is_file()] == ["notes.txt"]


def test_nothing_to_clear_is_not_an_error_and_creates_nothing(lab: Lab) -> None:
    ticket = lab.engine.prepare_clear(lab.destination, lab.place("t"), owner(lab.stream("public.t").id))
    assert ticket == ClearTicket(place=lab.place("t"), metadata=None)
    lab.engine.clear(lab.destination, ticket)
    assert lab.engine.observe(lab.destination, [lab.place("t")]) == {lab.place("t"): TableAbsent()}
    assert lab.engine.check_destination(lab.destination).identity.startswith("iceberg:")
    assert not lab.warehouse.exists()


def test_a_table_that_cannot_be_read_is_unknown_and_hides_no_other(lab: Lab) -> None:
    make(lab)
    lab.load(lab.stream("public.t"))
    lab.load(lab.stream("public.t", destination_table="u"))
    metadata = Path(lab.table("t").metadata_location.removeprefix("file://"))
    metadata.write_text(json.dumps({"broken": True}))
    found = lab.engine.observe(lab.destination, [lab.place("t"), lab.place("u")])
    assert isinstance(found[lab.place("t")], TableUnknown)
    assert isinstance(found[lab.place("u")], TableFacts)

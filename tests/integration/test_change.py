"""Changing a table: appended rows with their position, columns that follow the source, one winner among two writers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table.snapshots import Operation
from sqlalchemy.exc import OperationalError
from tablelab import OWNER, PLACE, TableLab

from olake_reconcile.destinations.iceberg import facts
from olake_reconcile.destinations.iceberg.catalog import open_catalog
from olake_reconcile.destinations.iceberg.change import Conflict, IncompatibleSchema, append
from olake_reconcile.destinations.iceberg.overlap import absent
from olake_reconcile.destinations.iceberg.rows import read_rows
from olake_reconcile.errors import OutcomeUnknown, ReconcileError
from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.column_type import ColumnType
from olake_reconcile.model.table import TableFacts

pytestmark = pytest.mark.integration


@pytest.fixture
def lab(tmp_path: Path) -> TableLab:
    return TableLab(tmp_path)


def rows(*ids: int, **values: Any) -> list[dict[str, Any]]:
    return [{"id": i, "v": f"v{i}", **values} for i in ids]


# -- appending -------------------------------------------------------------------------------------


def test_appended_rows_and_their_position_come_in_one_commit(lab: TableLab) -> None:
    lab.append(rows(1, 2), {"at": 2})
    lab.append(rows(3), {"at": 3})
    assert [r["id"] for r in lab.read()] == [1, 2, 3]
    table = lab.table()
    assert [s.summary.operation for s in table.metadata.snapshots if s.summary] == [Operation.APPEND] * 2
    with lab.change() as (_, change):
        assert change.position == {"at": 3}
    [status] = facts.observe(lab.house, [PLACE]).values()
    assert isinstance(status, TableFacts)
    assert (status.rows, status.position) == (3, {"at": 3})


def test_nothing_new_commits_nothing_and_a_position_alone_makes_no_snapshot(lab: TableLab) -> None:
    lab.append(rows(1), {"at": 1})
    before = lab.files()
    assert lab.append([], {"at": 1}) is None
    assert lab.files() == before
    assert lab.append([], {"at": 9}) is None
    assert len(lab.table().metadata.snapshots) == 1
    with lab.change() as (_, change):
        assert change.position == {"at": 9}


def test_an_empty_source_makes_an_empty_table_with_a_position(lab: TableLab) -> None:
    assert lab.append([], {"at": None}) is None
    assert lab.table().schema().column_names == ["id", "v"]
    with lab.change() as (_, change):
        assert change.position == {"at": None}
    lab.append(rows(1), {"at": 1})
    assert len(lab.read()) == 1


def test_many_commits_leave_few_manifests(lab: TableLab) -> None:
    for i in range(40):
        lab.append(rows(i), {"at": i})
    table = lab.table()
    head = table.metadata.current_snapshot()
    assert head is not None
    assert len(head.manifests(table.io)) < 16
    assert len(lab.read()) == 40


# -- positions -------------------------------------------------------------------------------------


def test_a_position_outlives_maintenance_and_expiry_and_follows_a_rollback(lab: TableLab) -> None:
    first = lab.append(rows(1), {"at": 1})
    lab.append(rows(2), {"at": 2})
    lab.append([], {"at": 3})
    with open_catalog(lab.house) as catalog:
        table = catalog.load_table((PLACE.database, PLACE.table))
        table.maintenance.expire_snapshots().by_id(first or 0).commit()
    with lab.change() as (_, change):
        assert change.position == {"at": 3}
    lab.append(rows(4), {"at": 4})
    with open_catalog(lab.house) as catalog:
        table = catalog.load_table((PLACE.database, PLACE.table))
        table.append(pa.table({"id": pa.array([5], pa.int64()), "v": ["foreign"]}))
    with lab.change() as (_, change):
        assert change.position == {"at": 4}
    head = lab.table().metadata.current_snapshot()
    assert head is not None
    parents = [s for s in lab.table().metadata.snapshots if s.snapshot_id == head.parent_snapshot_id]
    with open_catalog(lab.house) as catalog:
        table = catalog.load_table((PLACE.database, PLACE.table))
        table.manage_snapshots().rollback_to_snapshot(parents[0].parent_snapshot_id or 0).commit()
    with lab.change() as (_, change):
        assert change.position == {"at": 2}


# -- two writers -----------------------------------------------------------------------------------


def test_of_two_appends_begun_together_one_wins_and_nothing_is_doubled(lab: TableLab) -> None:
    lab.append(rows(1), {"at": 1})
    with lab.change() as (catalog, slow):
        lab.append(rows(2), {"at": 2})
        before = lab.files()
        files = lab.write(slow, rows(2), "slow")
        with pytest.raises(Conflict, match="changed by somebody else"):
            append(catalog, slow, files, "run", {"at": 2})
    assert lab.files() - before == {f.location.removeprefix("file://") for f in files}
    assert [r["id"] for r in lab.read()] == [1, 2]


def test_of_two_first_appends_one_makes_the_table(lab: TableLab) -> None:
    with lab.change() as (catalog, slow):
        lab.append(rows(1), {"at": 1})
        with pytest.raises(Conflict):
            append(catalog, slow, lab.write(slow, rows(1), "slow"), "run", {"at": 1})
    assert len(lab.read()) == 1


def test_a_position_that_another_moved_without_rows_neither_loses_nor_doubles_any(lab: TableLab) -> None:
    lab.append(rows(1), {"at": 1})
    with lab.change() as (catalog, slow):
        lab.append([], {"at": 2})  # no rows between 1 and 2: what `slow` read since 1 is all after it
        append(catalog, slow, lab.write(slow, rows(3)), "run", {"at": 3})
    assert len(lab.read()) == 2
    with lab.change() as (_, change):
        assert change.position == {"at": 3}


@pytest.mark.parametrize("generation", [1, 3])
def test_rows_of_two_generations_never_mix(lab: TableLab, generation: int) -> None:
    lab.append(rows(1), {"at": 1}, owner=OWNER.model_copy(update={"generation": 2}))
    with pytest.raises(ReconcileError, match="is of generation 2"):
        lab.append(rows(2), {"at": 2}, owner=OWNER.model_copy(update={"generation": generation}))
    assert len(lab.read()) == 1


# -- outcomes --------------------------------------------------------------------------------------


class Outage(OperationalError):
    def __init__(self) -> None:
        super().__init__("COMMIT", {}, Exception("disk I/O error"))


def lose_the_answer(monkeypatch: pytest.MonkeyPatch, *, catalog_stays: bool) -> None:
    real = SqlCatalog.commit_table

    def commit(self: SqlCatalog, *args: Any) -> Any:
        real(self, *args)
        if not catalog_stays:
            monkeypatch.setattr(SqlCatalog, "load_table", lambda *_: (_ for _ in ()).throw(Outage()))
        raise Outage

    monkeypatch.setattr(SqlCatalog, "commit_table", commit)


@pytest.mark.parametrize("ids", [(2,), ()], ids=["rows", "position"])
def test_a_commit_whose_answer_was_lost_is_looked_up(
    lab: TableLab, monkeypatch: pytest.MonkeyPatch, ids: tuple[int, ...]
) -> None:
    lab.append(rows(1), {"at": 1})
    with monkeypatch.context() as patch:
        lose_the_answer(patch, catalog_stays=True)
        lab.append(rows(*ids), {"at": 2})
    assert len(lab.read()) == 1 + len(ids)
    with lab.change() as (_, change):
        assert change.position == {"at": 2}


def test_an_outcome_that_nobody_knows_is_said_and_the_next_look_tells(
    lab: TableLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.append(rows(1), {"at": 1})
    with monkeypatch.context() as patch:
        lose_the_answer(patch, catalog_stays=False)
        with pytest.raises(OutcomeUnknown):
            lab.append(rows(2), {"at": 2})
    with lab.change() as (_, change):
        assert change.position == {"at": 2}
    assert len(lab.read()) == 2


# -- columns ---------------------------------------------------------------------------------------


def test_columns_are_added_widened_and_kept_when_they_go(lab: TableLab) -> None:
    lab.columns = {"id": Kind.INT, "f": Kind.FLOAT, "n": ColumnType(Kind.DECIMAL, 5, 2), "x": Kind.STRING}
    lab.append([{"id": 1, "f": 0.5, "n": 1, "x": "old"}])
    ids = {f.name: f.field_id for f in lab.table().schema().fields}
    lab.columns = {
        "new": Kind.DATE,
        "n": ColumnType(Kind.DECIMAL, 38, 2),
        "id": Kind.LONG,
        "f": Kind.DOUBLE,
    }
    lab.append([{"id": 2**40, "f": 0.1, "n": 10**30, "new": None}])
    found = lab.read("id")
    assert [(r["id"], r["f"], r["x"]) for r in found] == [(1, 0.5, "old"), (2**40, 0.1, None)]
    schema = lab.table().schema()
    assert {f.name: f.field_id for f in schema.fields if f.name != "new"} == ids
    assert schema.find_field("x").doc == "no longer in the source"
    # Narrower again at the source: the table stays wide, and holds every value.
    lab.columns = {"id": Kind.INT, "n": ColumnType(Kind.DECIMAL, 9, 2), "f": Kind.FLOAT, "new": Kind.DATE}
    lab.append([{"id": 3, "f": 1.5, "n": 2, "new": None}])
    assert len(lab.read()) == 3
    assert lab.table().schema() == schema


def test_a_column_that_comes_back_brings_no_old_value(lab: TableLab) -> None:
    lab.append(rows(1))
    lab.columns = {"id": Kind.LONG}
    lab.append([{"id": 2}])
    lab.columns = {"id": Kind.LONG, "v": Kind.LONG}
    lab.append([{"id": 3, "v": 33}])
    assert [r["v"] for r in lab.read()] == [None, None, 33]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Kind.STRING, Kind.INT),
        (Kind.TIMESTAMP, Kind.TIMESTAMPTZ),
        (Kind.LONG, Kind.DOUBLE),
        (ColumnType(Kind.DECIMAL, 5, 2), ColumnType(Kind.DECIMAL, 9, 3)),
        (Kind.INT, ColumnType(Kind.LIST, element=ColumnType(Kind.INT))),
    ],
)
def test_what_iceberg_cannot_widen_is_refused_and_the_table_left(lab: TableLab, old: Any, new: Any) -> None:
    lab.columns = {"id": Kind.LONG, "c": old}
    lab.append([{"id": 1}])
    before = lab.files()
    lab.columns = {"id": Kind.LONG, "c": new}
    with pytest.raises(IncompatibleSchema, match="column c of lake"):
        lab.append([{"id": 2}])
    assert lab.files() == before


def test_a_partition_column_that_the_source_lost_is_null_from_then_on(lab: TableLab) -> None:
    lab.columns, lab.partition_by = {"id": Kind.LONG, "v": Kind.STRING}, ["v"]
    lab.append(rows(1, 2))
    lab.columns = {"id": Kind.LONG}
    lab.append([{"id": 3}])
    assert [r["v"] for r in lab.read()] == ["v1", "v2", None]
    lab.columns = {"id": Kind.LONG, "v": Kind.STRING}
    with pytest.raises(IncompatibleSchema, match="partitions the table"):
        lab.append(rows(4))


# -- rows that were read again ---------------------------------------------------------------------


def left(lab: TableLab, again: list[dict[str, Any]], column: str = "id") -> list[dict[str, Any]]:
    with lab.change() as (_, change):
        batches = [lab.batch(change, again[:2]), lab.batch(change, again[2:])]
        return [row for b in absent(change, batches, column) for row in b.to_pylist()]


def test_rows_that_are_there_are_left_out_as_often_as_they_are_there(lab: TableLab) -> None:
    lab.append(rows(1, 1, 2, 3))
    assert left(lab, rows(1, 1, 1, 2, 4)) == rows(1, 4)
    assert left(lab, [*rows(2, 3), {"id": 3, "v": None}]) == [{"id": 3, "v": None}]


def test_every_column_counts_but_those_of_ours(lab: TableLab) -> None:
    lab.columns = {"id": Kind.LONG, "f": Kind.DOUBLE, "l": ColumnType(Kind.LIST, element=ColumnType(Kind.DATE)), "_op_type": Kind.STRING}  # fmt: skip
    held: list[dict[str, Any]] = [
        {"id": 1, "f": 0.0, "l": [1, None], "_op_type": "r"},
        {"id": 2, "f": float("nan"), "l": None, "_op_type": "u"},
        {"id": 3, "f": 1.0, "l": [], "_op_type": "d"},
    ]
    lab.append(held)
    again = [{**r, "_op_type": "c"} for r in held]
    assert [r["id"] for r in left(lab, again)] == [3]
    assert [r["id"] for r in left(lab, [{**again[0], "f": -0.0}, {**again[1], "l": []}])] == [1, 2]


def test_huge_values_are_compared_too(lab: TableLab) -> None:
    huge = "x" * (2 << 20)
    held: list[dict[str, Any]] = [{"id": 1, "v": huge}, {"id": 2, "v": huge + "a"}, {"id": 3, "v": None}]
    lab.append(held)
    again = [held[0], {"id": 2, "v": huge + "b"}, held[2]]
    assert [r["id"] for r in left(lab, again)] == [2]


def test_only_files_that_may_hold_them_are_read(lab: TableLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from olake_reconcile.destinations.iceberg import overlap

    for i in range(5):
        lab.append(rows(*range(10 * i, 10 * i + 10)))
    looked: list[str] = []
    real = read_rows

    def read(io: Any, path: str, *args: Any, **settings: Any) -> Any:
        looked.append(path)
        return real(io, path, *args, **settings)

    monkeypatch.setattr(overlap, "read_rows", read)
    assert left(lab, rows(38, 39, 40, 99)) == rows(99)
    assert len(looked) == 2


def test_no_rows_and_no_table_are_no_trouble(lab: TableLab) -> None:
    assert left(lab, rows(1)) == rows(1)
    assert left(lab, []) == []
    lab.append(rows(1))
    assert left(lab, []) == []

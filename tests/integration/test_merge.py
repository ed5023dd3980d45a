"""Merging by key: what DuckDB and pyiceberg read afterwards is what the model says, and the manifests are in order."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pyiceberg.manifest import DataFileContent
from pyiceberg.table import TableProperties
from pyiceberg.table.snapshots import Operation
from tablelab import SHORT, TableLab

from olake_reconcile.destinations.iceberg.change import Conflict
from olake_reconcile.destinations.iceberg.merge import upsert
from olake_reconcile.destinations.iceberg.rows import read_rows
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.column_type import ColumnType
from olake_reconcile.model.maintenance import Maintenance
from olake_reconcile.model.stream import DeleteMode

pytestmark = pytest.mark.integration

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def lab(tmp_path: Path) -> TableLab:
    return TableLab(tmp_path)


def rows(*ids: int, v: str = "v") -> list[dict[str, Any]]:
    return [{"id": i, "v": f"{v}{i}"} for i in ids]


def contents(lab: TableLab) -> list[DataFileContent]:
    return sorted(e.data_file.content for e in lab.entries())


def test_few_changed_rows_are_marked_in_a_delete_file(lab: TableLab) -> None:
    lab.append(rows(*range(100)))
    lab.merge(rows(3, 50, 200, v="new"), position={"at": 1})
    found = {r["id"]: r["v"] for r in lab.read()}
    assert len(found) == 101
    assert (found[3], found[50], found[200], found[4]) == ("new3", "new50", "new200", "v4")
    assert contents(lab) == [DataFileContent.DATA, DataFileContent.DATA, DataFileContent.POSITION_DELETES]
    head = lab.table().metadata.current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.summary.operation == Operation.OVERWRITE


def test_the_delete_file_of_a_partition_is_one_however_many_merges_there_were(lab: TableLab) -> None:
    lab.append(rows(*range(100)))
    for i in range(6):
        lab.merge(rows(i, i + 1, v=f"new{i}-"))
    assert contents(lab).count(DataFileContent.POSITION_DELETES) == 1
    assert {r["v"] for r in lab.read() if r["id"] <= 6} == {*(f"new{i}-{i}" for i in range(6)), "new5-6"}


def test_small_files_of_many_merges_become_few(lab: TableLab) -> None:
    lab.append([{"id": i, "v": f"{i * 7919 % 1000003:x}" * 40} for i in range(20_000)])
    lab.merge([], [{"id": 9}])
    for i in range(12):
        lab.merge(rows(i, 5000 + i, v=f"new{i}-"))
    assert contents(lab).count(DataFileContent.DATA) <= 6
    found = {r["id"]: r["v"] for r in lab.read()}
    assert len(found) == 20_000
    assert [found[i] for i in range(12)] == [f"new{i}-{i}" for i in range(12)]


def test_many_changed_rows_rewrite_their_file_and_all_of_them_remove_it(lab: TableLab) -> None:
    lab.append(rows(*range(10)))
    lab.append(rows(*range(10, 20)))
    lab.merge(rows(*range(4), v="new"))
    assert contents(lab) == [DataFileContent.DATA] * 3
    lab.merge(rows(*range(20), v="newer"))
    assert contents(lab) == [DataFileContent.DATA]
    assert {r["v"] for r in lab.read()} == {f"newer{i}" for i in range(20)}


def test_a_file_that_is_rewritten_takes_its_positions_out_of_the_delete_file(lab: TableLab) -> None:
    lab.append(rows(*range(10)))
    lab.append(rows(*range(100, 110)))
    lab.merge([], [{"id": 0}, {"id": 100}])
    lab.merge([], [{"id": i} for i in range(1, 4)])
    assert int(lab.summary()["total-position-deletes"]) == 1
    assert [r["id"] for r in lab.read()] == [*range(101, 110), *range(4, 10)]


def test_a_row_moves_to_another_partition(lab: TableLab) -> None:
    lab.columns = {"id": Kind.LONG, "d": Kind.DATE}
    lab.partition_by = ["month(d)"]
    lab.append([{"id": i, "d": date(2024, 1 + i % 12, 1)} for i in range(240)])
    lab.merge([{"id": 7, "d": date(2030, 1, 1)}, {"id": 8, "d": None}, {"id": 9, "d": date(1900, 1, 1)}])
    found = {r["id"]: r["d"] for r in lab.read()}
    assert (len(found), found[7], found[8], found[9]) == (240, date(2030, 1, 1), None, date(1900, 1, 1))


def test_nothing_but_unknown_keys_deleted_is_no_snapshot(lab: TableLab) -> None:
    lab.append(rows(1), {"at": 1})
    assert lab.merge([], [{"id": 5}], position={"at": 2}) is None
    assert len(lab.table().metadata.snapshots) == 1
    with lab.change() as (_, change):
        assert change.position == {"at": 2}


def test_the_first_merge_makes_the_table(lab: TableLab) -> None:
    lab.merge(rows(1, 2), [{"id": 3}])
    assert [r["id"] for r in lab.read()] == [1, 2]


def test_a_soft_delete_keeps_the_last_image_and_marks_it(lab: TableLab) -> None:
    lab.columns = {"id": Kind.LONG, "v": Kind.STRING, "_op_type": Kind.STRING, "_olake_timestamp": Kind.TIMESTAMPTZ}  # fmt: skip
    lab.append([{"id": i, "v": f"v{i}", "_op_type": "r", "_olake_timestamp": START} for i in range(20)])
    later = START + timedelta(days=1)
    lab.merge(
        [{"id": 1, "v": "new", "_op_type": "u", "_olake_timestamp": later}],
        [{"id": i, "_op_type": "d", "_olake_timestamp": later} for i in (7, 3, 99)],
        mode=DeleteMode.SOFT,
    )
    found = {r["id"]: r for r in lab.read()}
    assert len(found) == 20
    assert found[3] == {"id": 3, "v": "v3", "_op_type": "d", "_olake_timestamp": later}
    assert found[7] == {"id": 7, "v": "v7", "_op_type": "d", "_olake_timestamp": later}
    assert (found[1]["v"], found[2]["_op_type"]) == ("new", "r")
    lab.merge([{"id": 3, "v": "back", "_op_type": "c", "_olake_timestamp": later}])
    assert {r["id"]: r["v"] for r in lab.read()}[3] == "back"


def test_an_unknown_key_that_is_deleted_can_become_a_tombstone(lab: TableLab) -> None:
    lab.columns = {"id": Kind.LONG, "v": Kind.STRING, "_op_type": Kind.STRING}
    lab.append([{"id": 1, "v": "v", "_op_type": "r"}])
    gone = [{"id": 9, "_op_type": "d"}, {"id": 1, "_op_type": "d"}]
    lab.merge([], gone, mode=DeleteMode.SOFT, tombstones=True)
    assert lab.read() == [
        {"id": 1, "v": "v", "_op_type": "d"},
        {"id": 9, "v": None, "_op_type": "d"},
    ]


def test_a_key_that_comes_twice_or_has_no_column_is_refused(lab: TableLab) -> None:
    lab.append(rows(1))
    before = lab.files()
    with pytest.raises(ReconcileError, match="no column missing"):
        lab.merge(rows(1), key=("missing",))
    with pytest.raises(ValueError, match="twice"):
        lab.merge(rows(2, 2))
    assert len(lab.read()) == 1
    assert len(lab.files() - before) == 2  # the caller's files


KEYS: dict[str, tuple[Any, list[Any]]] = {
    "text cut short": (Kind.STRING, ["a" * 40, "a" * 40 + "b", "a" * 15, "\U0010ffff" * 20, "", "é", "ｚ"]),
    "uuid": (Kind.UUID, [UUID(int=i << 64).bytes for i in (0, 1, 2**63, 77)]),
    "decimal": (ColumnType(Kind.DECIMAL, 38, 2), [Decimal("-0.01"), Decimal(0), Decimal("9" * 36), Decimal("-9")]),
    "date": (Kind.DATE, [date(1, 1, 1), date(1969, 12, 31), date(1970, 1, 1), date(9999, 12, 31)]),
    "timestamp": (Kind.TIMESTAMPTZ, [START, START + timedelta(microseconds=1), datetime(1, 1, 1, tzinfo=UTC)]),
    "double": (Kind.DOUBLE, [float("nan"), 0.0, -1.5, float("inf"), float("-inf")]),
    "bytes": (Kind.BINARY, [b"", b"\xff" * 40, b"\x00", b"\xff" * 15]),
    "boolean": (Kind.BOOLEAN, [True, False, None]),
    "null": (Kind.LONG, [None, 1, -(2**63), 2**63 - 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_keys_of_every_type_are_found(lab: TableLab, name: str) -> None:
    kind, keys = KEYS[name]
    lab.columns = {"k": kind, "v": Kind.LONG}
    for start in range(0, len(keys), 2):
        lab.append([{"k": k, "v": 0} for k in keys[start : start + 2]])
    lab.merge([{"k": k, "v": 1} for k in keys], key=("k",))
    assert [r["v"] for r in lab.read("v")] == [1] * len(keys)


def test_zero_is_one_key_whatever_its_sign(lab: TableLab) -> None:
    lab.columns = {"k": Kind.DOUBLE, "v": Kind.LONG}
    lab.append([{"k": -0.0, "v": 0}])
    lab.merge([{"k": 0.0, "v": 1}], key=("k",))
    assert [r["v"] for r in lab.read("v")] == [1]


def test_a_key_of_several_columns_matches_as_a_whole(lab: TableLab) -> None:
    lab.columns = {"a": Kind.STRING, "b": Kind.LONG, "v": Kind.LONG}
    keys = [("x", 1), ("x", 2), ("y", 1), ("x1", None), ("", 11)]
    lab.append([{"a": a, "b": b, "v": 0} for a, b in keys])
    lab.merge([{"a": "x", "b": 2, "v": 1}, {"a": "x1", "b": None, "v": 1}], key=("b", "a"))
    assert sum(r["v"] for r in lab.read("a")) == 2
    assert len(lab.read("a")) == 5


def test_an_old_narrow_key_is_found_by_a_wide_one(lab: TableLab) -> None:
    lab.columns = {"id": Kind.INT, "v": Kind.STRING}
    lab.append(rows(*range(10)))
    lab.columns = {"id": Kind.LONG, "v": Kind.STRING, "new": Kind.LONG}
    lab.merge([{"id": 3, "v": "new", "new": 1}, {"id": 2**40, "v": "new", "new": 2}])
    lab.merge([{"id": i, "v": "newer", "new": 3} for i in range(4)])
    assert [r["new"] for r in lab.read()] == [3, 3, 2, 3, 3, *[None] * 6]


def test_only_files_whose_bounds_leave_room_are_read(lab: TableLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from olake_reconcile.destinations.iceberg import locate

    for i in range(6):
        lab.append(rows(*range(100 * i, 100 * i + 100)))
    read: list[str] = []
    real = read_rows

    def counting(io: Any, path: str, *args: Any, **settings: Any) -> Any:
        read.append(path)
        return real(io, path, *args, **settings)

    monkeypatch.setattr(locate, "read_rows", counting)
    lab.merge(rows(150, 170, 399, 1000, v="new"))
    assert len(read) == 1 + 2  # the new file, and the two that may hold its keys


def test_a_partition_that_the_key_decides_is_the_only_one_looked_into(
    lab: TableLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from olake_reconcile.destinations.iceberg import locate

    lab.partition_by = ["bucket(8, id)"]
    lab.append(rows(*range(400)))
    read: list[str] = []
    real = read_rows

    def counting(io: Any, path: str, *args: Any, **settings: Any) -> Any:
        read.append(path)
        return real(io, path, *args, **settings)

    monkeypatch.setattr(locate, "read_rows", counting)
    lab.merge(rows(7, v="new"))
    assert len(read) == 2
    assert len(lab.read()) == 400


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("text cut short", "k"), ("text cut short", "truncate(3, k)"), ("uuid", "k"), ("uuid", "bucket(4, k)"),
        ("decimal", "k"), ("decimal", "truncate(10, k)"), ("date", "k"), ("date", "month(k)"), ("date", "year(k)"),
        ("date", "day(k)"), ("timestamp", "k"), ("timestamp", "hour(k)"), ("timestamp", "day(k)"), ("bytes", "k"),
        ("boolean", "k"), ("null", "k"), ("null", "truncate(7, k)"),
    ],
)  # fmt: skip
def test_keys_are_found_in_the_partitions_that_they_decide(lab: TableLab, name: str, transform: str) -> None:
    kind, keys = KEYS[name]
    lab.columns, lab.partition_by = {"k": kind, "v": Kind.LONG}, [transform]
    lab.append([{"k": k, "v": 0} for k in keys])
    lab.merge([{"k": k, "v": 1} for k in keys], key=("k",))
    assert lab.summary()["total-records"] == str(len(keys))
    assert [r["v"] for r in lab.table().scan(selected_fields=("v",)).to_arrow().to_pylist()] == [1] * len(
        keys
    )


@pytest.mark.parametrize("name", [n for n in KEYS if n != "double"])
def test_delete_files_stand_in_partitions_of_every_type(lab: TableLab, name: str) -> None:
    kind, keys = KEYS[name]
    lab.columns, lab.partition_by = {"id": Kind.LONG, "k": kind, "v": Kind.LONG}, ["k"]
    lab.append([{"id": i, "k": keys[i % len(keys)], "v": 0} for i in range(20 * len(keys))])
    for turn in (1, 2):
        lab.merge([{"id": i, "k": keys[i], "v": turn} for i in range(turn, len(keys))])
    found = {r["id"]: r["v"] for r in lab.read()}
    assert len(found) == 20 * len(keys)
    assert [found[i] for i in range(len(keys))] == [0, 1, *[2] * (len(keys) - 2)][: len(keys)]


def test_metadata_files_do_not_pile_up(lab: TableLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TableProperties, "METADATA_PREVIOUS_VERSIONS_MAX_DEFAULT", 3)  # 100 otherwise
    for i in range(8):
        lab.append([] if i else rows(1), {"at": i})
    assert len([f for f in lab.files() if f.endswith(".metadata.json")]) == 4


# -- two writers, failures -------------------------------------------------------------------------


def test_of_two_merges_begun_together_one_wins(lab: TableLab) -> None:
    lab.append(rows(*range(100)), {"at": 1})
    with lab.change() as (catalog, slow):
        files = lab.write(slow, rows(1, v="slow"), "slow")
        lab.merge(rows(1, v="fast"), position={"at": 2})
        before = lab.files()
        with pytest.raises(Conflict):
            upsert(catalog, slow, files, ["id"], "run", {"at": 2})
        assert lab.files() == before
    assert [r["v"] for r in lab.read()][1] == "fast1"


def compacted(lab: TableLab) -> None:
    """Write every data file anew in a snapshot of operation `replace` that knows nothing of positions."""
    from olake_reconcile.destinations.iceberg import snapshot
    from olake_reconcile.destinations.iceberg.commit import commit_snapshot
    from olake_reconcile.destinations.iceberg.files import DataWriter

    def operation(delta: Any) -> Operation:
        return Operation.REPLACE

    with lab.change() as (catalog, change), pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "_operation", operation)
        writer = DataWriter(change.io, change.format, f"compacted-{change.commit_id[:8]}")
        for batch in lab.table().scan().to_arrow().cast(change.format.arrow()).to_batches():
            writer.write(batch)
        added = [snapshot.data_file(f) for f in writer.finish()]
        delta = snapshot.replacement(change.io, change.staged, change.schema, added)
        commit_snapshot(catalog, change, delta, "maintenance")


@pytest.mark.parametrize("times", [1, 2])
def test_a_merge_that_maintenance_overtook_is_worked_out_anew(lab: TableLab, times: int) -> None:
    for i in range(3):
        lab.append(rows(*range(100 * i, 100 * i + 100)), {"at": i})
    lab.merge(rows(0, v="x"), position={"at": 2})
    with lab.change() as (catalog, change):
        files = lab.write(change, rows(1, 150, 250, v="new"), "new")
        for _ in range(times):
            compacted(lab)
        upsert(catalog, change, files, ["id"], "run", {"at": 3})
    found = {r["id"]: r["v"] for r in lab.read()}
    assert (len(found), found[0], found[1], found[250]) == (300, "x0", "new1", "new250")


@pytest.mark.parametrize("step", ["write_manifest_list", "_DeleteManifestWriter"])
def test_a_merge_that_fails_leaves_nothing_of_its_own(
    lab: TableLab, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from olake_reconcile.destinations.iceberg import snapshot

    lab.append(rows(*range(10)))
    lab.append(rows(*range(100, 200)))

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    with lab.change() as (catalog, change):
        files = lab.write(change, rows(*range(5), 150, v="new"))
        before = lab.files()
        with monkeypatch.context() as patch:
            patch.setattr(snapshot, step, full)
            with pytest.raises(OSError, match="No space left"):
                upsert(catalog, change, files, ["id"], "run", {})
        assert lab.files() == before
        upsert(catalog, change, files, ["id"], "run", {})
    assert len(lab.read()) == 110


@pytest.mark.soak
def test_a_merge_of_huge_values_stays_below_600_mb(lab: TableLab) -> None:
    program = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from tablelab import TableLab
from olake_reconcile.destinations.iceberg.change import append
from olake_reconcile.destinations.iceberg.files import DataWriter

lab, build = TableLab(Path(sys.argv[1])), sys.argv[2] == "build"
if not build:
    lab.merge([{"id": i, "v": "small"} for i in range(0, 8, 2)])
else:
    with lab.change() as (catalog, change):
        writer = DataWriter(change.io, change.format, "huge")
        for i in range(8):
            text = pa.array([chr(97 + i) * (100 << 20)], pa.large_string())
            writer.write(pa.RecordBatch.from_arrays([pa.array([i]), text], schema=change.format.arrow()))
        append(catalog, change, writer.finish(), "run", {})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    peaks = []
    for what in ("build", "merge"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(lab.folder), what],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(int(done.stdout))
    assert max(peaks) < 600
    assert (
        lab.duck("SELECT id, length(v) AS n FROM t ORDER BY id").column("n").to_pylist() == [5, 100 << 20] * 4
    )


# -- laws ------------------------------------------------------------------------------------------


def random_history(lab: TableLab, seed: int, steps: int) -> None:
    """Random appends, merges, deletes, evolutions and maintenance of a table, each looked at by both readers."""
    chance = random.Random(seed)
    lab.columns = {"id": Kind.LONG, "p": Kind.INT, "v": Kind.STRING, "_op_type": Kind.STRING}
    lab.partition_by = chance.choice([[], ["p"], ["bucket(3, id)"], ["truncate(2, v)", "p"]])
    model: dict[int, dict[str, Any]] = {}

    def fresh(ids: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {"id": i, "p": chance.randrange(4), "v": f"{chance.randrange(50)}", "_op_type": "u"}
            | {c: chance.randrange(9) for c in lab.columns if c.startswith("new")}
            for i in ids
        ]

    def some(share: float) -> list[int]:
        return [i for i in range(300) if chance.random() < share]

    for step in range(steps):
        match chance.randrange(7):
            case 0:
                new = fresh([i for i in some(0.5) if i not in model])
                lab.append(new, {"step": step})
                model |= {r["id"]: r for r in new}
            case 1:
                name = f"new{step}"
                lab.columns = {**lab.columns, name: Kind.INT}
                lab.append([], {"step": step})
            case 2:
                gone = some(chance.choice([0.01, 0.5]))
                lab.merge([], [{"id": i} for i in gone], position={"step": step})
                for i in gone:
                    model.pop(i, None)
            case 3:
                gone = some(0.05)
                marks = [{"id": i, "_op_type": "d"} for i in gone]
                lab.merge([], marks, mode=DeleteMode.SOFT, position={"step": step})
                for i in set(gone) & set(model):
                    model[i] = {**model[i], "_op_type": "d"}
            case 4 if step:
                lab.maintain(
                    chance.choice([SHORT, Maintenance(), Maintenance(keep_days=0, keep_snapshots=3)])
                )
            case _:
                new = fresh(some(chance.choice([0.01, 0.1, 0.8])))
                lab.merge(new, position={"step": step})
                model |= {r["id"]: r for r in new}
        names = list(lab.columns)
        found = lab.read()
        assert {r["id"]: r for r in found} == {i: {n: r.get(n) for n in names} for i, r in model.items()}
        assert len(found) == len(model)
    # The grace of all that expired is over by then; what stays is what the table consists of.
    lab.maintain(SHORT, timedelta(days=2))
    assert {r["id"] for r in lab.read()} == model.keys()
    assert lab.files() == lab.reachable()


@pytest.mark.parametrize("seed", range(2))
def test_a_random_history_leaves_what_the_model_says(lab: TableLab, seed: int) -> None:
    random_history(lab, seed, 8)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_random_histories_leave_what_the_model_says(lab: TableLab, seed: int) -> None:
    random_history(lab, seed, 30)

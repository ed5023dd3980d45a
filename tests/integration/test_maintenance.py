"""Maintenance of real tables: the same rows in fewer files, an old history that goes, and no file too many or too few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import DataFileContent
from pyiceberg.table.snapshots import Operation
from tablelab import OWNER, PLACE, SHORT, TableLab

from olake_reconcile.destinations.iceberg import compact as compaction
from olake_reconcile.destinations.iceberg import maintain as maintenance
from olake_reconcile.destinations.iceberg.catalog import open_catalog
from olake_reconcile.destinations.iceberg.change import append
from olake_reconcile.destinations.iceberg.clear import clear
from olake_reconcile.destinations.iceberg.commit import Conflict, commit_snapshot
from olake_reconcile.destinations.iceberg.compact import Stopped
from olake_reconcile.destinations.iceberg.maintain import Maintained
from olake_reconcile.destinations.iceberg.merge import upsert
from olake_reconcile.engine.base import MaintenanceRequest, MaintenanceTask, OpenDestination
from olake_reconcile.engine.embedded import EmbeddedEngine
from olake_reconcile.errors import Blocked
from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.config import IcebergConfig
from olake_reconcile.model.event import Event, StreamCommitted, StreamFailed
from olake_reconcile.model.maintenance import Maintenance
from olake_reconcile.model.names import StreamId

pytestmark = pytest.mark.integration


@pytest.fixture
def lab(tmp_path: Path) -> TableLab:
    return TableLab(tmp_path)


def rows(*ids: int, v: str = "v") -> list[dict[str, Any]]:
    return [{"id": i, "v": f"{v}{i}"} for i in ids]


def maintain(lab: TableLab, settings: Maintenance = SHORT, later: timedelta = timedelta()) -> Maintained:
    """Maintain the table as if it were `later`."""
    done = lab.maintain(settings, later)
    assert done is not None
    return done


def ids(found: Sequence[dict[str, Any]]) -> list[int]:
    return sorted(r["id"] for r in found)


def test_small_files_and_deleted_rows_become_one_full_file(lab: TableLab) -> None:
    lab.append(rows(*range(200)), {"at": 0})
    for i in range(5):
        lab.merge(rows(i, 300 + i, v="new"), [{"id": 100 + i}], position={"at": i})
    before = lab.read()
    done = maintain(lab)
    assert lab.read() == before
    assert [e.data_file.content for e in lab.entries()] == [DataFileContent.DATA]
    assert done.compacted.rows == len(before)
    assert not done.compacted.left
    assert lab.files() == lab.reachable()


def test_compaction_is_a_replacement_at_the_same_position(lab: TableLab) -> None:
    for i in range(4):
        lab.append(rows(i), {"at": i})
    maintain(lab)
    head = lab.table().metadata.current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.summary.operation == Operation.REPLACE
    with lab.change() as (_, change):
        assert change.position == {"at": 3}


def test_a_table_in_order_is_left_alone(lab: TableLab) -> None:
    for i in range(4):
        lab.append(rows(i), {"at": i})
    maintain(lab)
    maintain(lab)
    location = lab.table().metadata_location
    done = maintain(lab)
    assert (done.compacted.rows, done.expired, done.deleted) == (0, 0, 0)
    assert lab.table().metadata_location == location


def test_only_partitions_with_a_debt_are_written_anew(lab: TableLab) -> None:
    lab.columns = {"id": Kind.LONG, "p": Kind.INT}
    lab.partition_by = ["p"]
    lab.append([{"id": i, "p": i % 4} for i in range(400)])
    lab.merge([], [{"id": i} for i in range(0, 80, 4)] + [{"id": 1}])
    untouched = {e.data_file.file_path for e in lab.entries() if e.data_file.partition[0] in {1, 2, 3}}
    assert maintain(lab).compacted.rows == 80
    assert untouched <= {e.data_file.file_path for e in lab.entries()}
    assert len(lab.read()) == 379


def test_a_run_does_its_share_and_leaves_the_rest_to_the_next(
    lab: TableLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.columns = {"id": Kind.LONG, "p": Kind.INT}
    lab.partition_by = ["p"]
    for start in range(0, 40, 10):
        lab.append([{"id": i, "p": i % 3} for i in range(start, start + 10)])
    monkeypatch.setattr(compaction, "_COMMIT_BYTES", 1)
    monkeypatch.setattr(compaction, "_RUN_BYTES", 1)
    for left in (True, True, False):
        done = maintain(lab)
        assert (done.compacted.files_after, done.compacted.left) == (1, left)
        assert len(lab.read()) == 40


# -- expiry ----------------------------------------------------------------------------------------


def test_snapshots_stay_for_their_days_and_their_number(lab: TableLab) -> None:
    for i in range(6):
        lab.append(rows(i), {"at": i})
    maintain(lab, Maintenance(keep_days=7, keep_snapshots=1))
    assert len(lab.table().metadata.snapshots) == 7
    maintain(lab, Maintenance(keep_days=7, keep_snapshots=3), timedelta(days=8))
    assert len(lab.table().metadata.snapshots) == 3
    assert ids(lab.read()) == list(range(6))


def test_a_reader_of_an_expired_snapshot_has_the_grace_time(lab: TableLab) -> None:
    lab.append(rows(*range(50)), {"at": 0})
    lab.merge(rows(*range(50), v="new"), position={"at": 1})
    old = lab.table().metadata.snapshots[0]
    held = [t.file.file_path for t in lab.table().scan(snapshot_id=old.snapshot_id).plan_files()]
    settings = Maintenance(keep_days=0, keep_snapshots=1, grace_hours=24)
    for later, there in ((0, True), (23, True), (25, False)):
        maintain(lab, settings, timedelta(hours=later))
        assert len(lab.table().metadata.snapshots) == 1
        assert [Path(p.removeprefix("file://")).exists() for p in held] == [there]
        if there:
            assert pq.read_table(held[0].removeprefix("file://")).num_rows == 50
    assert {r["v"] for r in lab.read()} == {f"new{i}" for i in range(50)}
    assert lab.files() == lab.reachable()


def test_the_snapshot_that_the_position_is_tied_to_is_kept(lab: TableLab) -> None:
    lab.append(rows(1), {"at": 1})
    for _ in range(3):
        with open_catalog(lab.house) as catalog:
            table = catalog.load_table((PLACE.database, PLACE.table))
            table.append(table.scan().to_arrow().slice(0, 1))
    maintain(lab)
    with lab.change() as (_, change):
        assert change.position == {"at": 1}


def test_tagged_snapshots_and_their_files_stay(lab: TableLab) -> None:
    first = lab.append(rows(*range(50)), {"at": 0})
    with open_catalog(lab.house) as catalog:
        table = catalog.load_table((PLACE.database, PLACE.table))
        table.manage_snapshots().create_tag(first or 0, "audit").commit()
    for i in range(1, 4):
        lab.merge(rows(*range(50), v=f"{i}-"), position={"at": i})
    maintain(lab)
    maintain(lab)
    assert lab.table().scan(snapshot_id=first).to_arrow().num_rows == 50
    assert len(lab.table().metadata.snapshots) == 2
    assert lab.files() == lab.reachable()


def test_a_clear_takes_the_files_of_expired_snapshots_along(lab: TableLab) -> None:
    lab.append(rows(*range(50)))
    lab.merge(rows(*range(50), v="new"))
    maintain(lab, Maintenance(keep_days=0, keep_snapshots=1, grace_hours=24))
    assert lab.files() > lab.reachable()
    clear(lab.house, PLACE, lab.table().metadata_location)
    assert lab.files() == set()


# -- beside others ---------------------------------------------------------------------------------


def test_an_append_and_a_merge_that_maintenance_overtook_go_through(lab: TableLab) -> None:
    lab.append(rows(*range(100)), {"at": 0})
    for i in range(4):
        lab.merge(rows(i, v="old"), position={"at": i})
    with lab.change() as (catalog, change):
        files = lab.write(change, rows(2, 50, v="new"), "slow")
        maintain(lab, Maintenance())
        upsert(catalog, change, files, ["id"], "run", {"at": 9})
    for i in range(200, 204):
        lab.append(rows(i), {"at": i})
    with lab.change() as (catalog, change):
        files = lab.write(change, rows(999), "slow")
        maintain(lab, Maintenance())
        append(catalog, change, files, "run", {"at": 999})
    found = {r["id"]: r["v"] for r in lab.read()}
    assert (len(found), found[1], found[2], found[50], found[3]) == (105, "old1", "new2", "new50", "old3")


def overtaken(monkeypatch: pytest.MonkeyPatch, times: int, quick: Callable[[int], object]) -> None:
    """Let somebody else commit right before compaction does, so many times."""
    real, left = commit_snapshot, list(range(times))

    def late(*given: Any) -> int:
        if left:
            quick(left.pop())
        return real(*given)

    monkeypatch.setattr(compaction, "commit_snapshot", late)


def test_a_merge_that_comes_first_wins_over_compaction(
    lab: TableLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        lab.append(rows(*range(10 * i, 10 * i + 10)), {"at": i})
    overtaken(monkeypatch, 1, lambda i: lab.merge(rows(0, v="quick"), [{"id": 40}], position={"at": 9}))
    maintain(lab)
    found = {r["id"]: r["v"] for r in lab.read()}
    assert (len(found), found[0]) == (49, "quick0")
    maintain(lab)
    assert lab.files() == lab.reachable()


def test_compaction_that_is_overtaken_again_and_again_gives_up_and_leaves_nothing(
    lab: TableLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        lab.append(rows(i), {"at": i})
    overtaken(monkeypatch, 3, lambda i: lab.append(rows(100 + i), {"at": 100 - i}))
    with pytest.raises(Conflict):
        maintain(lab)
    assert lab.files() == lab.reachable()
    assert maintain(lab).compacted.rows == 8


def test_a_busy_table_is_told_as_such_and_can_be_tried_again(
    lab: TableLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        lab.append(rows(i), {"at": i})
    overtaken(monkeypatch, 3, lambda i: lab.append(rows(100 + i), {"at": 100 - i}))
    config = IcebergConfig(
        catalog_type="jdbc", jdbc_url="jdbc:sqlite:catalog.db", iceberg_s3_path="warehouse"
    )
    request = MaintenanceRequest(
        run_id="run",
        destination=OpenDestination(name="lake", config=config, base=lab.folder),
        tasks=(MaintenanceTask(stream=StreamId.parse("public.t"), place=PLACE, owner=OWNER),),
        scratch=lab.folder,
    )
    events: list[Event] = []
    EmbeddedEngine().maintain(request, events.append, lambda: False)
    EmbeddedEngine().maintain(request, events.append, lambda: False)
    failed = events[0]
    assert isinstance(failed, StreamFailed)
    assert failed.retryable
    assert isinstance(events[-1], StreamCommitted)
    assert events[-1].rows == 8


def test_cancelled_compaction_leaves_the_table_and_no_file(lab: TableLab) -> None:
    for i in range(5):
        lab.append(rows(i))
    before = lab.files()
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Stopped):
        maintenance.maintain(
            lab.house, PLACE, OWNER, SHORT, "run", lab.folder, lambda: datetime.now(UTC), cancelled
        )
    assert lab.files() == before


def test_anothers_table_is_not_maintained(lab: TableLab) -> None:
    lab.append(rows(1))
    other = OWNER.model_copy(update={"stream": "another"})
    with pytest.raises(Blocked):
        maintenance.maintain(
            lab.house, PLACE, other, SHORT, "run", lab.folder, lambda: datetime.now(UTC), lambda: False
        )

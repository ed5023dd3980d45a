"""Real tables that others tamper with through pyiceberg: what is seen of it, and what nobody has to look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import LongType, StringType
from tablelab import OWNER, PLACE, TableLab

from olake_reconcile.destinations.iceberg.facts import observe
from olake_reconcile.destinations.iceberg.heal import heal
from olake_reconcile.errors import Blocked, ReconcileError
from olake_reconcile.model.table import TableFacts, TableTrace

pytestmark = pytest.mark.integration

ROWS = [{"id": n, "v": f"v{n}"} for n in range(5)]


@pytest.fixture
def lab(tmp_path: Path) -> TableLab:
    """A table with two commits of ours."""
    lab = TableLab(tmp_path, partition_by=["bucket(4, id)"])
    lab.append(ROWS)
    lab.append([{"id": 7, "v": "seven"}])
    return lab


def facts(lab: TableLab) -> TableFacts:
    found = observe(lab.house, [PLACE])[PLACE]
    assert isinstance(found, TableFacts)
    return found


def trace(lab: TableLab) -> TableTrace:
    found = facts(lab).trace
    assert found is not None
    return found


def theirs(lab: TableLab) -> Table:
    """The table, as somebody else opens it."""
    return lab.table()


def test_of_a_table_that_we_alone_wrote_there_is_nothing_to_say(lab: TableLab) -> None:
    assert trace(lab) == TableTrace(
        runs=("run", "run"), partition_by=("bucket(4, id)",), columns={"id": "long", "v": "string"}
    )


def test_changed_properties_are_seen_with_what_we_had_set(lab: TableLab) -> None:
    with theirs(lab).transaction() as change:
        change.set_properties({"commit.retry.num-retries": "4", "owner": "somebody"})
        change.remove_properties("write.parquet.compression-codec")
    assert trace(lab).settings == {
        "commit.retry.num-retries": ("0", "4"),
        "write.parquet.compression-codec": ("zstd", None),
    }


def test_removed_marks_leave_the_trace_of_our_commits(lab: TableLab) -> None:
    names = [name for name in theirs(lab).properties if name.startswith("olake-reconcile.")]
    with theirs(lab).transaction() as change:
        change.remove_properties(*names)
    assert facts(lab).owner is None
    assert trace(lab).runs == ("run", "run")


def test_columns_that_others_add_rename_retype_and_drop_are_named(lab: TableLab) -> None:
    with theirs(lab).update_schema(allow_incompatible_changes=True) as change:
        change.add_column("note", StringType())
        change.rename_column("v", "value")
    assert trace(lab).schema_edits == ("column note added", "column v renamed to value")
    lab.columns = {"id": lab.columns["id"], "value": lab.columns["v"], "note": lab.columns["v"]}
    lab.append([{"id": 9}])
    assert trace(lab).schema_edits == (), "our next commit took it over"


def test_another_partitioning_is_seen(lab: TableLab) -> None:
    with theirs(lab).update_spec() as change:
        change.remove_field("id_bucket")
        change.add_field("v", BucketTransform(8), "v_eight")
    assert trace(lab).partition_by == ("bucket(8, v)",)


def test_rows_that_others_add_are_seen_until_our_next_commit(lab: TableLab) -> None:
    table = theirs(lab)
    table.append(table.scan().to_arrow())
    (told,) = trace(lab).foreign
    assert "by append, 6 rows added" in told
    assert facts(lab).rows == 12
    lab.append([{"id": 10, "v": "ten"}])
    assert trace(lab).foreign == ()


def test_a_rollback_is_seen(lab: TableLab) -> None:
    first = theirs(lab).metadata.snapshots[0].snapshot_id
    with theirs(lab).manage_snapshots() as change:
        change.rollback_to_snapshot(first)
    assert trace(lab).rolled_back
    lab.append([{"id": 11, "v": "eleven"}])
    assert not trace(lab).rolled_back


def test_a_table_of_somebody_else_has_no_run_of_ours(lab: TableLab) -> None:
    with lab.change() as (catalog, _):
        catalog.drop_table((PLACE.database, PLACE.table))
        from pyiceberg.schema import Schema
        from pyiceberg.types import NestedField

        catalog.create_table(
            (PLACE.database, PLACE.table), Schema(NestedField(1, "id", LongType(), required=False))
        )
    assert facts(lab).owner is None
    assert trace(lab).runs == ()
    assert OWNER.stream not in str(trace(lab))


# -- healing ---------------------------------------------------------------------------------------


def test_healing_brings_back_marks_and_properties_and_touches_nothing_else(lab: TableLab) -> None:
    before, rows = theirs(lab), lab.read()
    names = [name for name in before.properties if name.startswith("olake-reconcile.")]
    with before.transaction() as change:
        change.remove_properties(*names, "write.parquet.compression-codec")
        change.set_properties({"commit.retry.num-retries": "9", "theirs": "stays"})
    for _ in range(2):
        heal(lab.house, PLACE, OWNER)
        healed = theirs(lab)
        assert facts(lab).owner == OWNER
        assert trace(lab).settings == {}
    assert healed.properties["theirs"] == "stays"
    assert healed.metadata.snapshots == before.metadata.snapshots
    assert len(healed.metadata.metadata_log) == 3, "healed once"
    assert lab.read() == rows
    lab.append([{"id": 12, "v": "twelve"}])


def test_a_table_of_another_or_without_a_commit_of_ours_is_not_healed(lab: TableLab) -> None:
    other = OWNER.model_copy(update={"stream": "uid-other"})
    with pytest.raises(Blocked, match="another stream"):
        heal(lab.house, PLACE, other)
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    with lab.change() as (catalog, _):
        catalog.drop_table((PLACE.database, PLACE.table))
        with pytest.raises(ReconcileError, match="no table"):
            heal(lab.house, PLACE, OWNER)
        schema = Schema(NestedField(1, "id", LongType(), required=False))
        catalog.create_table((PLACE.database, PLACE.table), schema)
    with pytest.raises(Blocked, match="no marks of ours"):
        heal(lab.house, PLACE, OWNER)

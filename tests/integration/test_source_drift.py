"""Drift over a real server and a real table: none after a sync, whatever the types; found when the source changes."""

from __future__ import annotations

import pytest
from lab import Lab, owner

from olake_reconcile.model.names import Address
from olake_reconcile.model.observed import Observed, SeenStreams
from olake_reconcile.model.stored import Stored, StreamPhase
from olake_reconcile.model.stream import Stream
from olake_reconcile.plan.drift import Drift
from olake_reconcile.plan.find_drift import find_drift
from tests.builders import a_desired, a_job, stored_of

pytestmark = pytest.mark.integration

TYPES = (
    "smallint", "int", "bigint", "real", "double precision", "numeric(10,2)", "numeric", "boolean", "text", "varchar(5)",
    "char(3)", "bytea", "uuid", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "json", "jsonb",
    "int[]", "text[]", "inet", "money", "bit(3)", "xml", "int4range", "point", "oid", "name",
)  # fmt: skip


def drift(lab: Lab, stream: Stream) -> list[Drift]:
    """What differs after `stream` was synced as job `job`."""
    stored: Stored = stored_of(a_desired(a_job("job", stream)))
    kept = stored.jobs["job"].streams[stream.id]
    synced = kept.model_copy(update={"uid": owner(stream.id).stream, "phase": StreamPhase.LIVE})
    job = stored.jobs["job"].model_copy(update={"streams": {stream.id: synced}})
    catalogue = lab.engine.discover(lab.source)
    statuses = lab.engine.observe(lab.destination, [synced.place])
    observed = Observed(
        identities={Address("source", "shop"): catalogue.identity},
        tables={("lake", place): status for place, status in statuses.items()},
        streams=SeenStreams({"shop": catalogue.streams}),
    )
    report = find_drift(stored.model_copy(update={"jobs": {"job": job}}), observed, "p1", "test")
    assert (report.tables_unseen, report.streams_unseen) == (0, 0)
    return list(report.found)


def test_after_a_sync_nothing_has_drifted_whatever_the_types(lab: Lab) -> None:
    columns = ", ".join(f'"C {n}" {type_}' for n, type_ in enumerate(TYPES))
    lab.sql(f'CREATE TABLE t (id int PRIMARY KEY, "Made At" timestamptz NOT NULL, {columns})')
    lab.sql("INSERT INTO t (id, \"Made At\") VALUES (1, '2024-01-01')")
    settings = {"partition_by": ['month("Made At")', "bucket(4, id)", 'truncate(3, "C 8")']}
    for stream in (
        lab.incremental("public.t", "id", **settings),
        lab.stream("public.t", destination_table="whole", use_source_column_names=True, **settings),
    ):
        lab.load(stream)
        assert drift(lab, stream) == []


def test_what_changes_at_the_source_is_found(lab: Lab) -> None:
    lab.sql("CREATE TABLE t (id int PRIMARY KEY, a int, b text)", "INSERT INTO t VALUES (1, 2, 'x')")
    stream = lab.incremental("public.t", "id", filter="b = 'x'")
    lab.load(stream)
    lab.sql("ALTER TABLE t ALTER a TYPE bigint")
    assert drift(lab, stream) == [], "the next run widens the column"
    lab.sql("ALTER TABLE t ALTER a TYPE date USING NULL", "ALTER TABLE t DROP b")
    assert sorted(d.kind for d in drift(lab, stream)) == ["source_column_gone", "source_type_changed"]
    lab.sql("DROP TABLE t")
    assert [d.kind for d in drift(lab, stream)] == ["source_table_gone"]

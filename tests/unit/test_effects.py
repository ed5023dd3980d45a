"""The effects table says what a change of each setting means: nothing may be missing from it (design §4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from olake_reconcile.model.base import Model
from olake_reconcile.model.codec import read_destination, read_job, read_source, read_stream
from olake_reconcile.model.endpoint import Destination, DestinationType, Source, SourceType, show_endpoint
from olake_reconcile.model.filter import parse_filter
from olake_reconcile.model.job import Job, Retry, Runtime, canonical_job, show_job
from olake_reconcile.model.maintenance import Maintenance
from olake_reconcile.model.partition import parse_partition
from olake_reconcile.model.project import Project
from olake_reconcile.model.schedule import parse_schedule
from olake_reconcile.model.stream import (
    Columns,
    DeleteMode,
    NullCursor,
    OnRebuild,
    OnRemove,
    Protect,
    Stream,
    SyncMode,
    TypeClass,
    TypePolicy,
    WriteMode,
    canonical_stream,
    show_stream,
)
from olake_reconcile.model.window import Window, Windows
from olake_reconcile.plan.effects import (
    ENDPOINT_EFFECTS,
    JOB_EFFECTS,
    JOB_REASONS,
    PROJECT_EFFECTS,
    STREAM_EFFECTS,
    STREAM_REASONS,
    Effect,
    Reason,
    stream_reason,
)
from tests.builders import a_destination, a_job, a_source, a_stream

TABLES: list[tuple[str, set[str], dict[str, Effect]]] = [
    ("stream", set(Stream.model_fields), STREAM_EFFECTS),
    ("job", set(Job.model_fields), JOB_EFFECTS),
    ("endpoint", set(Source.model_fields) | set(Destination.model_fields), ENDPOINT_EFFECTS),
    ("project", set(Project.model_fields), PROJECT_EFFECTS),
]


@pytest.mark.parametrize(("kind", "fields", "table"), TABLES, ids=[kind for kind, *_ in TABLES])
def test_every_field_of_every_model_has_an_effect_and_nothing_else_has(
    kind: str, fields: set[str], table: dict[str, Effect]
) -> None:
    assert set(table) == fields


def test_every_stream_setting_that_can_rebuild_has_a_reason_and_no_other_has() -> None:
    forcing = {Effect.REBUILD, Effect.REBUILD_IF_INCREMENTAL, Effect.MOVE}
    assert set(STREAM_REASONS) == {name for name, effect in STREAM_EFFECTS.items() if effect in forcing}


def test_every_job_setting_that_rebuilds_all_streams_has_a_reason_and_no_other_has() -> None:
    assert set(JOB_REASONS) == {
        name for name, effect in JOB_EFFECTS.items() if effect in (Effect.REBUILD, Effect.ENDPOINT)
    }


def test_a_cursor_forces_a_rebuild_of_incremental_streams_only() -> None:
    for setting in ("cursor", "fallback_cursor"):
        assert stream_reason(setting, incremental=True) is Reason.CURSOR
        assert stream_reason(setting, incremental=False) is None


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words_for_people(reason: Reason) -> None:
    assert reason.words
    assert "_" not in reason.words


# Another value for each field, beside the builder's default.
STREAM_VALUES: dict[str, Any] = {
    "sync_mode": SyncMode.CDC,
    "destination_database": "other",
    "destination_table": "other",
    "cursor": "updated_at",
    "fallback_cursor": "id",
    "write_mode": WriteMode.APPEND,
    "normalization": False,
    "filter": parse_filter("id > 1"),
    "partition_by": (parse_partition("day(at)"),),
    "use_source_column_names": True,
    "columns": Columns(exclude=("secret",)),
    "delete_mode": DeleteMode.HARD,
    "null_cursor": NullCursor.FAIL,
    "type_policies": {TypeClass.ARRAY_SHAPE: TypePolicy.TEXT},
    "on_rebuild": OnRebuild.SWAP,
    "on_remove": OnRemove.CLEAR,
    "chunk_column": "id",
    "threads": 4,
    "protect": Protect(rebuild=True),
    "maintenance": Maintenance(keep_days=30),
}
JOB_VALUES: dict[str, Any] = {
    "source": "other",
    "destination": "other",
    "schedule": parse_schedule("@hourly"),
    "timezone": "Asia/Tokyo",
    "active": False,
    "description": "text",
    "owner": "team-shop",
    "labels": {"tier": "1"},
    "runtime": Runtime.OLAKE,
    "retry": Retry(attempts=3),
    "timeout": 60,
    "jitter": 5,
    "max_staleness": 7200,
    "protect": Protect(delete=True),
    "windows": Windows(rebuilds=(Window(allow="0 22 * * *", duration=3600),)),
}
SOURCE_VALUES: dict[str, Any] = {
    "type": SourceType.MYSQL,
    "config": {"host": "elsewhere"},
    "identity": "same",
    "owner": "team-db",
    "description": "text",
}
DESTINATION_VALUES: dict[str, Any] = {
    "type": DestinationType.PARQUET,
    "config": {"path": "elsewhere"},
    "owner": "team-lake",
    "description": "text",
}

Canonical = Callable[[Any], dict[str, Any]]
CASES: list[tuple[str, Model, dict[str, Any], Canonical]] = [
    ("stream", a_stream(), STREAM_VALUES, canonical_stream),
    ("job", a_job(), JOB_VALUES, canonical_job),
    ("source", a_source(), SOURCE_VALUES, show_endpoint),
    ("destination", a_destination(), DESTINATION_VALUES, show_endpoint),
]
FIELDS = [
    pytest.param(model, field, value, canonical, id=f"{kind}.{field}")
    for kind, model, values, canonical in CASES
    for field, value in values.items()
]


@pytest.mark.parametrize(("kind", "model", "values", "canonical"), CASES, ids=[c[0] for c in CASES])
def test_the_cases_below_are_every_field_that_is_compared(
    kind: str, model: Model, values: dict[str, Any], canonical: Canonical
) -> None:
    apart = {"id", "name", "streams"}  # identity; streams are compared one by one
    assert set(values) == set(type(model).model_fields) - apart


@pytest.mark.parametrize(("model", "field", "value", "canonical"), FIELDS)
def test_another_value_changes_the_canonical_form_in_that_field_alone(
    model: Model, field: str, value: Any, canonical: Canonical
) -> None:
    before, after = canonical(model), canonical(model.model_copy(update={field: value}))
    assert {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} == {field}


@pytest.mark.parametrize(
    "policies",
    [{}, {TypeClass.NUMERIC_SPECIAL: TypePolicy.NULL}],
    ids=["nothing", "the default, written out"],
)
def test_a_default_that_is_written_out_changes_nothing(policies: dict[TypeClass, TypePolicy]) -> None:
    assert canonical_stream(a_stream(type_policies=policies)) == canonical_stream(a_stream())
    assert canonical_stream(a_stream(columns=Columns(exclude=()))) == canonical_stream(a_stream())


@pytest.mark.parametrize("field", sorted(STREAM_VALUES))
def test_what_is_stored_of_a_stream_reads_back_as_the_same_stream(field: str) -> None:
    stream = a_stream(**{field: STREAM_VALUES[field]})
    assert canonical_stream(read_stream(stream.id, show_stream(stream))) == canonical_stream(stream)


@pytest.mark.parametrize("field", sorted(JOB_VALUES))
def test_what_is_stored_of_a_job_reads_back_as_the_same_job(field: str) -> None:
    job = a_job(**{field: JOB_VALUES[field]})
    assert canonical_job(read_job(job.name, show_job(job))) == canonical_job(job)


def test_what_is_stored_of_an_endpoint_reads_back_as_the_same_endpoint() -> None:
    for field, value in SOURCE_VALUES.items():
        source = a_source(**{field: value})
        assert read_source(source.name, show_endpoint(source)) == source
    for field, value in DESTINATION_VALUES.items():
        destination = a_destination(**{field: value})
        assert read_destination(destination.name, show_endpoint(destination)) == destination

"""Random workspaces: small names, every setting, tables of their own for all streams."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.filter import parse_filter
from olake_reconcile.model.job import Job, Retry, Runtime
from olake_reconcile.model.partition import PartitionField, Transform
from olake_reconcile.model.schedule import parse_schedule
from olake_reconcile.model.stored import Stored, StreamPhase
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
)
from tests.builders import a_desired, a_job, a_source, a_stream, stored_of

COLUMNS = st.sampled_from(["id", "at", "name", "Weird Name", 'quo"te', "region"])
NAMES = st.sampled_from(["a", "b", "c", "d", "e f", "ü"])
JOB_NAMES = st.sampled_from(["daily", "hourly", "Nightly-2"])
FILTERS = st.sampled_from(["id > 1", "id > 1 and name = 'x'", "name='x' AND id>1.0", "at is not null"])
SCHEDULES = st.sampled_from(
    ["@hourly", "0 * * * *", "every 15m", "15-minutes", "30 0 2 * * * 2030", "@daily"]
)
PHASES = st.sampled_from(list(StreamPhase))


@st.composite
def partition_fields(draw: DrawFn, columns: SearchStrategy[str] = COLUMNS) -> PartitionField:
    transform = draw(st.sampled_from(list(Transform)))
    width = draw(st.integers(1, 2**31 - 1)) if transform.takes_width else None
    return PartitionField(transform, draw(columns), width)


def columns_settings() -> SearchStrategy[Columns]:
    lists = st.lists(COLUMNS, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Columns, sync_new=st.booleans()),
        st.builds(Columns, include=lists, sync_new=st.booleans()),
        st.builds(Columns, exclude=lists, sync_new=st.booleans()),
    )


def protections() -> SearchStrategy[Protect]:
    return st.builds(Protect, rebuild=st.booleans(), delete=st.booleans())


def _optional(strategies: dict[str, SearchStrategy[Any]]) -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=strategies)


STREAM_SETTINGS = _optional(
    {
        "sync_mode": st.sampled_from(list(SyncMode)),
        "cursor": COLUMNS,
        "fallback_cursor": COLUMNS,
        "write_mode": st.sampled_from(list(WriteMode)),
        "normalization": st.booleans(),
        "filter": FILTERS.map(parse_filter),
        "partition_by": st.lists(partition_fields(), max_size=3).map(tuple),
        "use_source_column_names": st.booleans(),
        "columns": columns_settings(),
        "delete_mode": st.sampled_from(list(DeleteMode)),
        "null_cursor": st.sampled_from(list(NullCursor)),
        "type_policies": st.dictionaries(st.sampled_from(list(TypeClass)), st.sampled_from(list(TypePolicy))),
        "on_rebuild": st.sampled_from(list(OnRebuild)),
        "on_remove": st.sampled_from(list(OnRemove)),
        "chunk_column": COLUMNS,
        "threads": st.integers(1, 64),
        "protect": protections(),
    }
)

JOB_SETTINGS = _optional(
    {
        "schedule": SCHEDULES.map(parse_schedule),
        "timezone": st.sampled_from(["UTC", "Asia/Tokyo"]),
        "active": st.booleans(),
        "description": st.text(max_size=5),
        "owner": st.sampled_from(["", "team"]),
        "labels": st.dictionaries(st.sampled_from(["x", "y"]), st.text(max_size=3)),
        "runtime": st.sampled_from(list(Runtime)),
        "retry": st.builds(Retry, attempts=st.integers(0, 5), backoff=st.integers(1, 100)),
        "timeout": st.integers(1, 100),
        "jitter": st.integers(1, 100),
        "protect": protections(),
        "source": st.sampled_from(["shop", "crm"]),
        "destination": st.sampled_from(["lake", "archive"]),
    }
)


@st.composite
def streams(draw: DrawFn, job: str) -> Stream:
    name = draw(NAMES)
    version = draw(st.sampled_from(["", "_v2"]))
    given: dict[str, Any] = {"destination_table": f"{job}_{name}{version}", **draw(STREAM_SETTINGS)}
    return a_stream(f"public.{name}", **given)


@st.composite
def jobs(draw: DrawFn, settings: SearchStrategy[dict[str, Any]] = JOB_SETTINGS) -> Job:
    name = draw(JOB_NAMES)
    chosen = draw(st.lists(streams(name), max_size=4))
    job = a_job(name, **draw(settings))
    return job.model_copy(update={"streams": {s.id: s for s in chosen}})


@st.composite
def workspaces(draw: DrawFn, settings: SearchStrategy[dict[str, Any]] = JOB_SETTINGS) -> Desired:
    chosen = {job.name: job for job in draw(st.lists(jobs(settings), max_size=3))}
    desired = a_desired(*chosen.values()) if chosen else a_desired(jobs={})
    spare = {"spare": a_source("spare")} if draw(st.booleans()) else {}
    owner = draw(st.sampled_from(["", "team"]))
    sources = {n: s.model_copy(update={"owner": owner}) for n, s in ({**desired.sources, **spare}).items()}
    return Desired(desired.project, sources, desired.destinations, desired.jobs)


@st.composite
def states(draw: DrawFn) -> Stored:
    """Return a state that an apply and some runs could have left."""
    stored = stored_of(draw(workspaces()))
    jobs = {}
    for name, job in stored.jobs.items():
        streams = {i: s.model_copy(update={"phase": draw(PHASES)}) for i, s in job.streams.items()}
        jobs[name] = job.model_copy(update={"streams": streams})
    return stored.model_copy(update={"jobs": jobs})

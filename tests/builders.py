"""Values for tests with sensible defaults: a test names only what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.endpoint import Destination, DestinationType, Source, SourceType, show_endpoint
from olake_reconcile.model.filter import parse_filter
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.job import Job, canonical_job, show_job
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.partition import parse_partition
from olake_reconcile.model.project import Project
from olake_reconcile.model.schedule import parse_schedule
from olake_reconcile.model.stored import (
    LastLoad,
    Stored,
    StoredEndpoint,
    StoredJob,
    StoredStream,
    StreamPhase,
)
from olake_reconcile.model.stream import Stream, SyncMode, canonical_stream, show_stream
from olake_reconcile.model.table import TablePlace

PROJECT_UID = "7f3c0d9e"


def a_project(**changes: Any) -> Project:
    return Project(**{"name": "analytics", "uid": PROJECT_UID, **changes})


def a_source(name: str = "shop", **changes: Any) -> Source:
    config = {
        "host": "db.internal",
        "database": "shop",
        "username": "olake",
        "password": "${env:SHOP_PASSWORD}",
    }
    return Source(**{"name": name, "type": SourceType.POSTGRES, "config": config, **changes})


def a_destination(name: str = "lake", **changes: Any) -> Destination:
    config = {
        "catalog_type": "jdbc",
        "jdbc_url": "jdbc:sqlite:warehouse/catalog.db",
        "iceberg_s3_path": "warehouse",
    }
    return Destination(**{"name": name, "type": DestinationType.ICEBERG, "config": config, **changes})


def a_stream(stream_id: str = "public.orders", **changes: Any) -> Stream:
    """Filters and partition fields may be given as text."""
    if isinstance(changes.get("filter"), str):
        changes["filter"] = parse_filter(changes["filter"])
    if "partition_by" in changes:
        changes["partition_by"] = tuple(
            parse_partition(field) if isinstance(field, str) else field for field in changes["partition_by"]
        )
    given = {
        "id": StreamId.parse(stream_id),
        "sync_mode": SyncMode.FULL_REFRESH,
        "destination_database": "sales",
        "destination_table": StreamId.parse(stream_id).name,
    }
    return Stream(**{**given, **changes})


def a_job(name: str = "daily", *streams: Stream, **changes: Any) -> Job:
    """Without streams: a job of one stream, `public.orders`. The schedule may be given as text."""
    if isinstance(changes.get("schedule"), str):
        changes["schedule"] = parse_schedule(changes["schedule"])
    chosen = {s.id: s for s in streams or (a_stream(),)}
    return Job(**{"name": name, "source": "shop", "destination": "lake", "streams": chosen, **changes})


def a_desired(*jobs: Job, **changes: Any) -> Desired:
    """Without jobs: one, `daily`. Sources and destinations that jobs name are declared."""
    chosen = jobs or (a_job(),)
    given: dict[str, Any] = {
        "project": a_project(),
        "sources": {n: a_source(n) for n in sorted({j.source for j in chosen})},
        "destinations": {n: a_destination(n) for n in sorted({j.destination for j in chosen})},
        "jobs": {j.name: j for j in chosen},
    }
    return Desired(**{**given, **changes})


def stored_of(
    desired: Desired,
    phase: StreamPhase = StreamPhase.LIVE,
    identities: Mapping[str, str] | None = None,
) -> Stored:
    """Return the state after a complete apply of `desired`, every stream in `phase`; uids tell their owner."""

    def endpoint(endpoint: Source | Destination) -> StoredEndpoint:
        spec = show_endpoint(endpoint)
        return StoredEndpoint(
            name=endpoint.name,
            uid=f"u-{endpoint.name}",
            spec=spec,
            fingerprint=fingerprint(spec),
            identity=(identities or {}).get(endpoint.name),
            serial=1,
        )

    return Stored(
        exists=True,
        sources={name: endpoint(source) for name, source in desired.sources.items()},
        destinations={name: endpoint(destination) for name, destination in desired.destinations.items()},
        jobs={name: a_stored_job(job, phase) for name, job in desired.jobs.items()},
    )


def a_stored_job(job: Job, phase: StreamPhase = StreamPhase.LIVE) -> StoredJob:
    return StoredJob(
        name=job.name,
        uid=f"u-{job.name}",
        spec=show_job(job),
        fingerprint=fingerprint(canonical_job(job)),
        streams={i: a_stored_stream(s, phase, uid=f"u-{job.name}-{i}") for i, s in job.streams.items()},
        serial=1,
    )


def a_stored_stream(stream: Stream, phase: StreamPhase = StreamPhase.LIVE, uid: str = "u1") -> StoredStream:
    return StoredStream(
        id=stream.id,
        uid=uid,
        spec=show_stream(stream),
        fingerprint=fingerprint(canonical_stream(stream)),
        place=TablePlace(database=stream.destination_database, table=stream.destination_table),
        phase=phase,
        last_load=LastLoad(rows=1000, bytes=100_000, seconds=1) if phase.has_data else None,
    )

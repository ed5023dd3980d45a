"""What is remembered of a job between runs, so that its file need not be read as YAML again.

The settings of its streams are not in it: whoever looks at a stream gets it from the file. So the worst that a wrong
outline can do is to hide or to invent a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from olake_reconcile.model.deferred import digest_of
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.job import Job, show_job
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stream import Stream, SyncMode, canonical_stream

Table = tuple[StreamId, str, str]  # a stream, and the database and table that it writes


@dataclass(frozen=True, slots=True)
class Outline:
    """A job's own settings, and what the rest of the workspace must know of its streams."""

    name: str
    document: int  # the how manieth of its file it is
    settings: dict[str, Any]
    digest: str
    tables: list[list[str]]
    reads_log: bool = False

    def written_tables(self) -> Iterator[Table]:
        """Yield what each stream writes, in the order of the streams."""
        for namespace, name, database, table in self.tables:
            yield StreamId(namespace, name), database, table


def outline(job: Job, document: int) -> Outline:
    """Return what to remember of a job."""
    tables = [[*_parts(i), s.destination_database, s.destination_table] for i, s in job.streams.items()]
    return Outline(
        job.name, document, show_job(job), streams_digest(job.streams), tables, reads_log(job.streams)
    )


def reads_log(streams: Mapping[StreamId, Stream]) -> bool:
    """Whether any of the streams reads the source's log of changes."""
    return any(s.sync_mode in (SyncMode.CDC, SyncMode.STRICT_CDC) for s in streams.values())


def streams_digest(streams: Mapping[StreamId, Stream]) -> str:
    """Return what the streams mean together."""
    return digest_of((i, fingerprint(canonical_stream(s))) for i, s in streams.items())


def written_tables(job: Job) -> Iterator[Table]:
    """Yield what each stream of a job writes."""
    for stream in job.streams.values():
        yield stream.id, stream.destination_database, stream.destination_table


def _parts(stream: StreamId) -> tuple[str, str]:
    return stream.namespace, stream.name

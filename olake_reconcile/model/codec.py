"""Stored settings back into models: the inverse of `show_stream`, `show_job` and `show_endpoint`."""

from __future__ import annotations

from typing import Any

from olake_reconcile.model.endpoint import Destination, Source
from olake_reconcile.model.filter import parse_filter
from olake_reconcile.model.job import Job
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.partition import parse_partition
from olake_reconcile.model.schedule import parse_schedule
from olake_reconcile.model.stream import Stream
from olake_reconcile.model.table import TablePlace


def read_stream(stream_id: StreamId, spec: dict[str, Any]) -> Stream:
    """Return the stream whose settings `show_stream` gave as `spec`; settings it lacks have their default."""
    settings = dict(spec)
    if text := settings.get("filter"):
        settings["filter"] = parse_filter(text)
    settings["partition_by"] = tuple(parse_partition(f) for f in settings.get("partition_by", ()))
    return Stream(id=stream_id, **settings)


def read_job(name: str, spec: dict[str, Any]) -> Job:
    """Return the job, without its streams, whose settings `show_job` gave as `spec`."""
    settings = dict(spec)
    if text := settings.get("schedule"):
        settings["schedule"] = parse_schedule(text)
    return Job(name=name, **settings)


def read_source(name: str, spec: dict[str, Any]) -> Source:
    """Return the source whose settings `show_endpoint` gave as `spec`."""
    return Source(name=name, **spec)


def read_destination(name: str, spec: dict[str, Any]) -> Destination:
    """Return the destination whose settings `show_endpoint` gave as `spec`."""
    return Destination(name=name, **spec)


def place_of(stream: Stream) -> TablePlace:
    """Return where a stream's table is, or will be."""
    return TablePlace(database=stream.destination_database, table=stream.destination_table)

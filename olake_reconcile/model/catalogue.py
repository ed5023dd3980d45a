"""The catalogue: what a source offers, as its last discovery saw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any

import orjson

from olake_reconcile.model.base import Model
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.names import StreamId, StreamKey
from olake_reconcile.model.partition import Transform
from olake_reconcile.model.stream import SyncMode


class Kind(StrEnum):
    """What a column becomes at the destination: Iceberg's types, without their parameters."""

    BOOLEAN = "boolean"
    INT = "int"
    LONG = "long"
    FLOAT = "float"
    DOUBLE = "double"
    DECIMAL = "decimal"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    STRING = "string"
    UUID = "uuid"
    BINARY = "binary"
    LIST = "list"


class SourceColumn(Model):
    """A column: `type` in the source's words, `kind` what it becomes, None when there is no rule for it."""

    name: str
    type: str
    kind: Kind | None
    nullable: bool = True


class SourceStream(Model):
    """A table, view or collection that can be replicated. Sizes are the source's estimates, None if unknown."""

    id: StreamId
    relation: str  # table, partitioned table, view, materialized view, foreign table
    columns: tuple[SourceColumn, ...]
    primary_key: tuple[str, ...] = ()
    sync_modes: tuple[SyncMode, ...] = (SyncMode.FULL_REFRESH, SyncMode.INCREMENTAL)
    rows: int | None = None
    bytes: int | None = None
    indexed: tuple[str, ...] = ()  # columns by which rows are found fast: an index begins with them

    def column(self, name: str) -> SourceColumn | None:
        """Return the column called `name`, or None."""
        return next((c for c in self.columns if c.name == name), None)


class UnreadStreams(Mapping[StreamId, SourceStream]):
    """Streams as JSON (`shown_streams`), each made into a model when somebody asks: a source may have 20,000."""

    def __init__(self, text: bytes, digest: str) -> None:
        self._text = text
        self._models: dict[StreamId, SourceStream] = {}
        self.digest = digest

    @cached_property
    def _shown(self) -> dict[str, Any]:
        return orjson.loads(self._text)  # type: ignore[no-any-return]

    def __getitem__(self, stream: StreamId) -> SourceStream:
        """Return a stream."""
        if stream not in self._models:
            self._models[stream] = SourceStream.model_validate(self._shown[str(stream)])
        return self._models[stream]

    def __iter__(self) -> Iterator[StreamId]:
        """Yield the ids."""
        return map(StreamId.parse, self._shown)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._shown)


def shown_streams(streams: Mapping[StreamId, SourceStream]) -> bytes:
    """Return streams as JSON, for `UnreadStreams`."""
    return orjson.dumps({str(i): s.model_dump(mode="json") for i, s in streams.items()})


class Catalogue(Model):
    """All streams of a source. `identity` is what the server says it is (design §4)."""

    identity: str
    streams: Mapping[StreamKey, SourceStream]

    @property
    def digest(self) -> str:
        """What the streams are: another digest, and what was checked against them is to be checked again."""
        if isinstance(self.streams, UnreadStreams):
            return self.streams.digest
        return fingerprint(shown_streams(self.streams).decode())


_TEMPORAL = frozenset({Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ})
_BUCKETABLE = frozenset(Kind) - {Kind.BOOLEAN, Kind.FLOAT, Kind.DOUBLE, Kind.LIST}

# Which kinds each transform takes (Iceberg table spec, "Partition Transforms").
TRANSFORM_KINDS: dict[Transform, frozenset[Kind]] = {
    Transform.IDENTITY: frozenset(Kind) - {Kind.LIST, Kind.FLOAT, Kind.DOUBLE},
    Transform.YEAR: _TEMPORAL,
    Transform.MONTH: _TEMPORAL,
    Transform.DAY: _TEMPORAL,
    Transform.HOUR: frozenset({Kind.TIMESTAMP, Kind.TIMESTAMPTZ}),
    Transform.BUCKET: _BUCKETABLE,
    Transform.TRUNCATE: frozenset({Kind.INT, Kind.LONG, Kind.DECIMAL, Kind.STRING, Kind.BINARY}),
}

"""The catalogue: what a source offers, as its last discovery saw it."""

from __future__ import annotations

from enum import StrEnum

from olake_reconcile.model.base import Model
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
    sync_modes: tuple[SyncMode, ...] = (SyncMode.FULL_REFRESH,)
    rows: int | None = None
    bytes: int | None = None

    def column(self, name: str) -> SourceColumn | None:
        """Return the column called `name`, or None."""
        return next((c for c in self.columns if c.name == name), None)


class Catalogue(Model):
    """All streams of a source. `identity` is what the server says it is (design §4)."""

    identity: str
    streams: dict[StreamKey, SourceStream]


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

"""What a change of each setting means (design §3 and §4): one table per kind of resource.

Every field of every model is in here; a test asserts it. Nothing else decides what a change does.
"""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """What a changed setting does to what is deployed."""

    IDENTITY = "identity"  # names the resource: another value is another resource
    CHILDREN = "children"  # compared one by one, as resources of their own
    IN_PLACE = "in_place"  # takes effect at the next run, nothing is reloaded
    REBUILD = "rebuild"  # the table no longer fits: cleared, then loaded in full
    REBUILD_IF_INCREMENTAL = "rebuild_if_incremental"
    MOVE = "move"  # dropped at the old place, built at the new one
    ENDPOINT = "endpoint"  # a rebuild of every stream, unless the server is the same one
    CONNECTION = "connection"  # in place, unless the server says that it is another one
    NOT_STORED = "not_stored"  # steers this program; nothing of it is deployed


class Reason(StrEnum):
    """Why a table is rebuilt, or a resource deleted: stable words for scripts (design §5)."""

    PARTITION = "rebuild_because_partition_changed"
    NORMALIZATION = "rebuild_because_normalization_changed"
    FILTER = "rebuild_because_filter_changed"
    SYNC_MODE = "rebuild_because_sync_mode_changed"
    CURSOR = "rebuild_because_cursor_changed"
    WRITE_MODE = "rebuild_because_write_mode_changed"
    COLUMN_NAMING = "rebuild_because_column_naming_changed"
    DELETE_MODE = "rebuild_because_delete_mode_changed"
    NULL_CURSOR = "rebuild_because_null_cursor_changed"
    TYPE_POLICIES = "rebuild_because_type_policies_changed"
    DESTINATION_MOVED = "rebuild_because_destination_moved"
    SOURCE_IDENTITY = "rebuild_because_source_identity_changed"
    DESTINATION_IDENTITY = "rebuild_because_destination_identity_changed"
    RUNTIME = "rebuild_because_runtime_changed"
    REENABLED = "rebuild_because_reenabled"
    NEEDS_RESYNC = "rebuild_because_needs_resync"
    BY_REQUEST = "rebuild_because_by_request"
    NOT_IN_CONFIG = "delete_because_not_in_config"

    @property
    def words(self) -> str:
        """The reason for people: `partition changed`."""
        return _WORDS.get(self) or self.value.removeprefix("rebuild_because_").replace("_", " ")


_WORDS = {
    Reason.SOURCE_IDENTITY: "the source is another server or database",
    Reason.DESTINATION_IDENTITY: "the destination is another catalog or warehouse",
    Reason.REENABLED: "removed earlier and now back: it missed changes meanwhile",
    Reason.NEEDS_RESYNC: "what its position relied on is gone",
    Reason.BY_REQUEST: "by request",
    Reason.NOT_IN_CONFIG: "no longer in the configuration",
}

STREAM_EFFECTS: dict[str, Effect] = {
    "id": Effect.IDENTITY,
    "sync_mode": Effect.REBUILD,
    "cursor": Effect.REBUILD_IF_INCREMENTAL,
    "fallback_cursor": Effect.REBUILD_IF_INCREMENTAL,
    "write_mode": Effect.REBUILD,
    "normalization": Effect.REBUILD,
    "filter": Effect.REBUILD,
    "partition_by": Effect.REBUILD,
    "use_source_column_names": Effect.REBUILD,
    "destination_database": Effect.MOVE,
    "destination_table": Effect.MOVE,
    "columns": Effect.IN_PLACE,
    "delete_mode": Effect.REBUILD,
    "null_cursor": Effect.REBUILD,
    "type_policies": Effect.REBUILD,
    "on_rebuild": Effect.IN_PLACE,
    "on_remove": Effect.IN_PLACE,
    "chunk_column": Effect.IN_PLACE,
    "threads": Effect.IN_PLACE,
    "protect": Effect.IN_PLACE,
    "maintenance": Effect.IN_PLACE,
}

STREAM_REASONS: dict[str, Reason] = {
    "sync_mode": Reason.SYNC_MODE,
    "cursor": Reason.CURSOR,
    "fallback_cursor": Reason.CURSOR,
    "write_mode": Reason.WRITE_MODE,
    "normalization": Reason.NORMALIZATION,
    "filter": Reason.FILTER,
    "partition_by": Reason.PARTITION,
    "use_source_column_names": Reason.COLUMN_NAMING,
    "destination_database": Reason.DESTINATION_MOVED,
    "destination_table": Reason.DESTINATION_MOVED,
    "delete_mode": Reason.DELETE_MODE,
    "null_cursor": Reason.NULL_CURSOR,
    "type_policies": Reason.TYPE_POLICIES,
}

JOB_EFFECTS: dict[str, Effect] = {
    "name": Effect.IDENTITY,
    "source": Effect.ENDPOINT,
    "destination": Effect.ENDPOINT,
    "schedule": Effect.IN_PLACE,
    "timezone": Effect.IN_PLACE,
    "active": Effect.IN_PLACE,
    "description": Effect.IN_PLACE,
    "owner": Effect.IN_PLACE,
    "labels": Effect.IN_PLACE,
    "runtime": Effect.REBUILD,
    "retry": Effect.IN_PLACE,
    "timeout": Effect.IN_PLACE,
    "jitter": Effect.IN_PLACE,
    "protect": Effect.IN_PLACE,
    "windows": Effect.IN_PLACE,
    "max_staleness": Effect.IN_PLACE,
    "streams": Effect.CHILDREN,
}

JOB_REASONS: dict[str, Reason] = {
    "source": Reason.SOURCE_IDENTITY,
    "destination": Reason.DESTINATION_IDENTITY,
    "runtime": Reason.RUNTIME,
}

ENDPOINT_EFFECTS: dict[str, Effect] = {
    "name": Effect.IDENTITY,
    "type": Effect.ENDPOINT,
    "config": Effect.CONNECTION,
    "identity": Effect.IN_PLACE,
    "owner": Effect.IN_PLACE,
    "description": Effect.IN_PLACE,
}

PROJECT_EFFECTS: dict[str, Effect] = {
    "name": Effect.NOT_STORED,
    "uid": Effect.NOT_STORED,
    "environment": Effect.NOT_STORED,  # has a state of its own
    "state": Effect.NOT_STORED,
    "runtime": Effect.NOT_STORED,  # reaches the jobs, and counts there
    "limits": Effect.NOT_STORED,
    "safety": Effect.NOT_STORED,
    "windows": Effect.NOT_STORED,
    "retention": Effect.NOT_STORED,
    "alerts": Effect.NOT_STORED,
    "metrics": Effect.NOT_STORED,
    "catalog_max_age": Effect.NOT_STORED,
}

# The settings of an endpoint's config that say which server or database it is. A change of one is a question to
# the server (design §4); a change of any other is in place.
IDENTITY_CONFIG = frozenset(
    {"host", "hosts", "port", "database", "catalog_type", "catalog_name", "jdbc_url", "iceberg_s3_path"}
)


def stream_reason(setting: str, *, incremental: bool) -> Reason | None:
    """Return why a change of `setting` rebuilds the stream, None when it is in place.

    `incremental` says whether the stream's new mode is.
    """
    match STREAM_EFFECTS[setting]:
        case Effect.REBUILD | Effect.MOVE:
            return STREAM_REASONS[setting]
        case Effect.REBUILD_IF_INCREMENTAL:
            return STREAM_REASONS[setting] if incremental else None
        case _:
            return None

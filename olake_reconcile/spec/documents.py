"""The documents as people write them: every key that a workspace file may have, declared once.

From these the editor's JSON Schema is generated and the shape of each document is checked: keys, types,
closed sets, ranges. What text means (schedules, filters, durations) is read later, where positions allow
a precise complaint. A key that is null counts as not given, or, where a default exists further out,
takes that default back.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

DURATION = r"^(?:[0-9]+[smhdw])+$"

Duration = Annotated[str, Field(json_schema_extra={"pattern": DURATION, "examples": ["30m", "1h30m", "7d"]})]
Name = Annotated[str, Field(json_schema_extra={"pattern": r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$"})]
SecretReference = Annotated[
    str, Field(json_schema_extra={"pattern": r"^(\$\{(env|file):[^}]+\})*$", "examples": ["${env:NAME}"]})
]
AlertName = Literal[
    "failed_run",
    "failed_apply",
    "blocked_plan",
    "needs_resync",
    "quarantined",
    "stale",
    "slot_growth",
    "recovered",
]
RuntimeName = Literal["embedded", "olake", "platform"]
SourceTypeName = Literal["postgres", "mysql", "mongodb", "oracle", "mssql", "db2", "s3", "kafka"]
DestinationTypeName = Literal["iceberg", "parquet"]


class Written(BaseModel):
    """Part of a document: closed to unknown keys, exact about types, silent about values."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ProtectSettings(Written):
    """What needs an `--allow-…` of its own, whatever else was agreed to."""

    rebuild: bool | None = Field(None, description="A rebuild needs --allow-rebuild. Default: false.")
    delete: bool | None = Field(None, description="Erasing the table needs --allow-delete. Default: false.")


class MaintenanceSettings(Written):
    """How `maintain` keeps the table: for how long its history stays, and how large its files are to be."""

    keep_days: Annotated[int, Field(ge=0, le=3650)] | None = Field(
        None, description="Snapshots of so many days stay. Default: 7."
    )
    keep_snapshots: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="The latest so many snapshots stay, however old. Default: 10."
    )
    grace_hours: Annotated[int, Field(ge=0, le=8760)] | None = Field(
        None, description="Files of expired snapshots stay so long for readers. Default: 24."
    )
    target_file_size: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="The size that files are to have, in MB. Default: 256."
    )


class ColumnSettings(Written):
    """Which columns are replicated: `include` or `exclude`, not both. Default: all."""

    include: list[str] | None = Field(None, description="Only these columns.")
    exclude: list[str] | None = Field(None, description="All columns but these.")
    sync_new: bool | None = Field(
        None, description="Whether columns that appear later are replicated. Default: true."
    )


class TypePolicySettings(Written):
    """What happens to a value that the destination type cannot hold. Default: null."""

    numeric_special: Literal["null", "fail", "text"] | None = Field(
        None, description="NaN and infinities in a decimal column."
    )
    temporal_range: Literal["null", "fail", "text"] | None = Field(
        None, description="Infinite or too late dates and timestamps, 24:00:00."
    )
    array_shape: Literal["null", "fail", "text"] | None = Field(
        None, description="Arrays of several dimensions, or not counted from 1."
    )


class FilterCondition(Written):
    """One condition of OLake's filter_config."""

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    value: Any = None


class FilterConfig(Written):
    """OLake's spelling of a filter."""

    logical_operator: Literal["and", "or", "AND", "OR", "And", "Or"] | None = Field(
        None, description="How the conditions are joined. Default: and."
    )
    conditions: list[FilterCondition] = Field(description="The conditions.")


class SelectedColumns(Written):
    """OLake's spelling of a column selection."""

    columns: list[str] | None = Field(
        None, description="Only these columns; none or an empty list means all."
    )
    sync_new_columns: bool | None = Field(
        None, description="Whether columns that appear later are replicated."
    )


class StreamSettings(Written):
    """How one table or collection is replicated. All keys may stand in `stream_defaults` too."""

    sync_mode: Literal["full_refresh", "incremental", "cdc", "strict_cdc"] | None = Field(
        None, description="How the stream is read. Required, here or in stream_defaults."
    )
    cursor: str | None = Field(None, description="The column that orders changes; required for incremental.")
    fallback_cursor: str | None = Field(None, description="The column used where the cursor is NULL.")
    write_mode: Literal["append", "upsert"] | None = Field(
        None,
        description="append keeps every version of a row, upsert the last per key. Default: upsert (Parquet: append).",
    )
    normalization: bool | None = Field(
        None, description="Whether fields become columns of their own. Default: true."
    )
    filter: str | None = Field(
        None,
        description="Only rows for which this is true, such as order_date >= '2024-01-01' and status != 'draft'.",
    )
    partition_by: list[str] | None = Field(
        None,
        description="Partition fields: a column, year|month|day|hour(column), bucket(16, column), truncate(4, column).",
    )
    use_source_column_names: bool | None = Field(
        None, description="Keep the source's column names as they are. Default: false."
    )
    destination_database: str | None = Field(
        None, description="Default: <type>_<source database>_<namespace>, as OLake names it."
    )
    destination_table: str | None = Field(
        None, description="Default: the stream's name in lower case, with _ for other characters."
    )
    columns: ColumnSettings | None = Field(None, description="Which columns are replicated; without it, all.")
    delete_mode: Literal["soft", "hard"] | None = Field(
        None, description="soft keeps deleted rows, marked; hard removes them. Default: soft."
    )
    null_cursor: Literal["reload", "ignore", "fail"] | None = Field(
        None, description="What happens to rows whose cursor is NULL. Default: reload."
    )
    type_policies: TypePolicySettings | None = Field(
        None, description="What happens to values that do not fit."
    )
    on_rebuild: Literal["clear", "swap"] | None = Field(
        None, description="clear empties the table first, swap builds beside it. Default: clear."
    )
    on_remove: Literal["keep", "clear"] | None = Field(
        None, description="What happens to the table when the stream is removed. Default: keep."
    )
    chunk_column: str | None = Field(
        None, description="The column that splits the first load; without it, the engine chooses."
    )
    threads: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="How many chunks are read at once; without it, the engine chooses."
    )
    protect: ProtectSettings | None = Field(None, description="What needs consent of its own.")
    maintenance: MaintenanceSettings | None = Field(
        None, description="How the table's files and history are kept in order."
    )
    # OLake's own spellings, accepted as they are.
    partition_regex: str | None = Field(
        None, description="OLake's spelling of partition_by: /{created_at, month}/{id, bucket[16]}."
    )
    cursor_field: str | None = Field(
        None, description="OLake's spelling of cursor and fallback_cursor: updated_at:id."
    )
    append_mode: bool | None = Field(None, description="OLake's spelling of write_mode: append.")
    filter_config: FilterConfig | None = Field(None, description="OLake's spelling of filter.")
    selected_columns: SelectedColumns | None = Field(
        None, description="OLake's spelling of columns: {include: …}."
    )


class RetrySettings(Written):
    """How a failed run is tried again."""

    attempts: Annotated[int, Field(ge=0, le=100)] | None = Field(None, description="How often. Default: 0.")
    backoff: Duration | None = Field(None, description="How long after the first failure. Default: 60s.")


class WindowSettings(Written):
    """A window: `allow` or `deny` is the cron at which it opens."""

    allow: str | None = Field(None, description="It may be done while this window is open, and not outside.")
    deny: str | None = Field(None, description="It may not be done while this window is open.")
    duration: Duration = Field(description="How long it stays open.")
    timezone: str | None = Field(None, description="Where cron is read, such as Europe/Berlin. Default: UTC.")


class WindowsSettings(Written):
    """When data may be cleared, and when jobs may sync. Deny beats allow."""

    rebuilds: list[WindowSettings] | None = Field(None, description="About all that clears data.")
    syncs: list[WindowSettings] | None = Field(None, description="About runs by schedule.")


class JobSettings(Written):
    """What a job and `job_defaults` have in common."""

    source: str | None = Field(None, description="The name of a Source.")
    destination: str | None = Field(None, description="The name of a Destination.")
    schedule: str | None = Field(
        None,
        description="5-field or 7-field cron, @hourly, @daily, @weekly, @monthly, or 'every 15m'. Default: by hand only.",
    )
    timezone: str | None = Field(None, description="Where cron is read, such as Europe/Berlin. Default: UTC.")
    active: bool | None = Field(None, description="Whether the job runs. Default: true.")
    owner: str | None = Field(None, description="Who answers for it.")
    labels: dict[str, str] | None = Field(None, description="Free text by name.")
    runtime: RuntimeName | None = Field(None, description="Who moves the data. Default: embedded.")
    retry: RetrySettings | None = Field(None, description="How a failed run is tried again.")
    timeout: Duration | None = Field(None, description="When a run is stopped.")
    jitter: Duration | None = Field(None, description="Over how long the starts of runs are spread.")
    destination_database: str | None = Field(
        None, description="The default of the streams' destination_database."
    )
    stream_defaults: StreamSettings | None = Field(
        None, description="Settings of all streams that do not set them."
    )
    protect: ProtectSettings | None = Field(
        None, description="What needs consent of its own, for the job and its streams."
    )
    windows: WindowsSettings | None = Field(None, description="When it may be rebuilt, and when it may sync.")
    max_staleness: Duration | None = Field(
        None, description="How old its data may be before alerts say so. Without it, any age."
    )


class StateSettings(Written):
    """Where the state is kept."""

    url: str = Field(description="A SQLAlchemy URL; a relative SQLite path is relative to the workspace.")
    password: str | None = Field(None, description="A reference, such as ${env:PGPASSWORD}.")


class LimitSettings(Written):
    """How much may happen at once."""

    runs: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, description="Runs. Default: 4.")
    runs_per_source: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Runs that read from one source. Default: 2."
    )
    rebuilds: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, description="Rebuilds. Default: 2.")


class SafetySettings(Written):
    """What an apply may do before somebody has to say so."""

    max_rebuilds_percent: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="More rebuilds than this need consent of their own. Default: 30."
    )
    max_deletes_percent: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="More removals than this need consent of their own. Default: 10."
    )
    prune: bool | None = Field(
        None, description="Whether jobs that are in no file are deleted. Default: false."
    )
    auto_rebuild: bool | None = Field(None, description="Whether the loop may rebuild. Default: false.")
    self_heal: bool | None = Field(
        None,
        description="Whether the loop writes again what others changed of a table's marks and properties. Default: false.",
    )
    self_heal_rebuild: bool | None = Field(
        None,
        description="Whether the loop may rebuild what needs_resync, and nothing else; protection and windows count. Default: false.",
    )
    keep_cleared: Duration | None = Field(
        None, description="How long a cleared table can be restored. Default: 0d."
    )


class RetentionSettings(Written):
    """How long runs and their logs are kept: while either says so."""

    runs: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="So many of each job's latest runs are kept, however old. Default: 100."
    )
    days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        None, description="Runs of the last so many days are kept, however many. Default: 14."
    )


class AlertSettings(Written):
    """A place to tell of what goes wrong, and of what."""

    url: SecretReference = Field(description="An apprise URL, as a reference, such as ${env:ALERT_URL}.")
    on: list[AlertName] | None = Field(None, description="What is told. Without it, everything.")
    jobs: list[str] | None = Field(None, description="Only about these jobs; globs too.")
    labels: dict[str, str] | None = Field(None, description="Only about jobs with all these labels.")


class MetricsBlock(Written):
    """Figures of `run` for Prometheus, and its health."""

    listen: str | None = Field(
        None, description="HOST:PORT, such as 127.0.0.1:9464; without it, or --metrics-listen, nowhere."
    )
    token: SecretReference | None = Field(None, description="A reference; needed beyond loopback.")
    streams: bool | None = Field(None, description="Whether each stream has figures too. Default: false.")


def _state_from_text(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class ProjectDocument(Written):
    """The workspace itself: exactly one, in olake.yaml."""

    kind: Literal["Project"]
    name: Name = Field(description="The project's name.")
    uid: str = Field(description="Written by `init`; marks our tables. Never change it.")
    state: (
        Annotated[
            StateSettings,
            BeforeValidator(_state_from_text, json_schema_input_type=str | StateSettings),
        ]
        | None
    ) = Field(None, description="Where the state is kept. Default: sqlite:///.olake/state.db.")
    runtime: RuntimeName | None = Field(None, description="Who moves the data. Default: embedded.")
    variables: dict[str, str | int | float | bool | None] | None = Field(
        None, description="Variables for ${var:NAME}, with their defaults; null: an environment must set it."
    )
    job_defaults: JobSettings | None = Field(None, description="Settings of all jobs that do not set them.")
    limits: LimitSettings | None = Field(None, description="How much may happen at once.")
    safety: SafetySettings | None = Field(None, description="What an apply may do unasked.")
    windows: WindowsSettings | None = Field(None, description="Windows of all jobs, beside their own.")
    retention: RetentionSettings | None = Field(None, description="How long the history is kept.")
    alerts: list[AlertSettings] | None = Field(None, description="Who is told of what goes wrong.")
    metrics: MetricsBlock | None = Field(None, description="Where `run` shows figures and its health.")
    catalog_max_age: Duration | None = Field(
        None, description="When plan looks at a source again. Default: 1h."
    )


class EndpointDocument(Written):
    """What sources and destinations have in common."""

    name: Name = Field(description="What jobs call it.")
    owner: str | None = Field(None, description="Who answers for it.")
    description: str | None = Field(None, description="What it is.")


class SourceDocument(EndpointDocument):
    """A database to read from."""

    kind: Literal["Source"]
    type: SourceTypeName = Field(description="The driver.")
    config: dict[str, Any] | None = Field(None, description="OLake's own field names for that driver.")
    identity: Literal["same"] | None = Field(
        None, description="Keep the positions though the server says that it is another one."
    )


class DestinationDocument(EndpointDocument):
    """A lakehouse to write to."""

    kind: Literal["Destination"]
    type: DestinationTypeName = Field(description="The writer.")
    config: dict[str, Any] | None = Field(None, description="OLake's own field names for that writer.")


class JobDocument(JobSettings):
    """A job: source, destination, streams and schedule."""

    kind: Literal["Job"]
    name: Name = Field(description="The job's name; it is its identity.")
    description: str | None = Field(None, description="What it is for.")
    streams: dict[str, StreamSettings | None] | None = Field(
        None, description="Streams by namespace.name, such as public.orders; an empty one takes all defaults."
    )


class MovedDocument(Written):
    """A name that changed: history, positions and tables stay."""

    kind: Literal["Moved"]
    from_: str = Field(alias="from", description="The old address.")
    to: str = Field(description="The new address.")


class ImportDocument(Written):
    """A table that exists and shall be ours from now on; its data stays as it is."""

    kind: Literal["Import"]
    address: str = Field(description="What it becomes, such as daily_orders/public.orders.")
    table: str | None = Field(None, description="The destination table of a stream, as database.table.")
    id: str | None = Field(None, description="The id in the platform.")


class RemovedDocument(Written):
    """A job or stream that was taken out on purpose: forgotten, its data kept or erased."""

    kind: Literal["Removed"]
    address: str = Field(description="What was removed.")
    data: Literal["keep", "erase"] | None = Field(
        None, description="What happens to its data. Default: keep."
    )


class ApprovalDocument(Written):
    """Consent to one guarded change, committed in git."""

    kind: Literal["Approval"]
    address: str = Field(description="What may change.")
    allow: Literal["rebuild", "delete"] = Field(description="What may happen to it.")
    change: str = Field(description="The change that the plan printed; it fits that one and no other.")


class PolicyDocument(Written):
    """A rule over every plan, below policies/: `when` is true for what is not wanted."""

    kind: Literal["Policy"]
    name: Name = Field(description="What it is called.")
    when: str = Field(description="A CEL expression over change, job and plan.")
    effect: Literal["warn", "deny"] = Field(description="What happens to what is not wanted.")
    scope: Literal["change", "plan"] | None = Field(
        None, description="Asked for each change, or once. Default: change."
    )
    message: str | None = Field(None, description="What people read; fields such as {address} are filled in.")
    except_: list[str] | None = Field(
        None, alias="except", description="Addresses, globs too, that it is not about."
    )


DOCUMENTS: dict[str, type[Written]] = {
    "Project": ProjectDocument,
    "Source": SourceDocument,
    "Destination": DestinationDocument,
    "Job": JobDocument,
    "Moved": MovedDocument,
    "Import": ImportDocument,
    "Removed": RemovedDocument,
    "Approval": ApprovalDocument,
    "Policy": PolicyDocument,
}

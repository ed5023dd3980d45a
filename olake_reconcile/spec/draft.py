"""A job file drafted from a catalogue: settings that surely work, and the alternatives as comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from olake_reconcile.model.catalogue import Kind, SourceColumn, SourceStream
from olake_reconcile.model.naming import METADATA_COLUMNS, collisions, column_name
from olake_reconcile.spec.editor import SCHEMA_FILE
from olake_reconcile.spec.spelled import spelled, spelled_key

# Columns that say by their name when a row was last written.
_CURSOR = re.compile(
    r"(?i)(?:^|_)(?:updated|modified|changed)_?(?:at|on|time|ts|date)?$|^last_?(?:updated|modified|changed|update)"
)
_ORDERED = frozenset({Kind.TIMESTAMP, Kind.TIMESTAMPTZ})
_SINGLE = ("updated_at", "modified_at", "last_modified", "last_updated")


def draft_job(
    name: str, source: str, destination: str | None, streams: Iterable[SourceStream], depth: int = 1
) -> str:
    """Return the text of a job file at `depth` folders below the workspace."""
    lines = [
        f"# yaml-language-server: $schema={'../' * depth}{SCHEMA_FILE}",
        "kind: Job",
        f"name: {spelled(name)}",
        f"source: {spelled(source)}",
        *([f"destination: {spelled(destination)}"] if destination else []),
        "# Without a schedule it runs by hand: olake-reconcile sync " + name,
        '# schedule: "@hourly"',
        "stream_defaults: {sync_mode: full_refresh}",
        "streams:",
    ]
    for stream in streams:
        lines += [
            f"  {spelled_key(str(stream.id))}:{_size(stream)}",
            *(f"    {s}" for s in _settings(stream)),
        ]
    return "\n".join(lines) + "\n"


def _size(stream: SourceStream) -> str:
    return "" if stream.rows is None else f"  # about {stream.rows:,} rows"


def _settings(stream: SourceStream) -> list[str]:
    """Return the lines of a stream: what is chosen, then what could be, as comments."""
    excluded = unreadable(stream)
    columns = [c for c in stream.columns if c.name not in excluded]
    cursor = _cursor(columns)
    lines: list[str] = []
    if cursor and cursor.name in stream.indexed and stream.primary_key:
        lines += ["sync_mode: incremental", f"cursor: {spelled_key(cursor.name)}"]
    elif cursor:
        lines += _incremental_as_comments(cursor, stream)
    if excluded:
        listed = ", ".join(spelled_key(name) for name in excluded)
        lines.append(f"columns: {{exclude: [{listed}]}}  # of types or names that cannot be replicated")
    if day := next((c for c in columns if c.kind in _ORDERED and _is_creation(c.name)), None):
        lines.append(f"# partition_by: [month({day.name})]")
    return lines


def _incremental_as_comments(cursor: SourceColumn, stream: SourceStream) -> list[str]:
    name = spelled_key(cursor.name)
    if stream.primary_key:
        why = "the cursor has no index: each run would read the whole table"
        return [f"# sync_mode: incremental  # {why}", f"# cursor: {name}"]
    why = "no primary key: every version of a row is kept"
    return [f"# sync_mode: incremental  # {why}", f"# cursor: {name}", "# write_mode: append"]


def _is_creation(name: str) -> bool:
    return bool(
        re.fullmatch(
            r"(?i)(?:[a-z]\w*_)?(?:created|inserted|ordered|occurred)(?:_?(?:at|on|date|time))?", name
        )
    )


def _cursor(columns: Sequence[SourceColumn]) -> SourceColumn | None:
    """Return the one column that says when a row was written; None when there are several and none is usual."""
    found = [c for c in columns if c.kind in _ORDERED and _CURSOR.search(c.name)]
    if len(found) == 1:
        return found[0]
    usual = [c for name in _SINGLE for c in found if c.name.lower() == name]
    return usual[0] if usual else None


def unreadable(stream: SourceStream) -> list[str]:
    """Return the columns that have to be left out: of no known type, or of a name that another has at the destination."""
    names = {c.name: column_name(c.name, use_source_column_names=False) for c in stream.columns if c.kind}
    out = {c.name for c in stream.columns if c.kind is None}
    for destination, sources in collisions(names):
        out.update(sources if destination in METADATA_COLUMNS else list(sources)[1:])
    return [c.name for c in stream.columns if c.name in out and c.name not in stream.primary_key]

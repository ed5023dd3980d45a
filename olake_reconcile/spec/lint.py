"""Lint for data: settings that are allowed and will hurt. Warnings only, each with its code in docs/errors.md.

Pure over what was read and the cached catalogues. `# lint: allow CODE` silences one (`spec/silence.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from olake_reconcile.model.catalogue import Catalogue, SourceStream
from olake_reconcile.model.job import Job
from olake_reconcile.model.schedule import Schedule, due_times
from olake_reconcile.model.stream import Stream, SyncMode, WriteMode
from olake_reconcile.spec.endpoints import SourceEntry
from olake_reconcile.spec.jobs import JobEntry
from olake_reconcile.spec.node import Map, value_at
from olake_reconcile.spec.origins import deciding
from olake_reconcile.spec.project import ProjectEntry
from olake_reconcile.spec.report import Document, Path, quoted

#: From here on a table is huge to read in full several times an hour.
HUGE_ROWS = 10_000_000
HUGE_BYTES = 10 * 1024**3
_OFTEN = timedelta(hours=1)

LOG_MODES = frozenset({SyncMode.CDC, SyncMode.STRICT_CDC})
# Names of columns that every write sets. A wrong guess costs a comment, a missed one a scattered table.
_CHANGES = re.compile(
    r"(?i)(?:^|_)(?:updated|modified|changed|touched|synced|deleted)(?:_?(?:at|on|time|ts|date))?$"
    r"|^(?:last_|mtime$)|^(?:status|state)$|^(?:updated|modified|changed|lastmodified)(?:at|on|date)?$"
)


def lint_job(project: ProjectEntry | None, entry: JobEntry, job: Job, catalogue: Catalogue | None) -> None:
    """Warn about what a job's streams will suffer from."""
    often = job.schedule is not None and _shortest(job.schedule) < _OFTEN
    for stream in job.streams.values():
        found = catalogue.streams.get(stream.id) if catalogue else None
        lint = _StreamLint(project, entry, stream, found)
        if often and job.schedule and found:
            lint.huge_refresh(job.schedule, found)
        if found:
            lint.upsert_without_key(found)
        lint.changing_partition(found)


@lru_cache(maxsize=4096)
def _shortest(schedule: Schedule) -> timedelta:
    """Return the shortest time between two of its first due times, from a fixed day on."""
    first = list(islice(due_times(schedule, datetime(2024, 1, 1, tzinfo=UTC), ZoneInfo("UTC")), 8))
    return min((later - sooner for sooner, later in pairwise(first)), default=timedelta.max)


class _StreamLint:
    def __init__(
        self, project: ProjectEntry | None, entry: JobEntry, stream: Stream, offered: SourceStream | None
    ) -> None:
        self._project = project
        self._entry = entry
        self._stream = stream
        self._offered = offered

    def _decided(self, setting: str) -> tuple[Document, Path] | None:
        return deciding(self._project, self._entry, str(self._stream.id), setting)

    def _warn(self, code: str, message: str, hint: str, setting: str, *below: str | int) -> None:
        """Warn where the stream says so itself; at the stream when a default said it for many."""
        document, path = self._entry.document, ("streams", str(self._stream.id))
        found = self._decided(setting)
        if found and found[0] is document and found[1][:1] == ("streams",):
            whole = (*found[1], *below)
            at = document.at(whole if value_at(document.root, whole) is not None else found[1])
        else:
            at = document.at(path, of_key=True)
        document.warning(at, code, message, hint)

    def huge_refresh(self, schedule: Schedule, offered: SourceStream) -> None:
        if self._stream.sync_mode is not SyncMode.FULL_REFRESH:
            return
        rows, size = offered.rows or 0, offered.bytes or 0
        if rows < HUGE_ROWS and size < HUGE_BYTES:
            return
        much = f"about {rows:,} rows" if rows >= HUGE_ROWS else f"about {size / 1024**3:,.0f} GB"
        message = f"{self._stream.id} ({much}) is read in full at every run of {quoted(schedule.text)}"
        self._warn("huge-full-refresh", message, "use incremental, or a schedule of hours", "sync_mode")

    def upsert_without_key(self, offered: SourceStream) -> None:
        stream = self._stream
        if stream.write_mode is not WriteMode.UPSERT or offered.primary_key:
            return
        # A full refresh replaces the table: upsert does nothing there, and only matters where somebody wrote it.
        if stream.sync_mode in LOG_MODES or (
            stream.sync_mode is SyncMode.FULL_REFRESH and self._decided("write_mode")
        ):
            message = f"{stream.id} has no primary key: upsert cannot tell which row a change is of"
            hint = "use write_mode append, or give the table a key"
            self._warn("upsert-without-key", message, hint, "write_mode")

    def changing_partition(self, offered: SourceStream | None) -> None:
        stream = self._stream
        if stream.write_mode is not WriteMode.UPSERT or stream.sync_mode is SyncMode.FULL_REFRESH:
            return
        key = offered.primary_key if offered else ()
        for index, field in enumerate(stream.partition_by):
            cursor = field.column in (stream.cursor, stream.fallback_cursor)
            if field.column in key or not (cursor or _CHANGES.search(field.column)):
                continue
            what = "the cursor, which every change moves" if cursor else "a column that changes by its name"
            message = f"{stream.id} is partitioned by {quoted(field)}: {what}, so upserts move rows between partitions"
            hint = "partition by a column that is set once, or that is part of the key"
            self._warn("changing-partition", message, hint, "partition_by", index)


# -- between jobs ------------------------------------------------------------------------------------------


def lint_logs(sources: Mapping[str, SourceEntry], readers: Iterable[tuple[str, str]]) -> None:
    """Warn about a slot or consumer group that two jobs read from; `readers` are (job, source) that read a log."""
    taken: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for job, source in readers:
        entry = sources.get(source)
        if entry and (log := _log(entry)):
            taken.setdefault(log, []).append((job, source))
    for log, users in taken.items():
        if len(users) < 2:
            continue
        what, name = ("replication slot", "update_method") if log[0] == "slot" else ("consumer group",) * 2
        entry = sources[users[-1][1]]
        jobs = ", ".join(job for job, _ in users)
        message = f"one {what}, {quoted(log[-1])}, serves {len(users)} jobs ({jobs}): each takes changes away from the others"
        path = ("config", name, "replication_slot") if log[0] == "slot" else ("config", "consumer_group_id")
        hint = f"give each job a source with a {what} of its own"
        entry.document.warning(entry.document.at(path), "shared-log", message, hint)


def _log(entry: SourceEntry) -> tuple[str, ...] | None:
    """Return what a source consumes, and on which server: the same for sources that would share it."""
    config: Any = entry.document.root.get("config")
    if not isinstance(config, Map):
        return None
    slot = value_at(config, ("update_method", "replication_slot"))
    if isinstance(slot, str) and slot:
        return ("slot", _text(config, "host"), _text(config, "port") or "5432", slot)
    group = config.get("consumer_group_id")
    if isinstance(group, str) and group:
        servers = value_at(config, ("protocol", "bootstrap_servers")) or config.get("bootstrap_servers")
        return ("group", str(servers or ""), group)
    return None


def _text(config: Map, key: str) -> str:
    return str(config.get(key) or "").lower()

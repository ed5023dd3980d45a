"""Streams and columns against what the source was last seen to offer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from olake_reconcile.diagnostics import Severity, did_you_mean
from olake_reconcile.model.catalogue import TRANSFORM_KINDS, Catalogue, Kind, SourceColumn, SourceStream
from olake_reconcile.model.filter import Filter
from olake_reconcile.model.job import Job
from olake_reconcile.model.naming import METADATA_COLUMNS, collisions, column_name
from olake_reconcile.model.stream import Stream, SyncMode, WriteMode
from olake_reconcile.spec.filter_types import unfit_literals
from olake_reconcile.spec.jobs import JobEntry
from olake_reconcile.spec.node import value_at
from olake_reconcile.spec.origins import deciding
from olake_reconcile.spec.project import ProjectEntry
from olake_reconcile.spec.report import Document, Report, listed, quoted

# What has no order in which rows are written.
_UNORDERED = frozenset({Kind.BOOLEAN, Kind.LIST, None})
_UNORDERED_TYPES = frozenset(
    {"json", "jsonb", "xml", "point", "line", "box", "path", "polygon", "circle", "interval"}
)


def check_catalogue(project: ProjectEntry | None, entry: JobEntry, job: Job, catalogue: Catalogue) -> None:
    """Complain about streams, modes and columns that the source does not have."""
    known: list[str] = []
    for stream in job.streams.values():
        found = catalogue.streams.get(stream.id)
        if found is not None:
            _Checks(project, entry, stream, found).run()
            continue
        known = known or [str(s) for s in catalogue.streams]
        message = f"source.{job.source} has no stream {quoted(stream.id)}"
        at = entry.document.at(("streams", str(stream.id)), of_key=True)
        entry.document.error(at, "unknown-stream", message, did_you_mean(str(stream.id), known))


def note_unchecked(report: Report, sources: Iterable[str]) -> None:
    """Note the sources whose streams could not be checked."""
    for name in sorted(sources):
        message = f"streams of source.{name} were not checked: no cached catalogue; run `olake-reconcile discover {name}`"
        report.add(Severity.NOTE, "not-checked", message)


class _At(NamedTuple):
    document: Document
    offset: int


class _Checks:
    """All checks of one stream against one table."""

    def __init__(
        self, project: ProjectEntry | None, entry: JobEntry, stream: Stream, offered: SourceStream
    ) -> None:
        self._project = project
        self._entry = entry
        self._stream = stream
        self._offered = offered
        self._columns = {c.name: c for c in offered.columns}
        include, exclude = stream.columns.include, set(stream.columns.exclude or ())
        listed_ones = self._columns.keys() if include is None else set(include)
        self._selected = [c for c in offered.columns if c.name in listed_ones and c.name not in exclude]

    def run(self) -> None:
        self._mode()
        self._selection()
        self._filter()
        self._partitions()
        for setting in ("cursor", "fallback_cursor", "chunk_column"):
            name = getattr(self._stream, setting)
            if name is not None and name not in self._columns:
                self._unknown(name, self._at(setting))
            elif name is not None and self._stream.sync_mode is SyncMode.INCREMENTAL:
                self._orders(setting, self._columns[name])
        self._types()
        self._names()
        self._key()

    def _at(self, setting: str = "", *below: str | int) -> _At:
        """Return where a setting was decided; the place of the stream itself without one, or if nobody set it."""
        if setting and (found := deciding(self._project, self._entry, str(self._stream.id), setting)):
            document, path = found
            whole = (*path, *below)
            return _At(document, document.at(whole if value_at(document.root, whole) is not None else path))
        document = self._entry.document
        return _At(document, document.at(("streams", str(self._stream.id)), of_key=True))

    def _unknown(self, name: str, at: _At) -> None:
        message = f"{self._stream.id} has no column {quoted(name)}"
        at.document.error(at.offset, "unknown-column", message, did_you_mean(name, self._columns))

    def _mode(self) -> None:
        if self._stream.sync_mode not in self._offered.sync_modes:
            at = self._at("sync_mode")
            message = f"{self._stream.id} cannot be read by {self._stream.sync_mode}"
            at.document.error(
                at.offset, "unsupported-sync-mode", message, f"use {listed(self._offered.sync_modes)}"
            )

    def _selection(self) -> None:
        for key in ("include", "exclude"):
            for index, name in enumerate(getattr(self._stream.columns, key) or ()):
                if name not in self._columns:
                    self._unknown(name, self._at("columns", key, index))

    def _filter(self) -> None:
        if self._stream.filter is None:
            return
        for name in self._stream.filter.columns():
            if name not in self._columns:
                self._unknown(name, self._in_filter(self._stream.filter, name))
        for name, message in unfit_literals(self._stream.filter, self._columns):
            at = self._in_filter(self._stream.filter, name)
            at.document.error(at.offset, "bad-filter", f"bad filter: {message}")

    def _in_filter(self, filter_: Filter, name: str) -> _At:
        at = self._at("filter")
        return at._replace(
            offset=at.document.inside(at.offset, filter_.text, max(0, filter_.text.find(name)))
        )

    def _partitions(self) -> None:
        for index, field in enumerate(self._stream.partition_by):
            column = self._columns.get(field.column)
            if column is None:
                self._unknown(field.column, self._at("partition_by", index))
            elif not self._stream.columns.selects(field.column):
                message = f"{quoted(field)} partitions by a column that is not replicated"
                self._complain("excluded-column", message, "partition_by", index)
            elif column.kind is not None and column.kind not in TRANSFORM_KINDS[field.transform]:
                takes = listed(sorted(k.value for k in TRANSFORM_KINDS[field.transform]))
                message = f"{quoted(field)} cannot be: {field.transform} takes {takes}, {column.name} is {column.kind}"
                self._complain("bad-partition", message, "partition_by", index)

    def _complain(self, code: str, message: str, *setting: str | int) -> None:
        at = self._at(str(setting[0]), *setting[1:])
        at.document.error(at.offset, code, message)

    def _orders(self, setting: str, column: SourceColumn) -> None:
        """A cursor is compared by the source, and found again at the destination."""
        if column.kind in _UNORDERED or column.type.split("(")[0] in _UNORDERED_TYPES:
            message = f"{quoted(column.name)} cannot be the {setting}: it is {column.type}"
            self._complain("bad-cursor", message, setting)
        elif setting != "chunk_column" and not self._stream.columns.selects(column.name):
            message = f"{quoted(column.name)} is the {setting} of {self._stream.id} and is not replicated"
            self._complain("excluded-column", message, setting)

    def _types(self) -> None:
        unknown = [c for c in self._selected if c.kind is None]
        if not unknown:
            return
        at = self._at()
        what = listed(f"{quoted(c.name)} ({c.type})" for c in unknown).replace(" or ", " and ")
        names = ", ".join(_in_yaml(c.name) for c in unknown)
        message = f"{self._stream.id} has columns of types that cannot be replicated: {what}"
        at.document.error(at.offset, "unsupported-type", message, f"write columns: {{exclude: [{names}]}}")

    def _names(self) -> None:
        plain = self._stream.use_source_column_names
        names = {c.name: column_name(c.name, use_source_column_names=plain) for c in self._selected}
        folded = {name.lower() for name in names.values()}
        if len(folded) == len(names) and folded.isdisjoint(METADATA_COLUMNS):
            return
        for destination, sources in collisions(names):
            at = self._at()
            shared = listed(map(quoted, sources)).replace(" or ", " and ")
            if len(sources) > 1:
                message = (
                    f"{shared} of {self._stream.id} would all be {quoted(destination)} at the destination"
                )
            else:
                message = f"{shared} of {self._stream.id} would take the place of the metadata column {quoted(destination)}"
            at.document.error(at.offset, "column-collision", message, "exclude all but one of them")

    def _key(self) -> None:
        if self._stream.write_mode is not WriteMode.UPSERT:
            return
        if self._stream.sync_mode is SyncMode.INCREMENTAL and not self._offered.primary_key:
            at = self._at("write_mode")
            message = f"{self._stream.id} has no primary key, which upsert needs"
            at.document.error(
                at.offset, "missing-key", message, "use write_mode append, or give the table a key"
            )
        missing = [k for k in self._offered.primary_key if not self._stream.columns.selects(k)]
        if missing:
            at = self._at("columns")
            message = f"{listed(map(quoted, missing))} is in the primary key of {self._stream.id}, which upsert needs"
            at.document.error(at.offset, "excluded-key", message, "replicate it, or use write_mode append")


def _in_yaml(name: str) -> str:
    return name if name.replace("_", "a").isalnum() and not name[0].isdigit() else f'"{name}"'

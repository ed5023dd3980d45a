"""Job documents as models: defaults laid under each stream, destination names worked out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from olake_reconcile.model.deferred import Deferred
from olake_reconcile.model.endpoint import DestinationType
from olake_reconcile.model.job import Job, Runtime
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.naming import default_database, reformat
from olake_reconcile.model.stream import Protect, Stream, SyncMode, WriteMode
from olake_reconcile.spec.documents import JobDocument
from olake_reconcile.spec.endpoints import DestinationEntry, SourceEntry
from olake_reconcile.spec.job_settings import JobLayer, read_layer, retry_of
from olake_reconcile.spec.node import Map
from olake_reconcile.spec.outline import streams_digest
from olake_reconcile.spec.project import check_name
from olake_reconcile.spec.report import Document, quoted
from olake_reconcile.spec.settings import Settings, read_settings
from olake_reconcile.spec.shape import Checked, check_shape

_FULL_REFRESH_IGNORES = frozenset(
    {"cursor", "cursor_field", "fallback_cursor", "null_cursor", "chunk_column"}
)


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job as declared: its own layer, its streams' blocks, and where it stands."""

    document: Document
    name: str | None
    layer: JobLayer
    streams: dict[str, tuple[StreamId, Settings]] = field(default_factory=dict)


def read_job(document: Document) -> JobEntry:
    """Read a Job document (references resolved); everything that it says by itself is checked here."""
    checked = check_shape(document, JobDocument)
    root = checked.root
    name = root.get("name")
    if name is not None:
        check_name(document, name)
    layer = read_layer(document, root, checked)
    if root.get("description"):
        layer = JobLayer({**layer.values, "description": root["description"]}, layer.broken, layer.streams)
    return JobEntry(document, name, layer, _read_streams(document, root, checked))


def _read_streams(document: Document, root: Map, checked: Checked) -> dict[str, tuple[StreamId, Settings]]:
    blocks = root.get("streams")
    if not blocks and "streams" not in checked.broken_keys():
        at = root.key_offset("streams")
        document.warning(at, "no-streams", "the job has no streams: it will do nothing")
    found: dict[str, tuple[StreamId, Settings]] = {}
    if not isinstance(blocks, Map):
        return found
    broken = {path[1] for path in checked.broken if path[0] == "streams" and len(path) > 1}
    nothing = Settings()
    for key, block, key_offset, _ in blocks.entries():
        try:
            stream = StreamId.parse(key)
        except ValueError as error:
            document.error(key_offset, "bad-stream", str(error))
            continue
        wrong = checked.broken_keys("streams", key) if key in broken else frozenset()
        settings = read_settings(document, block, wrong) if block is not None or wrong else nothing
        found[key] = (stream, settings)
    return found


def build_job(
    entry: JobEntry, defaults: JobLayer, source: SourceEntry, destination: DestinationEntry, runtime: Runtime
) -> Job | None:
    """Return the job with all defaults, or None after complaining about what it lacks."""
    layer = entry.layer.over(defaults)
    streams = _Streams(entry, layer, source, destination)
    built = {stream: streams.build(key, stream, own) for key, (stream, own) in sorted(entry.streams.items())}
    if entry.name is None or layer.broken or None in built.values():
        return None
    given: dict[str, Any] = {k: v for k, v in layer.values.items() if v is not None}
    if "source" not in given or "destination" not in given:
        return None
    given["retry"] = retry_of(layer.values)
    given["protect"] = Protect(**given.get("protect", {}))
    given.setdefault("runtime", runtime)
    models = {i: s for i, s in built.items() if s is not None}
    known = Deferred(len(models), lambda: models, lambda: streams_digest(models))
    return Job(name=entry.name, **given).model_copy(update={"streams": known})


class _Streams:
    def __init__(
        self, entry: JobEntry, layer: JobLayer, source: SourceEntry, destination: DestinationEntry
    ) -> None:
        self._document = entry.document
        self._outer = layer.streams
        self._source = source
        model = destination.model
        self._write_mode = (
            WriteMode.APPEND if model and model.type is DestinationType.PARQUET else WriteMode.UPSERT
        )

    def build(self, key: str, stream: StreamId, own: Settings) -> Stream | None:
        settings = own.over(self._outer)
        values = {k: v for k, v in settings.values.items() if v is not None}
        self._check_mode(key, own, settings, values)
        database = values.get("destination_database") or self._database(stream, settings.broken)
        if settings.broken or database is None or "sync_mode" not in values:
            return None
        values["destination_database"] = database
        values.setdefault("destination_table", reformat(stream.name))
        values.setdefault("write_mode", self._write_mode)
        if "protect" in values:
            values["protect"] = _protect(**values["protect"])
        return Stream(id=stream, **values)

    def _check_mode(self, key: str, own: Settings, settings: Settings, values: dict[str, Any]) -> None:
        mode = values.get("sync_mode")
        if mode is None and "sync_mode" not in settings.broken:
            message = f"{quoted(key)} has no sync_mode: it is never guessed"
            hint = "set it here or in stream_defaults"
            self._complain(key, "missing-sync-mode", message, hint)
        if mode is SyncMode.INCREMENTAL and "cursor" not in values and "cursor" not in settings.broken:
            message = f"{quoted(key)} has no cursor: incremental needs one"
            self._complain(key, "missing-cursor", message)
        if mode is SyncMode.FULL_REFRESH and own.values:
            self._warn_unused(key)

    def _complain(self, key: str, code: str, message: str, hint: str = "") -> None:
        self._document.error(self._document.at(("streams", key), of_key=True), code, message, hint)

    def _warn_unused(self, key: str) -> None:
        block: Map = self._document.root["streams"][key] or Map(0)
        for setting in _FULL_REFRESH_IGNORES & block.keys():
            if block[setting] is not None:
                at = block.key_offset(setting)
                message = f"{quoted(setting)} is not used by full_refresh"
                self._document.warning(at, "unused-setting", message)

    def _database(self, stream: StreamId, broken: frozenset[str]) -> str | None:
        source = self._source.model
        if source is None or "destination_database" in broken:
            return None
        if self._source.database_reference:
            message = (
                f"the default destination_database needs the database of source.{source.name}, "
                f"and {self._source.database_reference} is not set"
            )
            at = self._source.document.at(("config", "database"))
            self._source.document.error(at, "unset-reference", message, "set it, or set destination_database")
            return None
        return default_database(source.type.value, self._source.database or "", stream.namespace)


@cache
def _protect(rebuild: bool = False, delete: bool = False) -> Protect:
    return Protect(rebuild=rebuild, delete=delete)

"""The catalogues of the last discoveries, cached in `.olake/cache`: disposable, never state (design §3)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.base import Model
from olake_reconcile.model.catalogue import (
    Catalogue,
    Kind,
    SourceColumn,
    SourceStream,
    UnreadStreams,
    shown_streams,
)
from olake_reconcile.model.endpoint import Source, show_endpoint
from olake_reconcile.model.fingerprint import FINGERPRINT_BYTES, fingerprint
from olake_reconcile.reconcile.endpoints import open_source, open_values
from olake_reconcile.reconcile.services import Services
from olake_reconcile.secrets import Secrets

PARALLEL_DISCOVERIES = 8


class Cached(Model):
    """A catalogue with when it was fetched, and from which settings of its source."""

    fetched: datetime
    source: str  # fingerprint of the source's settings and of what its open references stood for
    catalogue: Catalogue


class _Header(Model):
    """The first line of a cached catalogue's file; the streams are the second."""

    fetched: datetime
    source: str
    identity: str
    digest: str  # of the second line: a cut one counts as absent
    shape: str


# What a stream of another release looked like is not to be guessed.
_SHAPE = fingerprint([sorted(SourceStream.model_fields), sorted(SourceColumn.model_fields), sorted(Kind)])


def cached_catalogues(folder: Path) -> dict[str, Cached]:
    """Return every readable catalogue in the cache, by source; a damaged one counts as absent."""
    found = {}
    for path in sorted(folder.glob("catalogue-*.json")):
        try:
            cached = _read(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if cached is not None:
            found[path.stem.removeprefix("catalogue-")] = cached
    return found


def _read(content: bytes) -> Cached | None:
    first, _, streams = content.partition(b"\n")
    header = _Header.model_validate_json(first)
    if header.shape != _SHAPE or header.digest != _digest(streams):
        return None
    unread = UnreadStreams(streams, header.digest)
    catalogue = Catalogue.model_construct(identity=header.identity, streams=unread)
    return Cached(fetched=header.fetched, source=header.source, catalogue=catalogue)


def _digest(streams: bytes) -> str:
    return hashlib.blake2b(streams, digest_size=FINGERPRINT_BYTES).hexdigest()


def discover(services: Services, source: Source) -> Catalogue:
    """Ask the source for its catalogue and cache it. Raises `Unreachable`, `UnsetReference`."""
    catalogue = services.engine.discover(open_source(source, services.secrets))
    asked = source_settings(source, services.secrets)
    streams = shown_streams(catalogue.streams)
    header = _Header(
        fetched=services.clock.now(),
        source=asked,
        identity=catalogue.identity,
        digest=_digest(streams),
        shape=_SHAPE,
    )
    content = header.model_dump_json().encode() + b"\n" + streams
    replace_file(services.cache / f"catalogue-{source.name}.json", content)
    return catalogue


def refresh(services: Services, sources: Iterable[Source], max_age: int) -> list[Diagnostic]:
    """Discover anew, in parallel, each source whose catalogue is older than `max_age` seconds or of another server.

    A source that does not answer keeps its cached catalogue, and is a warning.
    """
    cached = cached_catalogues(services.cache)
    known = {name: s.identity for name, s in services.store.read("").sources.items()}
    now = services.clock.now()
    stale = [
        s
        for s in sources
        if not _is_fresh(cached.get(s.name), source_settings(s, services.secrets), now, max_age)
        # A run may have met another server since: nobody is told of one from a memory.
        or known.get(s.name) not in (None, cached[s.name].catalogue.identity)
    ]
    if not stale:
        return []
    with ThreadPoolExecutor(min(PARALLEL_DISCOVERIES, len(stale))) as pool:
        warnings = pool.map(lambda source: _try(services, source, source.name in cached), stale)
        return [w for w in warnings if w is not None]


def source_settings(source: Source, secrets: Secrets) -> str:
    """Return a fingerprint of where a catalogue comes from: another host behind a reference counts.

    Secrets do not: the cache is no place for anything that depends on them.
    """
    return fingerprint([show_endpoint(source), open_values(source, secrets)])


def _is_fresh(cached: Cached | None, source: str, now: datetime, max_age: int) -> bool:
    return (
        cached is not None
        and cached.source == source
        and timedelta() <= now - cached.fetched <= timedelta(seconds=max_age)
    )


def _try(services: Services, source: Source, has_cache: bool) -> Diagnostic | None:
    try:
        discover(services, source)
    except ReconcileError as error:
        fallback = "its cached catalogue is used" if has_cache else "its streams were not checked"
        return Diagnostic(
            Severity.WARNING,
            "source-unreachable",
            services.secrets.redact(f"source.{source.name}: {error.summary}; {fallback}"),
        )
    return None


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a reader sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

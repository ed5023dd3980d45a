"""Where each setting came from: looked up when somebody asks, never written down for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from olake_reconcile.diagnostics import Place
from olake_reconcile.model.names import Address
from olake_reconcile.spec.endpoints import DestinationEntry, SourceEntry
from olake_reconcile.spec.jobs import JobEntry
from olake_reconcile.spec.node import Map, value_at
from olake_reconcile.spec.project import ProjectEntry
from olake_reconcile.spec.report import Document
from olake_reconcile.spec.spelling import SPELLINGS

# What a job's own block, or the project's job_defaults, gives to streams.
_ALSO_FOR_STREAMS = frozenset({"protect", "destination_database"})


class FileOrigins:
    """Answers from the parsed documents, in the order in which defaults win."""

    def __init__(
        self,
        project: ProjectEntry,
        sources: Mapping[str, SourceEntry],
        destinations: Mapping[str, DestinationEntry],
        jobs: Mapping[str, JobEntry],
    ) -> None:
        self._project = project
        self._sources = sources
        self._destinations = destinations
        self._jobs = jobs

    def place(self, address: Address, setting: str = "") -> Place | None:
        """Return where `setting` of a resource was decided, or, without one, where the resource stands."""
        entry = self._entry(address)
        if entry is None:
            return None
        key, *below = setting.split(".")
        stream = address.stream if address.kind == "stream" else ""
        defaults = self._project if isinstance(entry, JobEntry) else None
        if key and (found := deciding(defaults, entry, stream, key)):
            return _nearest(found[0], (*found[1], *below))
        own = ("streams", stream) if stream else ("name",)
        holder = value_at(entry.document.root, own[:-1])
        return _nearest(entry.document, own) if isinstance(holder, Map) and own[-1] in holder else None

    def _entry(self, address: Address) -> SourceEntry | DestinationEntry | JobEntry | None:
        match address.kind:
            case "source":
                return self._sources.get(address.name)
            case "destination":
                return self._destinations.get(address.name)
            case "job" | "stream":
                return self._jobs.get(address.name)


def deciding(
    project: ProjectEntry | None, entry: SourceEntry | DestinationEntry | JobEntry, stream: str, key: str
) -> tuple[Document, tuple[str, ...]] | None:
    """Return the document that decides a setting of a resource, and the path in it; None when none sets it."""
    for document, prefix in _blocks(project, entry.document, stream, key):
        block = value_at(document.root, prefix)
        for spelling in _spellings(key):
            if isinstance(block, Map) and spelling in block:
                return document, (*prefix, spelling)
    return None


def _blocks(
    project: ProjectEntry | None, own: Document, stream: str, key: str
) -> Iterator[tuple[Document, tuple[str, ...]]]:
    """Yield the blocks that may decide a setting, the nearest first."""
    outer: list[tuple[Document, tuple[str, ...]]] = [(own, ())]
    if project is not None:
        outer.append((project.document, ("job_defaults",)))
    if not stream:
        yield from outer
        return
    yield own, ("streams", stream)
    for document, prefix in outer:
        yield document, (*prefix, "stream_defaults")
        if key in _ALSO_FOR_STREAMS:
            yield document, prefix


def _spellings(key: str) -> list[str]:
    return [key, *(theirs for theirs, ours in SPELLINGS.items() if key in ours)]


def _nearest(document: Document, path: tuple[str, ...]) -> Place:
    """Return the place of the key at `path`, or of the last part of it that is there."""
    while len(path) > 1 and path[-1] not in (value_at(document.root, path[:-1]) or ()):
        path = path[:-1]
    return document.text.place(document.at(path, of_key=True))

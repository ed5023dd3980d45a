"""The jobs of a workspace as declared: read from their files, or remembered from an earlier run until somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.job import Job
from olake_reconcile.model.names import StreamId
from olake_reconcile.secrets import Secrets
from olake_reconcile.spec.cache import FileOutline, Remembered
from olake_reconcile.spec.endpoints import DestinationEntry, SourceEntry
from olake_reconcile.spec.jobs import JobEntry, read_job
from olake_reconcile.spec.outline import Outline, Table, outline, reads_log, written_tables
from olake_reconcile.spec.program import program
from olake_reconcile.spec.project import ProjectEntry
from olake_reconcile.spec.reader import Documents, read_file
from olake_reconcile.spec.report import Document, Report
from olake_reconcile.spec.text import SourceText


class Outlined(NamedTuple):
    """A job that is remembered, and the text that it was read from."""

    outline: Outline
    text: SourceText


class JobEntries(Mapping[str, JobEntry]):
    """Entries by name, sorted; one that is remembered is read when somebody asks for it."""

    def __init__(
        self, read: Mapping[str, JobEntry], outlined: Mapping[str, Outlined], secrets: Secrets
    ) -> None:
        self.fresh = read
        self.outlined = outlined
        self._read = dict(read)
        self._names = sorted(read.keys() | outlined.keys())
        self._secrets = secrets

    def __getitem__(self, name: str) -> JobEntry:
        """Return the entry of a job, from its file."""
        if name not in self._read:
            found = self.outlined[name]
            # Nothing is wrong with the file: it would not be remembered.
            documents = Documents()
            read_file(found.text, self._secrets, Report(), documents)
            self._read[name] = read_job(documents.by_kind["Job"][found.outline.document])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many jobs are declared."""
        return len(self._names)

    def streams(self, name: str) -> Iterable[StreamId]:
        """Return the streams of a job, without reading it."""
        if name in self.outlined:
            return [stream for stream, _, _ in self.outlined[name].outline.written_tables()]
        return [stream for stream, _ in self.fresh[name].streams.values()]

    def tables(self, job: Job) -> Iterable[Table]:
        """Return what the streams of a job write, without reading it."""
        if job.name in self.outlined:
            return self.outlined[job.name].outline.written_tables()
        return written_tables(job)

    def reads_log(self, job: Job) -> bool:
        """Whether a job reads its source's log of changes, without reading the job."""
        if job.name in self.outlined:
            return self.outlined[job.name].outline.reads_log
        return reads_log(job.streams)


def digest_of_context(
    project: ProjectEntry | None,
    sources: Mapping[str, SourceEntry],
    destinations: Mapping[str, DestinationEntry],
    catalogues: Mapping[str, Catalogue],
) -> str:
    """Return the digest of all that a job depends on beside its own file.

    References are in it by what they stand for where that is a setting, and as they are written in endpoints' configs.
    """
    said = [
        repr(project.document.root) if project else "",
        *(repr((n, e.document.root, e.database, e.database_reference)) for n, e in sources.items()),
        *(repr((n, e.document.root)) for n, e in destinations.items()),
    ]
    known = {name: c.digest for name, c in catalogues.items()}
    return fingerprint([program(), said, known])


def recalled(
    remembered: Remembered, context: str, documents: Documents, secrets: Secrets, report: Report
) -> dict[str, Outlined]:
    """Return the jobs of the unread files by name; files of which too little is known are read now.

    That is so for all of them when what they depend on has changed, and for names that several jobs have.
    """
    unread = [(text, remembered.files[text.file].jobs) for text in documents.unread]
    names = Counter(_folded(d) for d in documents.by_kind["Job"])
    names.update(job.name.lower() for _, jobs in unread for job in jobs)
    found: dict[str, Outlined] = {}
    for text, jobs in unread:
        if remembered.context == context and all(names[job.name.lower()] == 1 for job in jobs):
            found |= {job.name: Outlined(job, text) for job in jobs}
        else:
            read_file(text, secrets, report, documents)
    order = {name: index for index, name in enumerate(documents.texts)}
    documents.by_kind["Job"].sort(key=lambda d: order[d.text.file])
    return found


def to_remember(
    context: str, documents: Documents, jobs: Mapping[str, Job], entries: JobEntries, report: Report
) -> Remembered:
    """Return the outlines of a workspace without errors.

    A file with references, warnings or documents of other kinds is always read.
    """
    beside = {d.text.file for kind, found in documents.by_kind.items() if kind != "Job" for d in found}
    noted = {d.place.file for d in report.found if d.place}
    files: dict[str, list[Outline]] = {}
    for found in entries.outlined.values():
        files.setdefault(found.text.file, []).append(found.outline)
    position: Counter[str] = Counter()
    for document in documents.by_kind["Job"]:
        file, name = document.text.file, str(document.root.get("name"))
        if "$" not in document.text.text and file not in beside | noted:
            files.setdefault(file, []).append(outline(jobs[name], position[file]))
        position[file] += 1
    return Remembered(
        context, {f: FileOutline(documents.texts[f].digest, tuple(o)) for f, o in sorted(files.items())}
    )


def _folded(document: Document) -> str:
    return str(document.root.get("name")).lower()

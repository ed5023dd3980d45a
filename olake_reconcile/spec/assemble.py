"""Documents to `Desired`: names are made unique, references between documents followed, jobs built and compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from olake_reconcile.diagnostics import Severity, did_you_mean
from olake_reconcile.model import codec
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.deferred import Deferred
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.job import Job, Runtime
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stream import Stream
from olake_reconcile.secrets import Secrets
from olake_reconcile.spec.cache import Remembered
from olake_reconcile.spec.catalogue_checks import check_catalogue, note_unchecked
from olake_reconcile.spec.cross_checks import check_never_due, check_tables
from olake_reconcile.spec.declarations import read_declarations
from olake_reconcile.spec.endpoints import DestinationEntry, SourceEntry, read_destination, read_source
from olake_reconcile.spec.entries import JobEntries, digest_of_context, recalled, to_remember
from olake_reconcile.spec.files import ROOT_FILE
from olake_reconcile.spec.job_settings import JobLayer
from olake_reconcile.spec.jobs import JobEntry, build_job, read_job
from olake_reconcile.spec.lint import lint_job, lint_logs
from olake_reconcile.spec.origins import FileOrigins
from olake_reconcile.spec.outline import Outline
from olake_reconcile.spec.policies import read_policies
from olake_reconcile.spec.project import ProjectEntry, check_name, read_project
from olake_reconcile.spec.reader import Documents
from olake_reconcile.spec.report import Document, Report, quoted
from olake_reconcile.spec.text import SourceText

Entry = TypeVar("Entry", SourceEntry, DestinationEntry, JobEntry)


def assemble(
    documents: Documents,
    catalogues: Mapping[str, Catalogue],
    secrets: Secrets,
    report: Report,
    *,
    checked_note: bool,
    remembered: Remembered,
) -> tuple[Desired | None, Remembered]:
    """Return what the documents declare together, None when there is no usable project; and what to remember.

    Jobs whose files are unread come from what is `remembered`.
    """
    project = _project(documents, report)
    sources = _by_name(read_source(d, secrets) for d in documents.by_kind["Source"])
    destinations = _by_name(read_destination(d, secrets) for d in documents.by_kind["Destination"])
    context = digest_of_context(project, sources, destinations, catalogues)
    outlined = recalled(remembered, context, documents, secrets, report)
    entries = JobEntries(_by_name(read_job(d) for d in documents.by_kind["Job"]), outlined, secrets)
    builder = _Jobs(project, sources, destinations, complete=documents.complete)
    fresh = {name: job for name, entry in entries.fresh.items() if (job := builder.build(entry)) is not None}
    check_never_due(entries, fresh)
    for name, job in fresh.items():
        if job.source in catalogues:
            check_catalogue(project, entries[name], job, catalogues[job.source])
        lint_job(project, entries[name], job, catalogues.get(job.source))
    built = dict(
        sorted((fresh | {n: builder.recalled(entries, o.outline) for n, o in outlined.items()}).items())
    )
    check_tables(entries, built, destinations, entries.tables)
    lint_logs(sources, ((name, job.source) for name, job in built.items() if entries.reads_log(job)))
    said = read_declarations(documents, sources, destinations, entries)
    policies = read_policies(documents.by_kind["Policy"])
    if checked_note:
        note_unchecked(report, {job.source for job in built.values()} - catalogues.keys())
    if project is None or project.model is None:
        return None, remembered
    desired = Desired(
        project=project.model,
        sources={n: e.model for n, e in sources.items() if e.model},
        destinations={n: e.model for n, e in destinations.items() if e.model},
        jobs=built,
        approvals=said.approvals,
        moves=said.moves,
        imports=said.imports,
        removals=said.removals,
        policies=policies,
        origins=FileOrigins(project, sources, destinations, entries),
        warnings=tuple(d for d in report.found if d.severity is Severity.WARNING),
    )
    if report.has_errors:
        return desired, remembered
    return desired, to_remember(context, documents, built, entries, report)


def _project(documents: Documents, report: Report) -> ProjectEntry | None:
    found = documents.by_kind["Project"]
    if not found:
        if documents.complete or ROOT_FILE in documents.texts:
            text = documents.texts.get(ROOT_FILE, SourceText(ROOT_FILE, ""))
            message = f"{ROOT_FILE} has no document of kind: Project"
            if documents.complete:
                report.add(Severity.ERROR, "missing-project", message, text, 0)
        return None
    entries = [read_project(d) for d in found]
    first = found[0].text.place(found[0].at(("kind",)))
    for document in found[1:]:
        message = f"a workspace has one Project: the first is at {first}"
        document.error(document.at(("kind",)), "duplicate-project", message)
    return entries[0]


def _by_name(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the entries by name, sorted; complain about names that are taken, whatever the case of their letters."""
    found: dict[str, Entry] = {}
    folded: dict[str, Document] = {}
    for entry in entries:
        document = entry.document
        name = document.root.get("name")
        if not isinstance(name, str):
            continue
        if not isinstance(entry, JobEntry):
            check_name(document, name)
        first = folded.setdefault(name.lower(), document)
        if first is document:
            found[name] = entry
            continue
        place = first.text.place(first.at(("name",)))
        message = f"{document.kind.lower()} {quoted(name)} is declared twice: first at {place}"
        document.error(document.at(("name",)), "duplicate-name", message)
    return dict(sorted(found.items()))


class _Jobs:
    """Builds jobs from their entries, the project's defaults and what they refer to."""

    def __init__(
        self,
        project: ProjectEntry | None,
        sources: Mapping[str, SourceEntry],
        destinations: Mapping[str, DestinationEntry],
        *,
        complete: bool,
    ) -> None:
        self._project = project
        self._sources = sources
        self._destinations = destinations
        self._complete = complete

    def build(self, entry: JobEntry) -> Job | None:
        defaults = self._project.defaults if self._project else JobLayer()
        model = self._project.model if self._project else None
        source = self._find(entry, "source", self._sources)
        destination = self._find(entry, "destination", self._destinations)
        nothing = entry.document
        return build_job(
            entry,
            defaults,
            source or SourceEntry(nothing, None),
            destination or DestinationEntry(nothing, None),
            model.runtime if model else Runtime.EMBEDDED,
        )

    def recalled(self, entries: JobEntries, outline: Outline) -> Job:
        """Return a job as it is remembered; its streams are read from its file when somebody asks for one."""

        def streams() -> Mapping[StreamId, Stream]:
            job = self.build(entries[outline.name])
            assert job is not None, "only jobs without mistakes are remembered"
            return job.streams

        known = Deferred(len(outline.tables), streams, lambda: outline.digest)
        return codec.read_job(outline.name, outline.settings).model_copy(update={"streams": known})

    def _find(self, entry: JobEntry, what: str, known: Mapping[str, Entry]) -> Entry | None:
        """Return the source or destination that a job, or its defaults, names; complain when there is none."""
        document: Document = entry.document
        path: tuple[str, ...] = (what,)
        name = entry.layer.values.get(what)
        if name is None and what not in entry.layer.values and self._project:
            name = self._project.defaults.values.get(what)
            document, path = self._project.document, ("job_defaults", what)
        if isinstance(name, str) and name in known:
            return known[name]
        broken = entry.layer.broken | (self._project.defaults.broken if self._project else frozenset())
        if not self._complete or what in broken:
            return None
        if not isinstance(name, str):
            message = f"the job has no {what}"
            entry.document.error(
                entry.document.at(("kind",)),
                "missing-key",
                message,
                "set it here or in the project's job_defaults",
            )
        else:
            hint = did_you_mean(name, known)
            document.error(document.at(path), f"unknown-{what}", f"there is no {what} {quoted(name)}", hint)
        return None

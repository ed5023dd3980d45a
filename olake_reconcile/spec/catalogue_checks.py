"""Streams and columns against what the source was last seen to offer."""

from __future__ import annotations

from collections.abc import Iterable

from olake_reconcile.diagnostics import Severity
from olake_reconcile.model.catalogue import Catalogue
from olake_reconcile.model.job import Job
from olake_reconcile.spec.jobs import JobEntry
from olake_reconcile.spec.report import Report


def check_catalogue(entry: JobEntry, job: Job, catalogue: Catalogue) -> None:
    """Complain about streams, modes and columns that the source does not have."""


def note_unchecked(report: Report, sources: Iterable[str]) -> None:
    """Note the sources whose streams could not be checked."""
    for name in sorted(sources):
        message = f"streams of source.{name} were not checked: no cached catalogue; run `olake-reconcile discover {name}`"
        report.add(Severity.NOTE, "not-checked", message)

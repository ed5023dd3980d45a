"""Drift in words: its section of a plan, and what the `drift` command prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from olake_reconcile.cli.output import printable
from olake_reconcile.model.names import parse_address
from olake_reconcile.plan.drift import Drift, DriftReport
from olake_reconcile.plan.words import counted

FORMAT_VERSION = "1.0"


def drift_section(report: DriftReport) -> Iterator[str]:
    """Yield the lines of a plan's section; none when nothing moved and all was looked at."""
    differences = report.differences
    if differences:
        yield "Drift: moved without us, and not part of this plan."
        for drift in differences:
            yield from drift_lines(drift)
    held = [d for d in report.found if not d.is_difference]
    if held:
        yield "Held: these jobs start no run."
        for drift in held:
            yield from drift_lines(drift)
    if unseen := unseen_words(report):
        yield unseen


def drift_lines(drift: Drift) -> Iterator[str]:
    """Yield what moved, and what to do about it."""
    yield f"  {printable(parse_address(drift.address).short)}: {printable(drift.message)}"
    if drift.remedy:
        yield f"      {printable(drift.remedy)}"


def unseen_words(report: DriftReport) -> str:
    """Say what was not looked at; empty when all was."""
    parts = []
    if report.tables_unseen:
        parts.append(counted(report.tables_unseen, "table"))
    if report.streams_unseen:
        parts.append(f"the source of {counted(report.streams_unseen, 'stream')}")
    if not parts:
        return ""
    return f"Drift not looked for: {' and '.join(parts)}. To look: olake-reconcile drift"


def report_lines(report: DriftReport) -> Iterator[str]:
    """Yield what the command prints."""
    for drift in report.found:
        yield from drift_lines(drift)
    number = len(report.differences)
    yield f"Drift: {counted(number, 'difference')}." if number else "No drift."
    yield (
        f"Looked at {counted(report.tables, 'table')} by metadata, and at {counted(report.streams, 'stream')} "
        "in the catalogues of their sources; at no row."
    )
    missed: Sequence[tuple[int, str]] = (
        (report.tables_unseen, "table"),
        (report.streams_unseen, "stream in a source's catalogue"),
    )
    for count, what in missed:
        if count:
            yield f"Not looked at: {counted(count, what, what.replace('stream', 'streams') if ' ' in what else '')}."


def report_document(report: DriftReport) -> dict[str, Any]:
    """Return what the command prints with `--json`."""
    return {
        "format_version": FORMAT_VERSION,
        "drift": [d.model_dump(mode="json") for d in report.found],
        "looked_at": {"tables": report.tables, "streams": report.streams},
        "not_looked_at": {"tables": report.tables_unseen, "streams": report.streams_unseen},
    }

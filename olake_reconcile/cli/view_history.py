"""`history` as text and JSON: the runs, and one run with its streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from olake_reconcile.cli.output import printable
from olake_reconcile.cli.table import Column, table_lines, wrapped
from olake_reconcile.cli.view_status import paint, status_words
from olake_reconcile.model.figures import ago, runtime, short_count, size
from olake_reconcile.model.pace import pace
from olake_reconcile.model.position import position_words
from olake_reconcile.model.run import Run, RunStatus, StreamOutcome

_RUNS = [
    Column("RUN"),
    Column("JOB", shrink=True),
    Column("JOB TYPE", drop=1),
    Column("TRIGGER", drop=2),
    Column("STARTED (UTC)", drop=3),
    Column("RUNTIME", right=True),
    Column("STATUS", paint=paint),
    Column("ROWS", right=True),
]
_STREAMS = [
    Column("STREAM", shrink=True),
    Column("STATUS", paint=paint),
    Column("ROWS", right=True),
    Column("SIZE", right=True),
    Column("SECONDS", right=True),
    Column("ROWS/S", right=True, drop=2),
    Column("FROM", drop=1, shrink=True),
    Column("TO", drop=1, shrink=True),
]

_BEGAN = {True: "Queued", False: "Started"}


def runs_page(runs: Sequence[Run], now: datetime, width: int | None) -> Iterator[str]:
    """Yield a line per run, the latest first."""
    yield from table_lines(_RUNS, [_run_row(run, now) for run in runs], width)


def _run_row(run: Run, now: datetime) -> list[str]:
    return [
        run.id,
        run.job,
        run.type.label,
        run.trigger.value + (f" (attempt {run.attempt})" if run.attempt > 1 else ""),
        f"{run.started:%Y-%m-%d %H:%M:%S}",
        length(run, now),
        run.status.value,
        f"{run.rows:,}",
    ]


def length(run: Run, now: datetime) -> str:
    """Return how long a run took, or has taken."""
    if run.status is RunStatus.QUEUED:
        return "-"
    return runtime((run.ended or now) - run.started)


def run_page(run: Run, streams: int, now: datetime, width: int | None) -> Iterator[str]:
    """Yield one run: who started it and when, how it ended, each stream with its positions and policies."""
    yield f"{click.style(run.id, bold=True)}  {run.type.label} of {printable(run.job)}  {paint(status_words(run, streams))}"
    for line in _facts(run, now):
        yield from wrapped(f"  {line}", width, "    ")
    if run.streams:
        yield ""
        yield from outcomes_table(run, width)
    for line in _notes(run):
        yield from wrapped(printable(line), width)


def outcomes_table(run: Run, width: int | None) -> list[str]:
    """Return the lines of a run's streams, those that failed first."""
    return table_lines(_STREAMS, [_stream_row(o) for o in sorted(run.streams, key=_troubled)], width)


def _facts(run: Run, now: datetime) -> Iterator[str]:
    due = f", due {run.due:%Y-%m-%d %H:%M:%S}" if run.due else ""
    has_waited = run.queued_at is not None and run.queued_at != run.started
    waited = f", waited {runtime(run.started - run.queued_at)}" if run.queued_at and has_waited else ""
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    began = f"{run.started:%Y-%m-%d %H:%M:%S} UTC ({ago(run.started, now)})"
    yield f"{_BEGAN[run.status is RunStatus.QUEUED]} by {run.trigger.value} at {began}{due}{waited}{attempt}"
    if run.status is not RunStatus.QUEUED:
        where = f" on {run.holder.host} (pid {run.holder.pid})" if run.holder else ""
        yield f"{'Took' if run.ended else 'Running for'} {length(run, now)}{where}"
    if run.cancel_requested and not run.status.is_final:
        yield "Asked to stop: it ends at its next safe point."
    yield f"{run.rows:,} rows, {size(run.bytes)}"


def _notes(run: Run) -> Iterator[str]:
    """What a table has no room for."""
    for outcome in sorted(run.streams, key=lambda o: o.stream):
        for policy in outcome.policies:
            what = f"{policy.count:,} values of {policy.column} did not fit ({policy.kind})"
            yield f"{outcome.stream}: {what}: policy {policy.policy}"
        if outcome.status is RunStatus.RUNNING:
            yield f"{outcome.stream}: {pace(outcome).words()}"


def _troubled(outcome: StreamOutcome) -> tuple[bool, bool, str]:
    return outcome.status is not RunStatus.FAILED, outcome.status.is_final, str(outcome.stream)


def _stream_row(outcome: StreamOutcome) -> list[str]:
    rate = pace(outcome).rate if outcome.status is RunStatus.RUNNING else _rate(outcome)
    return [
        str(outcome.stream),
        outcome.status.value,
        f"{outcome.rows:,}",
        size(outcome.bytes),
        f"{outcome.seconds:.1f}" if outcome.status.is_final else "-",
        short_count(rate) if rate else "",
        position_words(outcome.position_from),
        position_words(outcome.position_to),
    ]


def _rate(outcome: StreamOutcome) -> float:
    return outcome.rows / outcome.seconds if outcome.seconds else 0.0


def errors_of(run: Run) -> Iterator[str]:
    """Yield what went wrong in a run, its own failure first, then those of its streams."""
    for text in [run.error, *(f"{o.stream}: {o.error}" for o in run.streams if o.error)]:
        if text:
            yield "\n  ".join(printable(line) for line in text.split("\n"))


def run_document(run: Run) -> dict[str, Any]:
    """Return a run as JSON."""
    document = run.model_dump(mode="json", exclude={"holder"})
    document["job_type"] = run.type.label
    document["rows"], document["bytes"] = run.rows, run.bytes
    document["streams"] = [
        o.model_dump(mode="json") | {"stream": str(o.stream)} | _estimates(o)
        for o in sorted(run.streams, key=lambda o: o.stream)
    ]
    return document


def _estimates(outcome: StreamOutcome) -> dict[str, Any]:
    """What is told of a stream only while it runs."""
    if outcome.status is not RunStatus.RUNNING:
        return {}
    now = pace(outcome)
    return {"fraction": now.fraction, "rows_per_second": round(now.rate, 1), "seconds_left": now.left}

"""`status` as text: the jobs page, one job with its streams, sources and destinations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from olake_reconcile.cli.output import printable
from olake_reconcile.cli.table import Column, table_lines, wrapped
from olake_reconcile.model.figures import ago, ahead, runtime, short_count, size, span, wall
from olake_reconcile.model.pace import pace
from olake_reconcile.model.position import position_words
from olake_reconcile.model.run import Run, RunStatus
from olake_reconcile.model.schedule import parse_schedule
from olake_reconcile.model.schedule_words import schedule_words
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.plan.words import counted
from olake_reconcile.reconcile.overview import JobOverview, JobState, run_fraction
from olake_reconcile.reconcile.stream_overview import StreamOverview

_COLOURS = {
    "failing": "red", "failed": "red", "attention": "yellow", "held": "yellow", "canceled": "yellow",
    "running": "cyan", "queued": "cyan", "unmanaged": "magenta", "completed": "green", "live": "green",
    "needs_resync": "yellow", "quarantined": "red", "loading": "cyan",
}  # fmt: skip
# As many explanations as fit under a table that is read; `status JOB` and `explain` have the rest.
_NOTES = 12

_JOBS = [
    Column("JOB", shrink=True),
    Column("STATE", paint=lambda text: paint(text)),
    Column("STREAMS", drop=2),
    Column("LAST RUN"),
    Column("TYPE", drop=3),
    Column("STATUS", paint=lambda text: paint(text)),
    Column("DATA", drop=1),
    Column("NEXT RUN"),
    Column("AT", drop=4),
]


def paint(text: str) -> str:
    """Colour a status or state by its first word."""
    colour = _COLOURS.get(text.split(" ")[0])
    return click.style(text, fg=colour) if colour else text


def jobs_page(
    jobs: Sequence[JobOverview], now: datetime, width: int | None, *, has_loop: bool
) -> Iterator[str]:
    """Yield the lines of the jobs page: a line per job, why those in trouble are, and whether anything starts them."""
    yield from table_lines(_JOBS, [_job_row(job, now) for job in jobs], width)
    notes = [(job.name, note) for job in jobs if (note := _note(job, now))]
    if notes:
        yield ""
    for name, note in notes[:_NOTES]:
        yield from wrapped(f"{printable(name)}: {printable(note)}", width)
    if len(notes) > _NOTES:
        yield f"… and {counted(len(notes) - _NOTES, 'more job')} to look at: `olake-reconcile status --failing`, `explain JOB`."
    waiting = [job for job in jobs if job.due and job.state not in _STOPPED]
    if waiting and not has_loop:
        yield ""
        yield from wrapped(
            f"No loop runs: {counted(len(waiting), 'scheduled job')} will not start by {'itself' if len(waiting) == 1 else 'themselves'}. Start `olake-reconcile run`, "
            "or `olake-reconcile reconcile` from cron.",
            width,
        )


def _job_row(job: JobOverview, now: datetime) -> list[str]:
    run = job.last_or_current
    return [
        job.name,
        job.state.value,
        _streams(job),
        ago(run.started, now) if run else "never",
        run.type.label if run else "",
        status_words(run, len(job.streams)) if run else "-",
        f"{span(now - job.fresh_as_of)} old" if job.fresh_as_of else "-" if job.streams else "",
        next_words(job, now),
        wall(job.due, ZoneInfo(job.timezone), now) if job.due and job.state not in _STOPPED else "",
    ]


_STOPPED = frozenset({JobState.HELD, JobState.INACTIVE})


def status_words(run: Run, streams: int) -> str:
    """Return a run's status, with how much is done while it runs."""
    part = run_fraction(run, streams)
    return run.status.value if part is None else f"{run.status.value} {part:.0%}".replace("%", " %")


def next_words(job: JobOverview, now: datetime) -> str:
    """Return when a job runs next, or why it does not."""
    if job.hold:
        return "held"
    if not job.active:
        return "inactive"
    if job.current and job.current.status is RunStatus.QUEUED:
        return "queued"
    if job.due is None:
        return "by hand"
    return "due now" if job.due <= now else ahead(job.due, now)


def _streams(job: JobOverview) -> str:
    waiting = sum(phase is StreamPhase.PENDING for phase in job.streams.values())
    return f"{len(job.streams)} ({waiting} pending)" if waiting else str(len(job.streams))


def _outlook(job: JobOverview, now: datetime) -> str:
    """Return since when a failing job fails, and when it is tried again."""
    good = f"last good run {ago(job.last_good.started, now)}" if job.last_good else "no run has completed yet"
    again = f"; attempt {job.attempt + 1} {ahead(job.due, now)}" if job.attempt and job.due else ""
    return good + again


def _note(job: JobOverview, now: datetime) -> str:
    """Return why a job is where it is, on one line, where that is worth one."""
    match job.state:
        case JobState.FAILING if job.last:
            failed = f"run {job.last.id} failed {ago(job.last.ended or job.last.started, now)}"
            return f"{failed}; {_outlook(job, now)}"
        case JobState.ATTENTION:
            phases = [f"{name} {phase.value}" for name, phase in job.streams.items() if phase in _ATTENTION]
            more = f" and {len(phases) - 3} more" if len(phases) > 3 else ""
            return f"{', '.join(phases[:3])}{more}: see `olake-reconcile plan`"
        case JobState.HELD if job.hold:
            reason = f": {job.hold.why}" if job.hold.why else ""
            until = (
                f" until {wall(job.hold.until.replace(second=0), ZoneInfo(job.timezone), now)}"
                if job.hold.until
                else ""
            )
            return f"held by {job.hold.who}{until}{reason}"
        case JobState.UNMANAGED:
            return "in no file any more; it goes on syncing (`plan` says how to let it go)"
        case JobState.RUNNING if job.current and job.current.streams:
            running = [o for o in job.current.streams if o.status is RunStatus.RUNNING]
            done = sum(o.status.is_final for o in job.current.streams)
            of = f"{done} of {counted(len(job.streams), 'stream')} done"
            return f"{of}; {running[0].stream}: {pace(running[0]).words()}" if running else of
        case _:
            return ""


_ATTENTION = (StreamPhase.NEEDS_RESYNC, StreamPhase.QUARANTINED)


_STREAMS = [
    Column("STREAM", shrink=True),
    Column("PHASE", paint=paint),
    Column("LAST", paint=paint),
    Column("ROWS", right=True),
    Column("SIZE", right=True, drop=2),
    Column("DATA"),
    Column("POSITION", drop=3, shrink=True),
    Column("TABLE", drop=4, shrink=True),
]


def job_page(
    job: JobOverview, streams: Sequence[StreamOverview], now: datetime, width: int | None
) -> Iterator[str]:
    """Yield the lines of one job: what it is, when it runs, its streams, and what is wrong with them."""
    zone = ZoneInfo(job.timezone)
    yield f"{click.style(printable(job.name), bold=True)}  {paint(job.state.value)}"
    yield f"  {printable(job.source)} -> {printable(job.destination)}" + (
        f", owner {printable(job.owner)}" if job.owner else ""
    )
    yield f"  Schedule: {schedule_line(job.schedule, job.timezone)}"
    at = f", {wall(job.due, zone, now)}" if job.due and job.state not in _STOPPED else ""
    yield f"  Next run: {next_words(job, now)}{at}"
    for word, run in (("Now", job.current), ("Last run", job.last)):
        if run:
            yield from wrapped(f"  {word}: {printable(run_line(run, len(job.streams), now))}", width, "    ")
    note = "" if job.state is JobState.RUNNING else _note(job, now)
    if job.state is JobState.FAILING:
        note = _outlook(job, now).capitalize()
    if note:
        yield from wrapped(f"  {printable(note)}", width, "    ")
    yield ""
    yield from table_lines(_STREAMS, [_stream_row(s, now) for s in streams], width)
    notes = [(s.stream, text) for s in streams if (text := s.failing or s.progress or s.phase_reason)]
    if notes:
        yield ""
    for name, text in notes:
        first, *rest = text.split("\n")
        yield from wrapped(printable(f"{name}: {first}"), width)
        for line in rest:
            yield from wrapped(f"  {printable(line)}", width, "    ")


def schedule_line(schedule: str | None, timezone: str) -> str:
    """Return a schedule as it is written, with its words."""
    if schedule is None:
        return "none, by hand only"
    return f"{schedule_words(parse_schedule(schedule))} ({printable(schedule)}, {timezone})"


def run_line(run: Run, streams: int, now: datetime) -> str:
    """Return a run on one line."""
    took = f", took {runtime(run.ended - run.started)}" if run.ended else ""
    words = f"{run.id} {run.type.label} by {run.trigger.value}, {status_words(run, streams)}"
    return f"{words}, {'queued' if run.status is RunStatus.QUEUED else 'began'} {ago(run.started, now)}{took}"


def _stream_row(stream: StreamOverview, now: datetime) -> list[str]:
    return [
        stream.stream,
        stream.phase.value,
        stream.outcome.status.value if stream.outcome else "-",
        short_count(stream.rows) if stream.rows is not None else "-",
        size(stream.bytes) if stream.bytes is not None else "-",
        f"{span(now - stream.fresh_as_of)} old" if stream.fresh_as_of else "-",
        position_words(stream.position),
        stream.table,
    ]

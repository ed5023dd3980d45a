"""`status`, `history` and `logs`: what is, what was, what was said."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from olake_reconcile.cli.options import as_json
from olake_reconcile.cli.output import print_json, print_table
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import UsageError
from olake_reconcile.model.run import Run, RunStatus
from olake_reconcile.model.stored import Stored, StoredJob, StreamPhase


@click.command()
@click.option(
    "--sources", "endpoints", is_flag=True, help="List sources and destinations instead: active or inactive."
)
@as_json
@click.pass_obj
def status(session: Session, endpoints: bool, as_json: bool) -> None:
    """List the jobs: active, inactive, failing, unmanaged; last and next run."""
    services = session.services
    stored = services.store.read()
    if endpoints:
        _show_endpoints(stored, as_json=as_json)
        return
    desired = session.workspace.desired
    rows = []
    for name, job in sorted(stored.jobs.items()):
        last = next(iter(services.store.runs(name, limit=1)), None)
        unmanaged = desired is not None and name not in desired.jobs
        rows.append((job, last, _state(job, last, services.clock.now(), unmanaged=unmanaged)))
    if as_json:
        print_json({"jobs": [_job_document(job, last, state) for job, last, state in rows]})
        return
    if not rows:
        click.echo("Nothing was applied yet: run `olake-reconcile plan`.")
        return
    now = services.clock.now()
    print_table(
        ["JOB", "STATE", "STREAMS", "LAST RUN", "TYPE", "STATUS", "NEXT RUN"],
        [
            [
                job.name,
                state,
                _streams(job),
                _ago(last.started, now) if last else "never",
                last.type.label if last else "-",
                last.status.value if last else "-",
                _moment(job.due, now),
            ]
            for job, last, state in rows
        ],
    )


def _show_endpoints(stored: Stored, *, as_json: bool) -> None:
    """An endpoint that no job uses is inactive: it is kept, and nothing connects to it."""
    found = []
    for kind, endpoints in (("source", stored.sources), ("destination", stored.destinations)):
        for name, endpoint in sorted(endpoints.items()):
            users = sorted(n for n, job in stored.jobs.items() if job.spec.get(kind) == name)
            state = "active" if users else "inactive"
            found.append(
                {
                    "address": f"{kind}.{name}",
                    "type": str(endpoint.spec.get("type")),
                    "state": state,
                    "jobs": users,
                }
            )
    if as_json:
        print_json({"endpoints": found})
        return
    rows = [[str(e["address"]), str(e["type"]), str(e["state"]), str(len(e["jobs"]))] for e in found]
    print_table(["ADDRESS", "TYPE", "STATE", "JOBS"], rows)


def _state(job: StoredJob, last: Run | None, now: datetime, *, unmanaged: bool) -> str:
    if job.held_at(now):
        return "held"
    if not job.active:
        return "inactive"
    if last and last.status is RunStatus.FAILED:
        return "failing"
    return "unmanaged" if unmanaged else "active"


def _streams(job: StoredJob) -> str:
    present = [s for s in job.streams.values() if s.phase is not StreamPhase.REMOVED]
    waiting = sum(s.phase is StreamPhase.PENDING for s in present)
    return f"{len(present)} ({waiting} pending)" if waiting else str(len(present))


def _job_document(job: StoredJob, last: Run | None, state: str) -> dict[str, Any]:
    return {
        "job": job.name,
        "state": state,
        "streams": {str(i): s.phase.value for i, s in sorted(job.streams.items())},
        "last_run": _run_document(last) if last else None,
        "next_run": job.due.isoformat() if job.due else None,
        "next_run_reason": job.due_reason,
    }


def _ago(moment: datetime, now: datetime) -> str:
    return f"{_length(now - moment)} ago"


def _moment(due: datetime | None, now: datetime) -> str:
    if due is None:
        return "by hand"
    return "due now" if due <= now else f"in {_length(due - now)}"


def _length(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@click.command()
@click.argument("job", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many runs.")
@as_json
@click.pass_obj
def history(session: Session, job: str | None, limit: int, as_json: bool) -> None:
    """List runs, the latest first; with JOB, each stream of them as well."""
    store = session.services.store
    if job is not None and job not in store.read().jobs and not store.runs(job, limit=1):
        raise UsageError(f"no job called '{job}' was ever applied", remedy="See `olake-reconcile status`.")
    runs = store.runs(job, limit=limit)
    if as_json:
        print_json({"runs": [_run_document(run) for run in runs]})
        return
    if not runs:
        click.echo("No runs yet.")
        return
    print_table(
        ["RUN", "JOB", "JOB TYPE", "TRIGGER", "STARTED (UTC)", "RUNTIME", "STATUS", "ROWS"],
        [line for run in runs for line in _history_lines(run, streams=job is not None)],
    )
    for run in runs:
        _errors(run)


def _history_lines(run: Run, *, streams: bool) -> list[list[str]]:
    runtime = _length(run.ended - run.started) if run.ended else "-"
    started = f"{run.started:%Y-%m-%d %H:%M:%S}"
    lines = [
        [
            run.id,
            run.job,
            run.type.label,
            run.trigger.value,
            started,
            runtime,
            run.status.value,
            f"{run.rows:,}",
        ]
    ]
    if streams:
        lines.extend(
            ["", f"  {s.stream}", "", "", "", f"{s.seconds:.0f} s", s.status.value, f"{s.rows:,}"]
            for s in sorted(run.streams, key=lambda s: s.stream)
        )
    return lines


def _errors(run: Run) -> None:
    for text in [run.error, *(f"{s.stream}: {s.error}" for s in run.streams if s.error)]:
        if text:
            click.echo(f"{run.id}: " + text.replace("\n", "\n  "), err=True)


def _run_document(run: Run) -> dict[str, Any]:
    document = run.model_dump(mode="json", exclude={"holder"})
    document["job_type"] = run.type.label
    document["streams"] = [
        s.model_dump(mode="json") | {"stream": str(s.stream)}
        for s in sorted(run.streams, key=lambda s: s.stream)
    ]
    return document


@click.command()
@click.argument("run")
@as_json
@click.pass_obj
def logs(session: Session, run: str, as_json: bool) -> None:
    """Print the log of RUN (an id from `history`; its unique beginning is enough)."""
    from olake_reconcile.reconcile.runlog import log_path, read_log, shown

    found = session.services.store.run(run)
    if found is None:
        raise UsageError(f"there is no run '{run}'", remedy="See `olake-reconcile history`.")
    path = log_path(session.services.logs, found.id)
    if not path.exists():
        click.echo(f"Run {found.id} left no log on this machine.", err=True)
        return
    for line in read_log(path):
        if as_json:
            click.echo(_one_line(line))
        else:
            click.echo(shown(line))


def _one_line(line: dict[str, Any]) -> str:
    import orjson

    return orjson.dumps(line).decode()

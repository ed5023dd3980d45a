"""`history`: what ran, when, and how it ended."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from olake_reconcile.cli.options import as_json
from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import UsageError
from olake_reconcile.model.duration import BadDuration, parse_duration
from olake_reconcile.model.run import Run, RunQuery, RunStatus, RunType

FORMAT_VERSION = "1.0"
_RUN_ID = re.compile(r"\d{8}(-[0-9a-f]*)*\Z")


@click.command()
@click.argument("job", required=False, metavar="[JOB|RUN]")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many runs.")
@click.option("--since", metavar="WHEN", help="Only runs since then: 2h, 7d, 2026-03-01, 2026-03-01T12:00.")
@click.option("--status", type=click.Choice([s.value for s in RunStatus]), help="Only runs of this status.")
@click.option("--type", "type_", type=click.Choice([t.value for t in RunType]), help="Only syncs, or clears.")
@click.option("--applies", is_flag=True, help="List applies instead: who applied what, from which commit.")
@as_json
@click.pass_obj
def history(
    session: Session,
    job: str | None,
    limit: int,
    since: str | None,
    status: str | None,
    type_: str | None,
    applies: bool,
    as_json: bool,
) -> None:
    """List runs, the latest first; one RUN (its id, or the beginning of it) is shown with its streams.

    \b
    Examples:
      olake-reconcile history
      olake-reconcile history daily_orders --status failed --since 7d
      olake-reconcile history 20261124-1403
      olake-reconcile history --applies
    """
    if applies:
        if job or since or status or type_:
            raise UsageError(
                "--applies lists whole applies",
                remedy="Give --limit alone; one is shown by `olake-reconcile show APPLY`.",
            )
        _list_applies(session, limit, as_json=as_json)
        return
    from olake_reconcile.cli.table import terminal_width
    from olake_reconcile.cli.view_history import errors_of, run_document, runs_page
    from olake_reconcile.reconcile.lost import as_it_is

    store, now = session.services.store, session.services.clock.now()
    if job is not None and (run := _one(session, job)) is not None:
        _show_run(session, as_it_is(run), now, as_json=as_json)
        return
    query = RunQuery(
        job=job,
        status=RunStatus(status) if status else None,
        type=RunType(type_) if type_ else None,
        since=_moment(since, now) if since else None,
        limit=limit,
    )
    runs = [as_it_is(run) for run in store.find_runs(query)]
    if as_json:
        print_json({"format_version": FORMAT_VERSION, "runs": [run_document(run) for run in runs]})
        return
    if not runs:
        click.echo("No runs yet." if query == RunQuery(job=job, limit=limit) else "No such runs.")
        return
    for line in runs_page(runs, now, terminal_width()):
        click.echo(line)
    for run in runs:
        for text in errors_of(run):
            click.echo(f"{run.id}: {text}", err=True)


def _list_applies(session: Session, limit: int, *, as_json: bool) -> None:
    from olake_reconcile.cli.output import print_table
    from olake_reconcile.cli.view_applies import HEADINGS, apply_document, apply_rows

    records = session.services.store.applies(limit=limit)
    if as_json:
        found = [apply_document(record, whole=False) for record in records]
        print_json({"format_version": FORMAT_VERSION, "applies": found})
    elif not records:
        click.echo("Nothing was applied yet.")
    else:
        print_table(HEADINGS, apply_rows(records))


def _one(session: Session, text: str) -> Run | None:
    """Return the run that `text` means; None when it is a job. Raises `UsageError` when it is neither."""
    store = session.services.store
    if text in store.read(text).jobs or store.runs(text, limit=1):
        return None
    run = store.run(text) if _RUN_ID.match(text) else None
    if run is None:
        raise UsageError(
            f"there is no job and no run called '{text}'",
            remedy="See `olake-reconcile status` and `history`.",
        )
    return run


def _show_run(session: Session, run: Run, now: datetime, *, as_json: bool) -> None:
    from olake_reconcile.cli.table import terminal_width
    from olake_reconcile.cli.view_history import errors_of, run_document, run_page

    if as_json:
        print_json({"format_version": FORMAT_VERSION, "runs": [run_document(run)]})
        return
    stored = session.services.store.read(run.job).jobs.get(run.job)
    for line in run_page(run, len(stored.streams) if stored else len(run.streams), now, terminal_width()):
        click.echo(line)
    for text in errors_of(run):
        click.echo(text, err=True)


def _moment(text: str, now: datetime) -> datetime:
    try:
        return now - timedelta(seconds=parse_duration(text))
    except BadDuration:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"'{text}' is no moment: write 2h, 7d, 2026-03-01 or 2026-03-01T12:00 (UTC)"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

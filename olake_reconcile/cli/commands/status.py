"""`status`: the jobs page."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import click

from olake_reconcile.cli.options import as_json
from olake_reconcile.cli.output import print_json, print_table
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import UsageError
from olake_reconcile.model.names import Address, select
from olake_reconcile.model.stored import Stored
from olake_reconcile.reconcile.overview import JobOverview, JobState

FORMAT_VERSION = "1.0"
_WATCH_SECONDS = 2.0


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--failing", is_flag=True, help="Only jobs that somebody should look at.")
@click.option(
    "--selector", "-l", metavar="KEY=VALUE", multiple=True, help="Only jobs with this label. Repeatable."
)
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.option(
    "--sources", "endpoints", is_flag=True, help="List sources and destinations instead: active or inactive."
)
@as_json
@click.pass_obj
def status(
    session: Session,
    jobs: tuple[str, ...],
    failing: bool,
    selector: tuple[str, ...],
    watch: bool,
    endpoints: bool,
    as_json: bool,
) -> None:
    """List the jobs, trouble first: active, inactive, failing, unmanaged, held; last and next run, age of the data.

    One JOB by its name is shown with its streams; globs list the jobs that they match.

    \b
    Examples:
      olake-reconcile status
      olake-reconcile status daily_orders
      olake-reconcile status 'sales_*' --failing --json
    """
    if endpoints:
        _show_endpoints(session.services.store.read(), as_json=as_json)
    elif not watch:
        _show(session, jobs, failing=failing, selector=selector, as_json=as_json)
    elif as_json or not sys.stdout.isatty():
        raise UsageError(
            "--watch needs a terminal", remedy="Leave it out, or follow a run with `logs JOB --follow`."
        )
    else:
        _watch(session, jobs, failing=failing, selector=selector)


def _watch(session: Session, jobs: tuple[str, ...], *, failing: bool, selector: tuple[str, ...]) -> None:
    never = threading.Event()
    try:
        while True:
            lines = list(_lines(session, jobs, failing=failing, selector=selector))
            # Over what is there, line by line: a screen that is cleared first would flicker.
            click.echo("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", nl=False)
            session.services.clock.wait(_WATCH_SECONDS, never)
    except KeyboardInterrupt:
        click.echo()


def _show(
    session: Session, jobs: tuple[str, ...], *, failing: bool, selector: tuple[str, ...], as_json: bool
) -> None:
    if as_json:
        print_json(_document(session, jobs, failing=failing, selector=selector))
        return
    for line in _lines(session, jobs, failing=failing, selector=selector):
        click.echo(line)


def _lines(
    session: Session, jobs: tuple[str, ...], *, failing: bool, selector: tuple[str, ...]
) -> Iterator[str]:
    from olake_reconcile.cli.table import terminal_width
    from olake_reconcile.cli.view_status import job_page, jobs_page
    from olake_reconcile.reconcile.presence import loops
    from olake_reconcile.reconcile.stream_overview import look_at_streams

    services = session.services
    now, width = services.clock.now(), terminal_width()
    found = _chosen(session, jobs, failing=failing, selector=selector)
    if len(jobs) == 1 and len(found) == 1 and found[0].name == jobs[0]:
        stored = services.store.read(jobs[0]).jobs[jobs[0]]
        yield from job_page(found[0], look_at_streams(services, stored), now, width)
    elif found:
        yield from jobs_page(found, now, width, has_loop=bool(loops(services)))
    elif jobs or failing or selector:
        yield "No job to look at." if failing else "No job has these labels."
    else:
        yield "Nothing was applied yet: run `olake-reconcile plan`."


def _chosen(
    session: Session, jobs: tuple[str, ...], *, failing: bool, selector: tuple[str, ...]
) -> list[JobOverview]:
    from olake_reconcile.reconcile.look import look

    desired = session.workspace.desired
    only = jobs[0] if len(jobs) == 1 and not set(jobs[0]) & set("*?[") else None
    found = look(session.services, None if desired is None else desired.jobs.keys(), only)
    if jobs:
        names = _named(found, jobs)
        found = [job for job in found if job.name in names]
    for text in selector:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"'{text}' is not a label: write KEY=VALUE")
        found = [job for job in found if job.labels.get(key) == value]
    if failing:
        found = [job for job in found if job.state in (JobState.FAILING, JobState.ATTENTION)]
    return found


def _named(jobs: list[JobOverview], patterns: tuple[str, ...]) -> set[str]:
    known = [Address("job", job.name) for job in jobs]
    names: set[str] = set()
    for pattern in patterns:
        matches = select(pattern, known)
        if not matches:
            raise UsageError(f"'{pattern}' matches no applied job", remedy="See `olake-reconcile status`.")
        names.update(address.name for address in matches)
    return names


def _document(
    session: Session, jobs: tuple[str, ...], *, failing: bool, selector: tuple[str, ...]
) -> dict[str, Any]:
    from olake_reconcile.reconcile.presence import loops
    from olake_reconcile.reconcile.stream_overview import look_at_streams

    found = _chosen(session, jobs, failing=failing, selector=selector)
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "as_of": session.services.clock.now().isoformat(),
        "loops": [str(lease.holder) for lease in loops(session.services)],
        "jobs": [_job_document(job) for job in found],
    }
    if len(jobs) == 1 and len(found) == 1:
        stored = session.services.store.read(found[0].name).jobs[found[0].name]
        streams = look_at_streams(session.services, stored)
        document["streams"] = [
            s.model_dump(mode="json", exclude={"outcome"})
            | {"last": s.outcome.status.value if s.outcome else None}
            for s in streams
        ]
    return document


def _job_document(job: JobOverview) -> dict[str, Any]:
    from olake_reconcile.cli.view_history import run_document

    document = job.model_dump(
        mode="json", exclude={"name", "current", "last", "last_good", "due", "due_reason"}
    )
    run = job.last_or_current
    return {
        "job": job.name,
        **document,
        "last_run": run_document(run) if run else None,
        "last_good_run": run_document(job.last_good) if job.last_good else None,
        "next_run": job.due.isoformat() if job.due else None,
        "next_run_reason": job.due_reason,
    }


def _show_endpoints(stored: Stored, *, as_json: bool) -> None:
    """An endpoint that no job uses is inactive: it is kept, and nothing connects to it."""
    found = []
    for kind, endpoints in (("source", stored.sources), ("destination", stored.destinations)):
        for name, endpoint in sorted(endpoints.items()):
            users = sorted(n for n, job in stored.jobs.items() if job.spec.get(kind) == name)
            found.append(
                {
                    "address": f"{kind}.{name}",
                    "type": str(endpoint.spec.get("type")),
                    "state": "active" if users else "inactive",
                    "jobs": users,
                    "identity": endpoint.identity,
                }
            )
    if as_json:
        print_json({"format_version": FORMAT_VERSION, "endpoints": found})
        return
    rows = [[str(e["address"]), str(e["type"]), str(e["state"]), str(len(e["jobs"] or ()))] for e in found]
    print_table(["ADDRESS", "TYPE", "STATE", "JOBS"], rows)

"""`logs`: what a run said."""

from __future__ import annotations

import threading
from typing import Any

import click
import orjson

from olake_reconcile.cli.output import printable
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import UsageError
from olake_reconcile.model.event import Level
from olake_reconcile.model.run import Run

_COLOURS = {"warning": "yellow", "error": "red"}


@click.command()
@click.argument("run", metavar="RUN|JOB")
@click.option(
    "--follow", "-f", is_flag=True, help="Go on until the run has ended, also one that is still queued."
)
@click.option(
    "--level",
    type=click.Choice([level.value for level in Level]),
    default=Level.INFO.value,
    show_default=True,
    help="Only lines of this level and worse.",
)
@click.option("--stream", metavar="STREAM", help="Only lines of this stream.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line each, as they are on disk.")
@click.pass_obj
def logs(session: Session, run: str, follow: bool, level: str, stream: str | None, as_json: bool) -> None:
    """Print the log of RUN (an id from `history`; its unique beginning is enough), or of the latest run of JOB.

    \b
    Examples:
      olake-reconcile logs daily_orders --follow
      olake-reconcile logs 20261124-1403 --level warning --stream public.orders
    """
    from olake_reconcile.reconcile.runlog import follow_log, log_path, matches, read_log

    services = session.services
    found = _found(session, run)
    path = log_path(services.logs, found.id)
    if not follow and not path.exists():
        waits = (
            "is still queued: follow it with --follow"
            if not found.status.is_final
            else "left no log on this machine"
        )
        click.echo(f"Run {found.id} {waits}.", err=True)
        return
    if follow:
        lines = follow_log(path, lambda: _is_over(session, found.id), services.clock, threading.Event())
        if not as_json and not path.exists():
            click.echo(f"Run {found.id} of {found.job} is {found.status.value} …", err=True)
    else:
        lines = read_log(path)
    for line in lines:
        if matches(line, Level(level), stream):
            click.echo(orjson.dumps(line).decode() if as_json else _readable(line))


def _found(session: Session, text: str) -> Run:
    """Return the run that goes on, else the latest one, of a job; or the run of that id."""
    store = session.services.store
    runs = store.runs(text, limit=10)
    if runs:
        return next((run for run in runs if run.status.value == "running"), runs[0])
    if text in store.read(text).jobs:
        raise UsageError(f"{text} has never run", remedy=f"olake-reconcile sync {text}")
    run = store.run(text)
    if run is None:
        raise UsageError(f"there is no run and no job '{text}'", remedy="See `olake-reconcile history`.")
    return run


def _is_over(session: Session, run_id: str) -> bool:
    from olake_reconcile.reconcile.leases import is_alive

    run = session.services.store.run(run_id)
    if run is None or run.status.is_final:
        return True
    # A run whose process died says nothing more, though nobody has closed it yet.
    return run.status.value == "running" and not is_alive(session.services, f"job:{run.job}")


def _readable(line: dict[str, Any]) -> str:
    from olake_reconcile.reconcile.runlog import shown

    text = "\n    ".join(printable(part) for part in shown(line).split("\n"))
    colour = _COLOURS.get(str(line.get("level")))
    return click.style(text, fg=colour) if colour else text

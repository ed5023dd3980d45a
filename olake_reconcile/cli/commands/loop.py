"""`reconcile` and `run`: one pass for cron, or the daemon."""

from __future__ import annotations

from collections.abc import Callable

import click

from olake_reconcile.cli.session import Session
from olake_reconcile.cli.stopping import stop_on_signals
from olake_reconcile.errors import ExitCode, ReconcileError
from olake_reconcile.model.event import Event
from olake_reconcile.model.run import Run


@click.command()
@click.pass_obj
def reconcile(session: Session) -> int:
    """Make one pass: run the jobs that are due, one after the other. For cron.

    Exits 1 when a run failed, or when the files have mistakes (what is due runs from stored settings).
    """
    from olake_reconcile.reconcile.loop import reconcile_once

    with stop_on_signals() as stop:
        fine = reconcile_once(session.services, session.project.uid, _quiet, _teller(session), stop.is_set)
    if session.workspace.desired is None:
        for diagnostic in session.workspace.diagnostics:
            click.echo(session.secrets.redact(diagnostic.render()), err=True)
        return ExitCode.ERROR
    return ExitCode.OK if fine else ExitCode.ERROR


@click.command()
@click.pass_obj
def run(session: Session) -> int:
    """Run due jobs for ever, until SIGINT or SIGTERM."""
    from olake_reconcile.reconcile.loop import run_forever

    click.echo("Running due jobs; stop with Ctrl-C.", err=True)
    with stop_on_signals() as stop:
        run_forever(session.services, session.project.uid, _quiet, _teller(session), stop)
    return ExitCode.OK


def _quiet(event: Event) -> None:
    """The loop tells of runs, not of their progress: that is in their logs."""


def _teller(session: Session) -> Callable[[str, Run | ReconcileError], None]:
    def tell(job: str, outcome: Run | ReconcileError) -> None:
        if isinstance(outcome, ReconcileError):
            text = f"{job}: {outcome.summary}" if job else outcome.summary
            click.echo(session.secrets.redact(text), err=True)
        else:
            click.echo(f"{job}: run {outcome.id} {outcome.status.value}, {outcome.rows:,} rows")

    return tell

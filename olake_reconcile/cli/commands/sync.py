"""`sync`: run a job now."""

from __future__ import annotations

import click

from olake_reconcile.cli.options import lock_timeout
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, ReconcileError
from olake_reconcile.model.run import Run, RunStatus, Trigger

_EXIT = {RunStatus.COMPLETED: ExitCode.OK, RunStatus.CANCELED: ExitCode.INTERRUPTED}


@click.command()
@click.argument("job")
@click.option("--detach", is_flag=True, help="Queue it for the loop, and return.")
@lock_timeout
@click.pass_obj
def sync(session: Session, job: str, detach: bool, lock_timeout: float) -> int:
    """Run JOB now, with the settings that were applied, in the foreground.

    Ctrl-C stops it at its next safe point; a second one at once. A failed run is tried again as the job's `retry`
    says.

    \b
    Examples:
      olake-reconcile sync daily_orders
      olake-reconcile sync daily_orders --detach
    """
    if detach:
        _say_when_files_differ(session, job)
        return _queue(session, job)
    from olake_reconcile.cli.foreground import Foreground
    from olake_reconcile.reconcile.retention import prune_when_due
    from olake_reconcile.reconcile.runs import new_order
    from olake_reconcile.wiring import launcher

    order = new_order(session.services, job, Trigger.MANUAL, lock_timeout=lock_timeout)
    # Before anything is compared or shown: the run's own imports go on meanwhile, and a fork wants no threads.
    run = Foreground(session.services, launcher(session.root, session.project), order)
    _say_when_files_differ(session, job)
    outcome = run.finish()
    prune_when_due(session.services, session.project.retention)
    if isinstance(outcome, ReconcileError):
        raise outcome
    show_run(outcome)
    return _EXIT.get(outcome.status, ExitCode.ERROR)


def _queue(session: Session, job: str) -> int:
    from olake_reconcile.reconcile.runs import queue_run

    run, is_new = queue_run(session.services, job)
    begins = "It begins when a loop takes it: `olake-reconcile run`, or the next `olake-reconcile reconcile`."
    click.echo(f"Run {run.id} of {job} {'is queued' if is_new else 'waits already'}. {begins}")
    return ExitCode.OK


def _say_when_files_differ(session: Session, job: str) -> None:
    """The run uses what was applied, which may not be what somebody just edited."""
    from olake_reconcile.reconcile.observe import differs_from_files

    desired = session.workspace.desired
    if desired is None:
        click.echo("note: the files have mistakes (see `validate`); the applied settings are used", err=True)
    elif differs_from_files(session.services, desired, job):
        click.echo(f"note: the files of {job} differ from what was applied (see `plan`)", err=True)


def show_run(run: Run) -> None:
    """Print how a run ended, a line per stream."""
    from olake_reconcile.cli.table import terminal_width
    from olake_reconcile.cli.view_history import outcomes_table

    for line in outcomes_table(run, terminal_width()):
        click.echo(line)
    if run.error:
        click.echo(run.error, err=True)
    click.echo(f"Run {run.id} {run.status.value}: {run.rows:,} rows.")

"""`sync`: run a job now."""

from __future__ import annotations

import click

from olake_reconcile.cli.options import lock_timeout
from olake_reconcile.cli.output import print_table
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, ReconcileError
from olake_reconcile.model.run import Run, RunStatus, Trigger

_EXIT = {RunStatus.COMPLETED: ExitCode.OK, RunStatus.CANCELED: ExitCode.INTERRUPTED}


@click.command()
@click.argument("job")
@lock_timeout
@click.pass_obj
def sync(session: Session, job: str, lock_timeout: float) -> int:
    """Run JOB now, with the settings that were applied, in the foreground.

    Ctrl-C stops it at its next safe point; a second one at once.

    \b
    Example:
      olake-reconcile sync daily_orders
    """
    from olake_reconcile.cli.foreground import run_in_foreground
    from olake_reconcile.reconcile.runs import new_order
    from olake_reconcile.wiring import launcher

    services = session.services
    order = new_order(services, job, Trigger.MANUAL, lock_timeout=lock_timeout)
    # Before anything is compared or shown: the run's own imports go on meanwhile, and a fork wants no threads.
    launched = launcher(session.root, session.project).start(order)
    _say_when_files_differ(session, job)
    outcome = run_in_foreground(services, launched)
    if isinstance(outcome, ReconcileError):
        raise outcome
    show_run(outcome)
    return _EXIT.get(outcome.status, ExitCode.ERROR)


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
    print_table(
        ["STREAM", "STATUS", "ROWS", "BYTES", "SECONDS"],
        [
            [str(s.stream), s.status.value, f"{s.rows:,}", f"{s.bytes:,}", f"{s.seconds:.1f}"]
            for s in sorted(run.streams, key=lambda s: s.stream)
        ],
    )
    if run.error:
        click.echo(run.error, err=True)
    click.echo(f"Run {run.id} {run.status.value}: {run.rows:,} rows.")

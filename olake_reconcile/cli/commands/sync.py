"""`sync`: run a job now."""

from __future__ import annotations

import click

from olake_reconcile.cli.options import lock_timeout
from olake_reconcile.cli.output import print_table
from olake_reconcile.cli.session import Session
from olake_reconcile.cli.stopping import stop_on_signals
from olake_reconcile.errors import ExitCode
from olake_reconcile.model.run import Run, RunStatus, Trigger

_EXIT = {RunStatus.COMPLETED: ExitCode.OK, RunStatus.CANCELED: ExitCode.INTERRUPTED}


@click.command()
@click.argument("job")
@lock_timeout
@click.pass_obj
def sync(session: Session, job: str, lock_timeout: float) -> int:
    """Run JOB now, with the settings that were applied, in the foreground.

    \b
    Example:
      olake-reconcile sync daily_orders
    """
    from olake_reconcile.cli.view_progress import ProgressView
    from olake_reconcile.reconcile.runs import sync_job

    _say_when_files_differ(session, job)
    with stop_on_signals() as stop, ProgressView(session.secrets) as view:
        run = sync_job(
            session.services,
            session.project.uid,
            job,
            Trigger.MANUAL,
            view.show,
            stop.is_set,
            lock_timeout=lock_timeout,
        )
    show_run(run)
    return _EXIT.get(run.status, ExitCode.ERROR)


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

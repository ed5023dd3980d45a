"""`maintain`: put a job's tables in order."""

from __future__ import annotations

import click

from olake_reconcile.cli.options import lock_timeout
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, UsageError
from olake_reconcile.model.event import Event, Logged, StreamFailed
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import RunStatus

_EXIT = {RunStatus.COMPLETED: ExitCode.OK, RunStatus.CANCELED: ExitCode.INTERRUPTED}


@click.command()
@click.argument("job")
@click.argument("streams", nargs=-1, metavar="[STREAM]...")
@lock_timeout
@click.pass_obj
def maintain(session: Session, job: str, streams: tuple[str, ...], lock_timeout: float) -> int:
    """Put the tables of JOB (or of the named streams) in order: compact files, expire old snapshots, delete their files.

    No row changes, and a sync may run meanwhile. Snapshots of the last 7 days stay, and the latest 10; files of expired
    ones stay for 24 hours more. Ctrl-C stops it at its next safe point, and run again it goes on.

    \b
    Examples:
      olake-reconcile maintain daily_orders
      olake-reconcile maintain daily_orders public.orders
    """
    from olake_reconcile.cli.commands.sync import show_run
    from olake_reconcile.cli.stopping import stop_on_signals
    from olake_reconcile.reconcile.maintain import maintain_job

    def show(event: Event) -> None:
        if words := _words(event):
            click.echo(session.redact(words), err=True)

    wanted = _streams(session, job, streams)
    with stop_on_signals() as stop:
        run = maintain_job(
            session.services, session.project.uid, job, wanted, show, stop.is_set, lock_timeout=lock_timeout
        )
    show_run(run)
    return _EXIT.get(run.status, ExitCode.ERROR)


def _words(event: Event) -> str:
    match event:
        case Logged():
            return f"{event.stream}: {event.message}"
        case StreamFailed():
            return "\n".join(p for p in (f"{event.stream}: {event.summary}", event.why, event.remedy) if p)
        case _:
            return ""


def _streams(session: Session, job: str, names: tuple[str, ...]) -> list[StreamId]:
    stored = session.services.store.read(job).jobs.get(job)
    found = []
    for name in names:
        try:
            stream = StreamId.parse(name)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if stored is not None and stream not in stored.streams:
            raise UsageError(f"{job} has no stream '{name}'", remedy=f"olake-reconcile state list '{job}/*'")
        found.append(stream)
    return found

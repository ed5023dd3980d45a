"""`reconcile` and `run`: one pass for cron, or the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from olake_reconcile.cli.log import log_notice, told_as_json
from olake_reconcile.cli.session import Session
from olake_reconcile.cli.stopping import signals_counted

if TYPE_CHECKING:
    from olake_reconcile.reconcile.loop import Loop
    from olake_reconcile.reconcile.notice import Notice


@click.command()
@click.pass_obj
def reconcile(session: Session) -> int:
    """Make one pass, for cron: apply changed files, run the jobs that are due, wait for them.

    Changes that clear data wait for `olake-reconcile apply`, unless safety.auto_rebuild or an Approval lets them
    through; that is said once. Exits 1 when a run failed, or when the files have mistakes: then nothing is applied,
    and what is due runs with the settings that were applied last.

    \b
    Example:
      olake-reconcile reconcile
    """
    with _loop(session) as loop:
        return loop.once()


@click.command()
@click.pass_obj
def run(session: Session) -> int:
    """Apply changed files and run due jobs for ever, until SIGINT or SIGTERM.

    Then runs stop at their next safe point, and queued ones stay queued; a second signal ends them at once. Any
    number of loops may run beside each other on one host.

    \b
    Example:
      olake-reconcile run
    """
    if not told_as_json():
        click.echo("Running due jobs; stop with Ctrl-C.", err=True)
    with _loop(session) as loop:
        return loop.run()


@contextmanager
def _loop(session: Session) -> Iterator[Loop]:
    from olake_reconcile.reconcile.loop import Loop
    from olake_reconcile.reconcile.reload import Reloader
    from olake_reconcile.reconcile.scheduler import Scheduler
    from olake_reconcile.wiring import read_workspace, warm_launcher

    services, project = session.services, session.project
    services.store.create()
    launcher = warm_launcher(session.root, project)
    tell = partial(_tell, session)
    with signals_counted() as signals:
        load = partial(read_workspace, session.root, session.secrets, session.environment)
        reloader = Reloader(services, load, tell, project, lambda: signals.count > 0)
        scheduler = Scheduler(services, launcher, lambda: reloader.limits, tell, lambda: reloader.windows)
        try:
            yield Loop(services, scheduler, reloader, tell, lambda: signals.count)
        finally:
            launcher.close()


def _tell(session: Session, notice: Notice) -> None:
    """Print what happened: runs on stdout, all else on stderr. Nobody to read it, or a full disk, is no error."""
    if log_notice(notice):
        return
    text = f"{notice.job}: {notice.message}" if notice.job else notice.message
    with suppress(OSError):
        click.echo(session.secrets.redact(text), err=notice.run is None)

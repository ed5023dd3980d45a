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
    from olake_reconcile.reconcile.metrics import Metrics
    from olake_reconcile.reconcile.notice import Notice, OnNotice


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
@click.option(
    "--metrics-listen",
    metavar="HOST:PORT",
    help="Show figures for Prometheus at /metrics and the health at /healthz (port 0: any; default: metrics.listen).",
)
@click.pass_obj
def run(session: Session, metrics_listen: str | None) -> int:
    """Apply changed files and run due jobs for ever, until SIGINT or SIGTERM.

    Then runs stop at their next safe point, and queued ones stay queued; a second signal ends them at once. Any
    number of loops may run beside each other on one host.

    \b
    Example:
      olake-reconcile run
    """
    if not told_as_json():
        click.echo("Running due jobs; stop with Ctrl-C.", err=True)
    settings = session.project.metrics
    listen = metrics_listen or settings.listen
    if listen is None:
        with _loop(session) as loop:
            return loop.run()
    from olake_reconcile.model.event import Level
    from olake_reconcile.reconcile.metrics import Metrics
    from olake_reconcile.reconcile.metrics_server import serving
    from olake_reconcile.reconcile.notice import Notice
    from olake_reconcile.secrets import resolve_all

    token = None if settings.token is None else str(resolve_all(settings.token, session.secrets))
    metrics = Metrics(session.services, streams=settings.streams)
    with _loop(session, metrics) as loop, serving(metrics, listen, token) as address:
        _tell(session, Notice(Level.INFO, "metrics_listening", f"Metrics: http://{address}/metrics"))
        return loop.run()


@contextmanager
def _loop(session: Session, metrics: Metrics | None = None) -> Iterator[Loop]:
    from olake_reconcile.reconcile.alerts import Alerts
    from olake_reconcile.reconcile.loop import Loop
    from olake_reconcile.reconcile.reload import Reloader
    from olake_reconcile.reconcile.scheduler import Scheduler
    from olake_reconcile.wiring import alert_sender, read_workspace, warm_launcher

    services, project = session.services, session.project
    services.store.create()
    launcher = warm_launcher(session.root, project)
    tell: OnNotice = partial(_tell, session)
    if metrics is not None:
        tell = metrics.counting(tell)
    with signals_counted() as signals:
        load = partial(read_workspace, session.root, session.secrets, session.environment)
        reloader = Reloader(services, load, tell, project, lambda: signals.count > 0)
        scheduler = Scheduler(services, launcher, lambda: reloader.limits, tell, lambda: reloader.windows)
        alerts = Alerts(
            services,
            alert_sender(),
            lambda: reloader.alerts,
            lambda: reloader.trouble,
            tell,
            project.name,
        )
        passed = metrics.passed if metrics is not None else lambda: None
        try:
            yield Loop(services, scheduler, reloader, tell, lambda: signals.count, alerts, passed)
        finally:
            launcher.close()


def _tell(session: Session, notice: Notice) -> None:
    """Print what happened: runs on stdout, all else on stderr. Nobody to read it, or a full disk, is no error."""
    if log_notice(notice):
        return
    text = f"{notice.job}: {notice.message}" if notice.job else notice.message
    with suppress(OSError):
        click.echo(session.secrets.redact(text), err=notice.run is None)

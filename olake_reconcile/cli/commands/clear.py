"""`clear`: erase a job's tables; the next run loads them in full."""

from __future__ import annotations

import shlex

import click

from olake_reconcile.cli.asking import confirm
from olake_reconcile.cli.options import lock_timeout
from olake_reconcile.cli.session import Session
from olake_reconcile.cli.showing import show_step
from olake_reconcile.cli.stopping import stop_on_signals
from olake_reconcile.cli.view_plan import render_plan
from olake_reconcile.errors import Blocked, ExitCode, StalePlan, UsageError
from olake_reconcile.model.names import StreamId
from olake_reconcile.plan.document import plan_hash
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan, Waiting
from olake_reconcile.plan.words import counted


@click.command()
@click.argument("job")
@click.argument("streams", nargs=-1, metavar="[STREAM]...")
@click.option(
    "--auto-approve", is_flag=True, help="Do not ask; protected streams still need their own consent."
)
@click.option(
    "--allow-rebuild", multiple=True, metavar="ADDRESS", help="Clear this protected stream. Repeatable."
)
@click.option(
    "--now", "at_once", is_flag=True, help="Do not wait for the window that the job has for rebuilds."
)
@lock_timeout
@click.pass_obj
def clear(
    session: Session,
    job: str,
    streams: tuple[str, ...],
    auto_approve: bool,
    allow_rebuild: tuple[str, ...],
    at_once: bool,
    lock_timeout: float,
) -> int:
    """Erase the tables of JOB (or of the named streams), as applied; the next run loads them in full.

    It asks first, refuses while a sync runs, and cannot be cancelled once it has begun.

    \b
    Examples:
      olake-reconcile clear daily_orders
      olake-reconcile clear daily_orders public.orders
    """
    from olake_reconcile.reconcile.clear import clear_job, plan_clear
    from olake_reconcile.reconcile.runs import finish_applies

    finish_applies(session.services, job)
    wanted = _streams(session, job, streams)
    options = Options(allow_rebuild=allow_rebuild)
    shown = plan_clear(session.services, session.project, job, wanted, options)
    if not shown.changes:
        click.echo(f"{job}: nothing to clear.")
        return ExitCode.OK
    click.echo(render_plan(shown.model_copy(update={"waiting": ()})))
    if shown.waiting and not at_once:
        raise _closed(shown.waiting[0], streams)
    if not shown.is_blocked and not auto_approve:
        confirm()

    def make() -> Plan:
        made = plan_clear(session.services, session.project, job, wanted, options)
        if plan_hash(made) != plan_hash(shown):
            raise StalePlan("the job was changed since this was shown", remedy="Run the command again.")
        return made

    with stop_on_signals() as stop:
        run = clear_job(session.services, job, make, show_step, stop.is_set, lock_timeout=lock_timeout)
    cleared = counted(len(shown.changes), "stream")
    click.echo(f"Cleared {cleared} of {job}: run {run}. The next sync loads them in full.")
    return ExitCode.OK


def _closed(waiting: Waiting, streams: tuple[str, ...]) -> Blocked:
    opens = f"It opens {waiting.until:%Y-%m-%d %H:%M} UTC." if waiting.until else "None opens within a year."
    return Blocked(
        f"{waiting.job} may not be cleared now: {waiting.reason}",
        why=opens,
        remedy=shlex.join(["olake-reconcile", "clear", waiting.job, *streams, "--now"]),
    )


def _streams(session: Session, job: str, names: tuple[str, ...]) -> list[StreamId]:
    stored = session.services.store.read(job).jobs.get(job)
    known = stored.streams if stored else {}
    found = []
    for name in names:
        try:
            stream = StreamId.parse(name)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if stored is not None and stream not in known:
            raise UsageError(f"{job} has no stream '{name}'", remedy=f"olake-reconcile state list '{job}/*'")
        found.append(stream)
    return found

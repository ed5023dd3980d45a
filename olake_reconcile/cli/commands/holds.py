"""`pause`, `resume` and `cancel`: what an operator does without editing files."""

from __future__ import annotations

from datetime import timedelta

import click

from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, UsageError
from olake_reconcile.model.duration import BadDuration, parse_duration
from olake_reconcile.model.names import Address, select
from olake_reconcile.model.run import RunStatus
from olake_reconcile.model.stored import Hold, Stored


def _seconds(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_duration(value)
    except BadDuration as error:
        raise click.BadParameter(str(error)) from None


def _chosen(stored: Stored, jobs: tuple[str, ...], source: str | None, everything: bool) -> list[str]:
    """Return the stored jobs that the arguments mean; one that matches nothing is an error."""
    if sum((bool(jobs), source is not None, everything)) != 1:
        raise UsageError("name jobs, or a source with --source, or --all", remedy="One of the three.")
    if everything:
        return sorted(stored.jobs)
    if source is not None:
        found = [n for n, j in sorted(stored.jobs.items()) if j.spec.get("source") == source]
        if not found:
            raise UsageError(f"no applied job reads source '{source}'")
        return found
    known = [Address("job", name) for name in sorted(stored.jobs)]
    chosen: list[str] = []
    for pattern in jobs:
        matches = select(pattern, known)
        if not matches:
            raise UsageError(f"'{pattern}' matches no applied job", remedy="See `olake-reconcile status`.")
        chosen += [a.name for a in matches]
    return list(dict.fromkeys(chosen))


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--source", metavar="NAME", help="Every job that reads this source.")
@click.option("--all", "everything", is_flag=True, help="Every job.")
@click.option("--reason", default="", help="Why, for those who look at `status`.")
@click.option(
    "--for", "seconds", callback=_seconds, metavar="DURATION", help="Lift it by itself after, say, 4h."
)
@click.option("--cancel", is_flag=True, help="Stop a running sync too (otherwise it goes on).")
@click.pass_obj
def pause(
    session: Session,
    jobs: tuple[str, ...],
    source: str | None,
    everything: bool,
    reason: str,
    seconds: int | None,
    cancel: bool,
) -> None:
    """Hold jobs: nothing of them starts until `resume`. Files are not edited.

    \b
    Examples:
      olake-reconcile pause daily_orders --reason "index rebuild" --for 4h
      olake-reconcile pause --source shop --cancel
    """
    from olake_reconcile.reconcile.cancel import cancel_job

    services = session.services
    now = services.clock.now()
    until = now + timedelta(seconds=seconds) if seconds is not None else None
    for job in _chosen(services.store.read(), jobs, source, everything):
        services.store.set_hold(job, Hold(who=services.who, why=reason, since=now, until=until))
        ends = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
        click.echo(f"{job}: held{ends}")
        if cancel and (run := cancel_job(services, job)):
            click.echo(f"{job}: run {run.id} {run.status.value}")


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--source", metavar="NAME", help="Every job that reads this source.")
@click.option("--all", "everything", is_flag=True, help="Every job.")
@click.pass_obj
def resume(session: Session, jobs: tuple[str, ...], source: str | None, everything: bool) -> int:
    """Lift holds. A job that its file makes inactive stays so: the line is named.

    \b
    Example:
      olake-reconcile resume daily_orders
    """
    services = session.services
    stored = services.store.read()
    code = ExitCode.OK
    for job in _chosen(stored, jobs, source, everything):
        was_held = stored.jobs[job].held_at(services.clock.now()) is not None
        services.store.set_hold(job, None)
        click.echo(f"{job}: {'resumed' if was_held else 'was not held'}")
        if not stored.jobs[job].active:
            code = ExitCode.BLOCKED
            click.echo(f"{job} is inactive{_where(session, job)}: set `active: true`, then apply.", err=True)
    return code


def _where(session: Session, job: str) -> str:
    desired = session.workspace.desired
    place = desired.origins.place(Address("job", job), "active") if desired else None
    return f" by {place}" if place else ""


@click.command()
@click.argument("job")
@click.pass_obj
def cancel(session: Session, job: str) -> int:
    """Stop JOB's running sync at its next safe point; what it committed stays. Does not pause the job.

    \b
    Example:
      olake-reconcile cancel daily_orders
    """
    from olake_reconcile.reconcile.cancel import cancel_job

    store = session.services.store
    if job not in store.read(job).jobs and not store.runs(job, limit=1):
        raise UsageError(f"no job called '{job}' was ever applied", remedy="See `olake-reconcile status`.")
    run = cancel_job(session.services, job)
    if run is None:
        click.echo(f"{job}: nothing is running.")
    elif run.status is RunStatus.COMPLETED:
        click.echo(f"{job}: run {run.id} had completed before it could be cancelled.")
    else:
        click.echo(f"{job}: run {run.id} {run.status.value}.")
    return ExitCode.OK

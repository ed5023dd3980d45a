"""`apply`: do what the plan says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING

import click

from olake_reconcile.cli.asking import confirm
from olake_reconcile.cli.options import consent, lock_timeout, narrowing, no_refresh, prune
from olake_reconcile.cli.plan_file import load_plan
from olake_reconcile.cli.planning import planned
from olake_reconcile.cli.session import Session
from olake_reconcile.cli.showing import show_step
from olake_reconcile.cli.stopping import stop_on_signals
from olake_reconcile.cli.view_narrowed import narrowed_foot
from olake_reconcile.cli.view_plan import also, render_plan
from olake_reconcile.errors import ExitCode, StalePlan, UsageError
from olake_reconcile.plan.actions import Rebuild, Update
from olake_reconcile.plan.document import plan_hash
from olake_reconcile.plan.options import Narrowing, Options
from olake_reconcile.plan.plan import Plan, summarise, without_blocked

if TYPE_CHECKING:
    from olake_reconcile.reconcile.apply import ApplyOptions


@click.command()
@click.option(
    "--auto-approve", is_flag=True, help="Do not ask; guarded actions still need their own consent."
)
@click.option("--skip-blocked", is_flag=True, help="Leave blocked jobs out, whole; the exit code is still 3.")
@click.option("--no-sync", is_flag=True, help="Leave rebuilt jobs to their schedule.")
@no_refresh
@consent
@narrowing
@prune
@lock_timeout
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def apply(
    session: Session,
    file: Path | None,
    auto_approve: bool,
    skip_blocked: bool,
    no_sync: bool,
    no_refresh: bool,
    allow_rebuild: tuple[str, ...],
    allow_delete: tuple[str, ...],
    allow_policy: tuple[str, ...],
    narrowing: Narrowing,
    replace: tuple[str, ...],
    prune: bool,
    lock_timeout: float,
) -> int:
    """Show the plan, ask, and do it; with FILE, do what that saved plan says, without asking.

    Safe to kill at any moment: run it again and it goes on.

    \b
    Examples:
      olake-reconcile apply
      olake-reconcile apply friday.plan
      olake-reconcile apply --auto-approve --allow-rebuild daily_orders/public.orders
    """
    from olake_reconcile.reconcile.apply import ApplyOptions
    from olake_reconcile.reconcile.runs import finish_applies

    how = ApplyOptions(sync=not no_sync, lock_timeout=lock_timeout)
    if file is not None:
        if allow_rebuild or allow_delete or allow_policy or prune or narrowing or replace:
            raise UsageError(
                "a saved plan holds the consent that it was made with, and what it was narrowed to",
                remedy="Give --allow-…, --target, --exclude, --selector, --replace and --prune to `plan --out`.",
            )
        saved, left_out = _unblocked(
            load_plan(file, session.project.uid, session.environment.name), skip_blocked
        )
        click.echo(render_plan(saved))
        code = _perform(session, saved, lambda: saved, changed(how, resume=plan_hash(saved)))
        return _told(left_out, code)
    for error in finish_applies(session.services).values():
        raise error
    options = Options(
        allow_rebuild=allow_rebuild,
        allow_delete=allow_delete,
        allow_policy=allow_policy,
        prune=prune,
        narrowing=narrowing,
        replace=replace,
    )
    whole, warnings = planned(session, options, connect=not no_refresh)
    session.warn(warnings)
    click.echo(render_plan(whole))
    shown, left_out = _unblocked(whole, skip_blocked)
    if not shown.changes:
        return _told(left_out, ExitCode.OK)
    if not shown.is_blocked and not auto_approve:
        confirm()

    def make() -> Plan:
        made, _ = planned(session, options, connect=not no_refresh)
        made, _ = _unblocked(made, skip_blocked)
        if plan_hash(made) != plan_hash(shown):
            raise StalePlan(
                "what is deployed, or what the files say, changed since the plan was shown",
                why="Nothing was applied.",
                remedy="Run `olake-reconcile apply` again and read the new plan.",
            )
        return made

    return _told(left_out, _perform(session, shown, make, how))


def _unblocked(plan: Plan, skip_blocked: bool) -> tuple[Plan, list[str]]:
    return without_blocked(plan) if skip_blocked else (plan, [])


def _told(left_out: list[str], code: int) -> int:
    if not left_out:
        return code
    click.echo(f"Left out, because something in them is blocked: {', '.join(left_out)}", err=True)
    return ExitCode.BLOCKED


def _perform(session: Session, shown: Plan, make: Callable[[], Plan], how: ApplyOptions) -> int:
    from olake_reconcile.reconcile.apply import apply_plan

    with stop_on_signals() as stop:
        result = apply_plan(session.services, make, show_step, changed(how, stop=stop.is_set))
    session.warn(result.warnings)
    _conclude(shown, sync=how.sync)
    return ExitCode.OK


def _conclude(plan: Plan, *, sync: bool) -> None:
    done = summarise(plan.actions)
    click.echo(
        f"Applied: {done.add} added, {done.change} changed, {done.rebuild} to rebuild, "
        f"{done.remove} removed, {done.destroy} destroyed{also(done, done=True)}."
    )
    paused = {
        a.address.name for a in plan.changes if isinstance(a, Update) and a.after.get("active") is False
    }
    rebuilt = {a.address.name for a in plan.changes if isinstance(a, Rebuild)}
    for job in sorted(rebuilt - paused) if sync else ():
        click.echo(f"{job} is due now: the loop runs it, or: olake-reconcile sync {job}")
    if plan.narrowed:
        click.echo(narrowed_foot(plan.narrowed))

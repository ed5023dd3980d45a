"""`apply`: do what the plan says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from olake_reconcile.plan.given import consent_given
from olake_reconcile.plan.options import Narrowing, Options
from olake_reconcile.plan.plan import Plan, Waiting, summarise, without_blocked
from olake_reconcile.plan.waiting import with_waiting, without_waiting

if TYPE_CHECKING:
    from olake_reconcile.reconcile.apply import ApplyOptions


@click.command()
@click.option(
    "--auto-approve", is_flag=True, help="Do not ask; guarded actions still need their own consent."
)
@click.option("--skip-blocked", is_flag=True, help="Leave blocked jobs out, whole; the exit code is still 3.")
@click.option(
    "--now", "at_once", is_flag=True, help="Do not wait for windows or limits.rebuilds; goes into the record."
)
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
    at_once: bool,
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
        return _apply_saved(session, file, how, skip_blocked=skip_blocked, at_once=at_once)
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
    shown = _ready(whole, skip_blocked=skip_blocked, at_once=at_once)
    if not shown.plan.changes and not shown.plan.is_blocked:
        return shown.told(ExitCode.OK)
    if not shown.plan.is_blocked and not auto_approve:
        confirm()

    def make() -> Plan:
        made, _ = planned(session, options, connect=not no_refresh)
        made = _ready(made, skip_blocked=skip_blocked, at_once=at_once).plan
        if plan_hash(made) != plan_hash(shown.plan):
            raise StalePlan(
                "what is deployed, or what the files say, changed since the plan was shown",
                why="Nothing was applied.",
                remedy="Run `olake-reconcile apply` again and read the new plan.",
            )
        return made

    by = "--auto-approve" if auto_approve else "'yes', typed"
    given = consent_given(shown.plan, options, session.desired.approvals, by)
    how = changed(how, detail=shown.detail(by, given))
    return shown.told(_perform(session, shown.plan, make, how))


def _apply_saved(
    session: Session, file: Path, how: ApplyOptions, *, skip_blocked: bool, at_once: bool
) -> int:
    services = session.services
    loaded = load_plan(file, session.project.uid, session.environment.name)

    def ready() -> _Ready:
        # When the plan was made says nothing about what is open now.
        plan = with_waiting(loaded, services.store.read(), session.project, services.clock.now())
        return _ready(plan, skip_blocked=skip_blocked, at_once=at_once)

    shown = ready()
    click.echo(render_plan(loaded.model_copy(update={"waiting": shown.waiting})))
    if not shown.plan.changes and not shown.plan.is_blocked:
        return shown.told(ExitCode.OK)
    by = f"saved plan {file.name}"
    given = consent_given(shown.plan, Options(), (), by)
    how = changed(how, resume=plan_hash(shown.plan), detail=shown.detail(by, given))
    return shown.told(_perform(session, shown.plan, lambda: shown.plan, how))


@dataclass(frozen=True)
class _Ready:
    """What of a plan is done now, and what is left: because it is blocked, or because it waits."""

    plan: Plan
    blocked: tuple[str, ...]
    waiting: tuple[Waiting, ...]
    overridden: tuple[Waiting, ...]

    def told(self, code: int) -> int:
        """Say what was left out; return the exit code, with `code` for what was done."""
        if self.blocked:
            click.echo(f"Left out, because something in them is blocked: {', '.join(self.blocked)}", err=True)
        if self.waiting:
            names = ", ".join(w.job for w in self.waiting)
            click.echo(f"Left for later, with their stored settings: {names}", err=True)
        if self.blocked or any(w.code == "window" for w in self.waiting):
            return ExitCode.BLOCKED
        return ExitCode.PARTLY_APPLIED if self.waiting else code

    def detail(self, by: str, consent: Sequence[Mapping[str, str]]) -> dict[str, object]:
        """Return what the apply's record says of it."""
        found: dict[str, object] = {"by": by, "consent": list(consent)}
        found |= {"blocked": list(self.blocked)} if self.blocked else {}
        found |= {"waiting": [w.model_dump(mode="json") for w in self.waiting]} if self.waiting else {}
        found |= (
            {"overridden": [f"--now: {w.job}: {w.reason}" for w in self.overridden]}
            if self.overridden
            else {}
        )
        return found


def _ready(plan: Plan, *, skip_blocked: bool, at_once: bool) -> _Ready:
    blocked: list[str] = []
    if skip_blocked:
        plan, blocked = without_blocked(plan)
    waiting = plan.waiting
    if at_once:
        return _Ready(plan.model_copy(update={"waiting": ()}), tuple(blocked), (), waiting)
    # Anything blocked stops the apply, whatever else would wait.
    if not plan.is_blocked:
        plan, _ = without_waiting(plan)
    return _Ready(plan, tuple(blocked), waiting, ())


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

"""`plan`: what an apply would do, and why. Never writes state."""

from __future__ import annotations

import re
from pathlib import Path

import click

from olake_reconcile.cli.basis import basis_of, refuse_new_state
from olake_reconcile.cli.options import consent, narrowing, no_refresh, prune
from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.plan_file import load_document, read_document, save_plan
from olake_reconcile.cli.plan_forms import Form, detailed, forms, mistakes_reported, print_plan
from olake_reconcile.cli.planning import planned
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, UsageError
from olake_reconcile.plan.options import Narrowing, Options

# An apply's id, or the beginning of one: a moment, and what tells it from others.
_APPLY_ID = re.compile(r"\d{8}(-[0-9a-f]*)*\Z")
_MOST_APPLIES = 1000


@click.command()
@forms
@no_refresh
@consent
@narrowing
@prune
@click.option("--all", "show_all", is_flag=True, help="List unchanged resources as well.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes, 3 when one is blocked."
)
@click.option(
    "--out",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the plan, for `show FILE` and `apply FILE`.",
)
@click.option(
    "--base",
    metavar="REF",
    help="Plan against the files at this git revision, as if applied: where the state cannot be reached.",
)
@click.option(
    "--state-from",
    "exported",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Plan against a state that `state export` printed into this file.",
)
@click.option(
    "--new-state", is_flag=True, help="Let a pipeline (CI is set) plan though there is no state yet."
)
@click.pass_obj
def plan(
    session: Session,
    form: Form,
    no_refresh: bool,
    allow_rebuild: tuple[str, ...],
    allow_delete: tuple[str, ...],
    allow_policy: tuple[str, ...],
    narrowing: Narrowing,
    replace: tuple[str, ...],
    prune: bool,
    show_all: bool,
    detailed_exitcode: bool,
    file: Path | None,
    base: str | None,
    exported: Path | None,
    new_state: bool,
) -> int:
    """Show what `apply` would do: what is created, changed, rebuilt or removed, why, and what it costs.

    \b
    Examples:
      olake-reconcile plan
      olake-reconcile plan --json | jq .summary
      olake-reconcile plan --out friday.plan && olake-reconcile apply friday.plan
      olake-reconcile plan --base origin/main --markdown
    """
    options = Options(
        allow_rebuild=allow_rebuild,
        allow_delete=allow_delete,
        allow_policy=allow_policy,
        show_all=show_all,
        prune=prune,
        narrowing=narrowing,
        replace=replace,
    )
    with mistakes_reported(session, form):
        basis = basis_of(session, base, exported)
        made, warnings = planned(session, options, connect=not no_refresh, basis=basis, drift=True)
    session.warn(warnings)
    refuse_new_state(made, allowed=new_state)
    diagnostics = [*session.workspace.diagnostics, *warnings]
    if file is not None:
        save_plan(file, made, diagnostics)
    print_plan(session, made, diagnostics, form)
    return detailed(made) if detailed_exitcode else ExitCode.OK


@click.command()
@click.argument("file", metavar="FILE|APPLY", type=click.Path(path_type=Path, dir_okay=False))
@forms
@click.pass_obj
def show(session: Session, file: Path, form: Form) -> None:
    """Print a saved plan, or an apply: who did it, by whose consent, how it ended, and its plan.

    \b
    Examples:
      olake-reconcile show friday.plan
      olake-reconcile show friday.plan --markdown > comment.md
      olake-reconcile show 20261124-140311-9c0e
    """
    if not file.exists() and _APPLY_ID.match(str(file)):
        _show_apply(session, str(file), form)
        return
    document = load_document(file)
    if form is Form.JSON:
        document.pop("program_version", None)
        print_json(document)
    else:
        print_plan(session, *read_document(document, file), form)


def _show_apply(session: Session, text: str, form: Form) -> None:
    from olake_reconcile.cli.view_applies import apply_document, apply_lines
    from olake_reconcile.plan.document import read_plan

    found = [r for r in session.services.store.applies(limit=_MOST_APPLIES) if r.id.startswith(text)]
    if len(found) != 1:
        what = f"{len(found)} applies begin with" if found else "there is no apply or saved plan"
        raise UsageError(f"{what} '{text}'", remedy="See `olake-reconcile history --applies`.")
    (record,) = found
    if form is Form.JSON:
        print_json(apply_document(record, whole=True))
        return
    if form is Form.TEXT:
        for line in apply_lines(record):
            click.echo(line)
        click.echo()
    print_plan(session, read_plan(record.plan), [], form)

"""`plan`: what an apply would do, and why. Never writes state."""

from __future__ import annotations

from pathlib import Path

import click

from olake_reconcile.cli.options import as_json, consent, no_refresh, prune
from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.plan_file import load_document, save_plan
from olake_reconcile.cli.planning import planned
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode
from olake_reconcile.plan.options import Options


@click.command()
@as_json
@no_refresh
@consent
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
@click.pass_obj
def plan(
    session: Session,
    as_json: bool,
    no_refresh: bool,
    allow_rebuild: tuple[str, ...],
    allow_delete: tuple[str, ...],
    prune: bool,
    show_all: bool,
    detailed_exitcode: bool,
    file: Path | None,
) -> int:
    """Show what `apply` would do: what is created, changed, rebuilt or removed, why, and what it costs.

    \b
    Examples:
      olake-reconcile plan
      olake-reconcile plan --json | jq .summary
      olake-reconcile plan --out friday.plan && olake-reconcile apply friday.plan
    """
    from olake_reconcile.cli.view_plan import render_plan
    from olake_reconcile.plan.document import plan_document

    options = Options(allow_rebuild=allow_rebuild, allow_delete=allow_delete, show_all=show_all, prune=prune)
    made, warnings = planned(session, options, connect=not no_refresh)
    session.warn(warnings)
    diagnostics = [*session.workspace.diagnostics, *warnings]
    if file is not None:
        save_plan(file, made, diagnostics)
    if as_json:
        print_json(plan_document(made, diagnostics))
    else:
        click.echo(render_plan(made))
    if not detailed_exitcode:
        return ExitCode.OK
    if made.is_blocked:
        return ExitCode.BLOCKED
    return ExitCode.CHANGES if made.changes else ExitCode.OK


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@as_json
def show(file: Path, as_json: bool) -> None:
    """Print a saved plan.

    \b
    Example:
      olake-reconcile show friday.plan
    """
    from olake_reconcile.cli.view_plan import render_plan
    from olake_reconcile.plan.document import read_plan

    document = load_document(file)
    if as_json:
        document.pop("program_version", None)
        print_json(document)
    else:
        click.echo(render_plan(read_plan(document)))

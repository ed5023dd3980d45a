"""`diff-plan`: what a new push changed."""

from __future__ import annotations

from pathlib import Path

import click

from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.plan_file import load_document, read_document
from olake_reconcile.cli.plan_forms import Form, forms
from olake_reconcile.errors import ExitCode, UsageError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("diff-plan")
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@forms
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when the plans differ.")
def diff_plan(before: Path, after: Path, form: Form, detailed_exitcode: bool) -> int:
    """Show what differs between two saved plans: new, gone and changed actions, and consent that is newly needed.

    Both may be saved plans or the JSON of plans, of this program's version or another.

    \b
    Examples:
      olake-reconcile diff-plan monday.plan friday.plan
      olake-reconcile diff-plan reviewed.json now.json --detailed-exitcode
    """
    from olake_reconcile.cli.view_comparison import (
        comparison_document,
        render_comparison,
        render_comparison_markdown,
    )
    from olake_reconcile.plan.compare import compare

    old, _ = read_document(load_document(before), before)
    new, _ = read_document(load_document(after), after)
    if (old.project, old.environment) != (new.project, new.environment):
        raise UsageError(
            "the plans are of different projects or environments",
            remedy="Compare two plans of one workspace.",
        )
    found = compare(old, new)
    match form:
        case Form.TEXT:
            click.echo(render_comparison(found))
        case Form.JSON:
            print_json(comparison_document(old, new, found))
        case Form.MARKDOWN:
            click.echo(render_comparison_markdown(new, found), nl=False)
        case Form.GITHUB | Form.GITLAB:
            raise UsageError("a difference is printed as text, --json or --markdown")
    return ExitCode.CHANGES if detailed_exitcode and found.differs else ExitCode.OK

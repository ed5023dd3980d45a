"""`validate` and `schema`: offline, nothing is connected to."""

from __future__ import annotations

import click

from olake_reconcile.cli.options import as_json
from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode


@click.command()
@as_json
@click.pass_obj
def validate(session: Session, as_json: bool) -> int:
    """Check the files, all mistakes in one pass; connects to nothing.

    Streams and columns are checked against the catalogues of the last discovery; what could not be checked
    is said.
    """
    from olake_reconcile.plan.document import diagnostic_document

    workspace = session.workspace
    errors = sum(d.is_error for d in workspace.diagnostics)
    if as_json:
        print_json(
            {"valid": not errors, "diagnostics": [diagnostic_document(d) for d in workspace.diagnostics]}
        )
    else:
        for diagnostic in workspace.diagnostics:
            click.echo(session.secrets.redact(diagnostic.render()), err=True)
        if workspace.desired is not None:
            jobs = workspace.desired.jobs.values()
            streams = sum(len(job.streams) for job in jobs)
            click.echo(f"Valid: {_count(len(jobs), 'job')}, {_count(streams, 'stream')}.")
        else:
            click.echo(f"Invalid: {_count(errors, 'error')}.", err=True)
    return ExitCode.ERROR if errors else ExitCode.OK


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@click.command()
@click.argument("of", type=click.Choice(["workspace", "plan"]), default="workspace")
def schema(of: str) -> None:
    """Print the JSON Schema of the workspace files, for editors, or of `plan --json`, for programs.

    \b
    Examples:
      olake-reconcile schema > .olake/schema.json
      olake-reconcile schema plan
    """
    from olake_reconcile.plan.schema import plan_schema
    from olake_reconcile.spec.schema import workspace_schema

    print_json(plan_schema() if of == "plan" else workspace_schema())

"""`validate` and `schema`: offline, nothing is connected to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.session import Session
from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.errors import ExitCode


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs: as --output json.")
@click.option(
    "--output",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    help="sarif is for code scanning (version 2.1.0).",
)
@click.option("--strict", is_flag=True, help="Warnings are errors, too.")
@click.pass_obj
def validate(session: Session, as_json: bool, output: str, strict: bool) -> int:
    """Check the files, all mistakes in one pass; connects to nothing.

    Streams and columns are checked against the catalogues of the last discovery; what could not be checked
    is said. Warnings name what is allowed and will hurt, and secrets in any file that git would commit;
    `# lint: allow CODE` on the line, or alone on the one above, silences one there.

    \b
    Examples:
      olake-reconcile validate
      olake-reconcile validate --strict
      olake-reconcile validate --output sarif > findings.sarif
    """
    from olake_reconcile.plan.document import diagnostic_document
    from olake_reconcile.spec.editor import refresh_editor_schema

    refresh_editor_schema(session.root)
    diagnostics = _findings(session, strict)
    errors = sum(d.is_error for d in diagnostics)
    if as_json or output == "json":
        print_json({"valid": not errors, "diagnostics": [diagnostic_document(d) for d in diagnostics]})
    elif output == "sarif":
        from olake_reconcile.cli.findings import prefix_in
        from olake_reconcile.cli.view_sarif import sarif

        print_json(sarif(diagnostics, prefix_in(session, "GITHUB_WORKSPACE")))
    else:
        _show(session, diagnostics, errors)
    return ExitCode.ERROR if errors else ExitCode.OK


def _findings(session: Session, strict: bool) -> list[Diagnostic]:
    from olake_reconcile.diagnostics import in_order
    from olake_reconcile.spec.lint_secrets import plaintext_secrets

    found = session.workspace.diagnostics
    found = tuple(in_order([*found, *plaintext_secrets(session.root, found)]))
    if strict:
        found = tuple(
            replace(d, severity=Severity.ERROR) if d.severity is Severity.WARNING else d for d in found
        )
    return [
        replace(d, message=session.secrets.redact(d.message), hint=session.secrets.redact(d.hint))
        for d in found
    ]


def _show(session: Session, diagnostics: Sequence[Diagnostic], errors: int) -> None:
    for diagnostic in diagnostics:
        click.echo(session.secrets.redact(diagnostic.render()), err=True)
    if errors:
        click.echo(f"Invalid: {_count(errors, 'error')}.", err=True)
    elif session.workspace.desired is not None:
        jobs = session.workspace.desired.jobs.values()
        streams = sum(len(job.streams) for job in jobs)
        click.echo(f"Valid: {_count(len(jobs), 'job')}, {_count(streams, 'stream')}.")


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

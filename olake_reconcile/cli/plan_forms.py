"""The forms in which a plan is shown: text, JSON, Markdown, and what the pipelines of GitHub and GitLab understand."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any

import click

from olake_reconcile.cli.output import print_json
from olake_reconcile.cli.session import Session
from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.errors import ExitCode, InvalidWorkspace, UsageError
from olake_reconcile.plan.plan import Plan


class Form(StrEnum):
    """How a plan is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    GITHUB = "github"
    GITLAB = "gitlab"


def forms(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`, `--markdown` and `--output`, as one argument `form`."""

    @functools.wraps(command)
    def formed(*args: Any, as_json: bool, markdown: bool, output: str | None, **given: Any) -> Any:
        chosen = [Form.JSON] * as_json + [Form.MARKDOWN] * markdown + ([Form(output)] if output else [])
        if len(set(chosen)) > 1:
            raise UsageError("a plan is printed in one form: choose one of --json, --markdown and --output")
        return command(*args, form=chosen[0] if chosen else Form.TEXT, **given)

    formed = click.option(
        "--output",
        type=click.Choice([form.value for form in Form]),
        help="github: annotations, step summary and outputs; gitlab: reports in this folder.",
    )(formed)
    formed = click.option(
        "--markdown", is_flag=True, help="Print Markdown, for a comment on a pull request."
    )(formed)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(formed)


def detailed(plan: Plan) -> ExitCode:
    """Return the exit code of `--detailed-exitcode`: the worst of blocked and changes."""
    if plan.is_blocked:
        return ExitCode.BLOCKED
    return ExitCode.CHANGES if plan.changes else ExitCode.OK


def print_plan(session: Session, plan: Plan, diagnostics: Sequence[Diagnostic], form: Form) -> None:
    """Print the plan in its form; those of pipelines write files as well."""
    from olake_reconcile.cli import github, gitlab
    from olake_reconcile.cli.view_markdown import render_markdown
    from olake_reconcile.cli.view_plan import render_plan
    from olake_reconcile.plan.document import plan_document

    match form:
        case Form.TEXT:
            click.echo(render_plan(plan, _now()))
        case Form.JSON:
            print_json(plan_document(plan, diagnostics))
        case Form.MARKDOWN:
            click.echo(render_markdown(plan, diagnostics), nl=False)
        case Form.GITHUB:
            github.report_plan(session, plan, diagnostics, detailed(plan))
        case Form.GITLAB:
            gitlab.report_plan(session, plan, diagnostics)


@contextmanager
def mistakes_reported(session: Session, form: Form) -> Iterator[None]:
    """Point at what is wrong in the files in the words of the pipeline too."""
    from olake_reconcile.cli import github, gitlab

    try:
        yield
    except InvalidWorkspace as error:
        if form is Form.GITHUB:
            github.report_mistakes(session, error.diagnostics)
        elif form is Form.GITLAB:
            gitlab.report_mistakes(session, error.diagnostics)
        raise


def _now() -> datetime | None:
    """Return the local time where somebody reads along; what is kept tells durations only."""
    from olake_reconcile.clock import SystemClock

    return SystemClock().now().astimezone() if sys.stdout.isatty() else None

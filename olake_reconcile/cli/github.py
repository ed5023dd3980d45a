"""What GitHub Actions understands: annotations, the step's summary, its outputs.

Every line on stdout may be a command to the runner, so that the plan itself is printed between `stop-commands` and a
token that nobody can guess; values of outputs stand between delimiters that nobody can guess either.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from olake_reconcile.cli.findings import Finding, Weight, findings, mistakes, prefix_in
from olake_reconcile.cli.session import Session
from olake_reconcile.cli.view_markdown import render_markdown
from olake_reconcile.cli.view_plan import render_plan, totals_words
from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.errors import ExitCode
from olake_reconcile.plan.document import plan_hash
from olake_reconcile.plan.plan import Plan

# The runner shows so many of each level per step, and says nothing of the others.
_PER_LEVEL = 10
_LONGEST = 4000  # characters of a message; the runner takes 64 kB
_SUMMARY = 1024 * 1024  # bytes; a longer one is dropped whole
_LEVELS = {
    Weight.BLOCKED: "error",
    Weight.MISTAKE: "error",
    Weight.DESTRUCTIVE: "warning",
    Weight.WARNING: "warning",
}


def report_plan(session: Session, plan: Plan, diagnostics: Sequence[Diagnostic], code: ExitCode) -> None:
    """Print the plan and its annotations; write summary and outputs where the runner wants them.

    `code` is the exit code of `plan --detailed-exitcode`.
    """
    _print_safely(click.unstyle(render_plan(plan)))
    for line in commands(findings(plan, diagnostics), prefix_in(session, "GITHUB_WORKSPACE")):
        click.echo(line)
    if plan.changes:
        click.echo(f"::notice title=olake-reconcile::{_message(totals_words(plan))}")
    _summarise(plan, diagnostics)
    _output(
        {
            "exitcode": str(int(code)),
            "has_changes": _word(bool(plan.changes)),
            "destructive": _word(bool(plan.clears)),
            "blocked": _word(plan.is_blocked),
            "plan_hash": plan_hash(plan),
            "summary": totals_words(plan),
        }
    )


def report_mistakes(session: Session, diagnostics: Sequence[Diagnostic]) -> None:
    """Print an annotation for what is wrong in the files."""
    found = sorted(mistakes(diagnostics), key=lambda finding: finding.weight)
    for line in commands(found, prefix_in(session, "GITHUB_WORKSPACE")):
        click.echo(line)


def commands(found: Sequence[Finding], prefix: str = "") -> list[str]:
    """Return a command per finding, the most important of each level; the last one counts those that do not fit."""
    lines = []
    for level in ("error", "warning"):
        own = [f for f in found if _LEVELS[f.weight] == level]
        shown = own if len(own) <= _PER_LEVEL else own[: _PER_LEVEL - 1]
        lines += [_annotation(level, finding, prefix) for finding in shown]
        if left := len(own) - len(shown):
            text = f"{left:,} more of this kind: the summary of this step has them"
            lines.append(f"::{level} title=olake-reconcile::{_message(text)}")
    return lines


def _annotation(level: str, finding: Finding, prefix: str) -> str:
    properties = {}
    if finding.place:
        properties["file"] = prefix + finding.place.file
        properties["line"] = str(finding.place.line)
        properties["col"] = str(finding.place.column)
    properties["title"] = finding.title
    shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{level} {shown}::{_message(finding.message)}"


def _message(text: str) -> str:
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _print_safely(text: str) -> None:
    token = secrets.token_hex(16)
    click.echo(f"::stop-commands::{token}\n{text}\n::{token}::")


def _summarise(plan: Plan, diagnostics: Sequence[Diagnostic]) -> None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    there = Path(path).stat().st_size if Path(path).exists() else 0
    # A character may be four bytes.
    room = (_SUMMARY - there) // 4 - 100
    if room < 4000:
        click.echo("The summary of this step is full: the plan is not in it.", err=True)
        return
    _append(path, render_markdown(plan, diagnostics, limit=room))


def _output(values: Mapping[str, str]) -> None:
    path = os.environ.get("GITHUB_OUTPUT")
    if not path:
        return
    for name, value in values.items():
        delimiter = f"end_{secrets.token_hex(16)}"
        _append(path, f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def _append(path: str, text: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(text)


def _word(value: bool) -> str:
    return "true" if value else "false"

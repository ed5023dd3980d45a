"""What GitLab understands: a Code Quality report, a Terraform report's counts, Markdown for the merge request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from olake_reconcile.cli.findings import Finding, Weight, findings, mistakes, prefix_in
from olake_reconcile.cli.session import Session
from olake_reconcile.cli.view_markdown import render_markdown
from olake_reconcile.cli.view_plan import render_plan
from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.errors import ReconcileError
from olake_reconcile.plan.plan import Plan, summarise

CODE_QUALITY = "gl-code-quality-report.json"
COUNTS = "gl-plan-report.json"
MARKDOWN = "gl-plan.md"

_SEVERITIES = {
    Weight.BLOCKED: "blocker",
    Weight.MISTAKE: "critical",
    Weight.DESTRUCTIVE: "major",
    Weight.WARNING: "minor",
}


def report_plan(session: Session, plan: Plan, diagnostics: Sequence[Diagnostic]) -> None:
    """Print the plan, and write the three reports into the current folder."""
    click.echo(render_plan(plan))
    prefix = prefix_in(session, "CI_PROJECT_DIR")
    _write(CODE_QUALITY, _json(code_quality(findings(plan, diagnostics), prefix)))
    _write(COUNTS, _json(counts(plan)))
    _write(MARKDOWN, render_markdown(plan, diagnostics).encode())


def report_mistakes(session: Session, diagnostics: Sequence[Diagnostic]) -> None:
    """Write the Code Quality report of files that are no workspace."""
    found = list(mistakes(diagnostics))
    _write(CODE_QUALITY, _json(code_quality(found, prefix_in(session, "CI_PROJECT_DIR"))))


def code_quality(found: Sequence[Finding], prefix: str = "") -> list[dict[str, Any]]:
    """Return the Code Quality report: each finding once, on its line."""
    report = {
        finding.id: {
            "description": f"{finding.title}: {finding.message}",
            "check_name": finding.check,
            "fingerprint": finding.id,
            "severity": _SEVERITIES[finding.weight],
            "location": {
                # A finding needs a place to be shown: without one it stands at the top of the workspace.
                "path": prefix + (finding.place.file if finding.place else "olake.yaml"),
                "lines": {"begin": finding.place.line if finding.place else 1},
            },
        }
        for finding in found
    }
    return list(report.values())


def counts(plan: Plan) -> dict[str, int]:
    """Return the counts of the merge request's widget, where a rebuild is a deletion and a creation."""
    s = summarise(plan.actions)
    return {
        "create": s.add + s.rebuild + s.import_,
        "update": s.change + s.move,
        "delete": s.remove + s.destroy + s.rebuild + s.forget,
    }


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _write(name: str, content: bytes) -> None:
    try:
        Path(name).write_bytes(content)
    except OSError as error:
        raise ReconcileError(f"the report {name} cannot be written here: {error.strerror}") from None

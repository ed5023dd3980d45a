"""Saved plans: what `plan --out` writes, `show` prints and `apply FILE` does. They hold references, never secrets."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from olake_reconcile import __version__
from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.errors import ReconcileError, StalePlan
from olake_reconcile.plan.document import plan_document, read_diagnostics, read_plan
from olake_reconcile.plan.plan import Plan

_LARGEST = 256 * 1024 * 1024


def save_plan(path: Path, plan: Plan, diagnostics: Sequence[Diagnostic]) -> None:
    """Write the plan. Raises `ReconcileError` when the file cannot be written."""
    document = {"program_version": __version__, **plan_document(plan, diagnostics)}
    try:
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise ReconcileError(f"the plan cannot be written to {path}: {error.strerror}") from None


def load_document(path: Path) -> dict[str, Any]:
    """Return a saved plan's document. Raises `ReconcileError` when the file is none."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ReconcileError(f"{path} is no saved plan: it is too large")
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ReconcileError(f"the plan cannot be read from {path}: {error.strerror}") from None
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or "plan_hash" not in document:
        raise ReconcileError(
            f"{path} is no saved plan", remedy="Make one with `olake-reconcile plan --out FILE`."
        )
    return document


def read_document(document: dict[str, Any], path: Path) -> tuple[Plan, list[Diagnostic]]:
    """Return the plan that a document holds, for showing, and its findings. Raises `StalePlan`."""
    try:
        return read_plan(document), read_diagnostics(document)
    except (KeyError, ValueError, TypeError, AttributeError, ValidationError):
        raise StalePlan(f"{path} is damaged", remedy="Make the plan again.") from None


def load_plan(path: Path, project: str, environment: str) -> Plan:
    """Return a saved plan of this project and environment. Raises `StalePlan` for another program's, project's or environment's."""
    document = load_document(path)
    version = document.get("program_version")
    if version != __version__:
        raise StalePlan(
            f"the plan was made by version {version}, this is {__version__}",
            why="Another version may mean something else by it. Nothing was applied.",
            remedy="Make the plan again with this program.",
        )
    plan, _ = read_document(document, path)
    if plan.against == "revision":
        raise StalePlan(
            f"the plan was made against the files at {plan.revision[:12]}, not against a state",
            why="It shows what a change means, and knows nothing of what really runs. Nothing was applied.",
            remedy="Plan where the state can be reached: olake-reconcile plan --out FILE",
        )
    if plan.project != project:
        raise StalePlan(
            f"the plan is of project {plan.project}, this workspace is {project}",
            why="Nothing was applied.",
            remedy="Apply it in the workspace that it was made from.",
        )
    if plan.environment != environment:
        raise StalePlan(
            f"the plan was made for environment {plan.environment}, and this is {environment}",
            why="Another environment has other settings and another state. Nothing was applied.",
            remedy=f"Run: olake-reconcile apply --env {plan.environment} {shlex.quote(str(path))}",
        )
    return plan

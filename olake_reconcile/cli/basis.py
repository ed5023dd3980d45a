"""What a plan starts from when the state cannot be reached: a git revision of the files, or an exported state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import orjson

from olake_reconcile.cli.session import Session
from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.errors import InvalidWorkspace, ReconcileError, UsageError
from olake_reconcile.model.stored import Stored

if TYPE_CHECKING:
    from olake_reconcile.plan.plan import Plan

_LARGEST = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Basis:
    """A state that is none of the store's, and what has to be said about it."""

    kind: Literal["export", "revision"]
    stored: Stored
    notes: tuple[Diagnostic, ...]
    revision: str = ""


def basis_of(session: Session, base: str | None, exported: Path | None) -> Basis | None:
    """Return what the options name, None for the state itself. Raises `UsageError` for both at once."""
    if base is not None and exported is not None:
        raise UsageError("a plan starts from --base or from --state-from, not from both")
    if base is not None:
        return _revision(session, base)
    return _export(exported) if exported is not None else None


def refuse_new_state(plan: Plan, *, allowed: bool) -> None:
    """Raise `ReconcileError` where a pipeline plans as if nothing were deployed and nobody said that this is so."""
    if plan.new_state and plan.against == "state" and not allowed and in_ci():
        raise ReconcileError(
            "NEW STATE: nothing is known to be deployed, and this is a pipeline (CI is set)",
            why="A pipeline that cannot see the state would plan everything as new, whatever really runs.",
            remedy="Point `state` in olake.yaml at a state that the pipeline can reach, or plan against the base\n"
            "of the change: olake-reconcile plan --base HEAD^1\n"
            "If there really is none yet: olake-reconcile plan --new-state",
        )


def in_ci() -> bool:
    """Whether this is a pipeline: both GitHub and GitLab, and nearly all others, set CI."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _revision(session: Session, ref: str) -> Basis:
    from olake_reconcile.plan.base import as_if_applied
    from olake_reconcile.wiring import read_offline, workspace_at

    with workspace_at(session.root, ref) as revision:
        if revision.root is None:
            note = _note(
                "no-base", f"{ref} ({revision.commit[:12]}) has no workspace here: everything is new"
            )
            return Basis("revision", Stored(), (note,), revision.commit)
        found = read_offline(revision.root, session.secrets, session.environment)
        if found.desired is None:
            raise _invalid(ref, found.diagnostics)
    note = _note(
        "base-revision",
        f"planned against the files at {ref} ({revision.commit[:12]}) as if they had been applied: streams count as "
        "synced; what runs, who the servers are and the values behind references are unknown",
    )
    return Basis("revision", as_if_applied(found.desired), (note,), revision.commit)


def _invalid(ref: str, diagnostics: tuple[Diagnostic, ...]) -> ReconcileError:
    error = InvalidWorkspace([d for d in diagnostics if d.is_error])
    error.summary = f"the workspace at {ref} has mistakes, so nothing can be planned against it"
    error.remedy = (
        "Choose a revision whose files are valid, or plan against an exported state: --state-from FILE"
    )
    return error


def _export(path: Path) -> Basis:
    from olake_reconcile.wiring import read_export

    try:
        if path.stat().st_size > _LARGEST:
            raise ReconcileError(f"{path} is no exported state: it is too large")
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ReconcileError(f"the exported state cannot be read from {path}: {error.strerror}") from None
    except orjson.JSONDecodeError:
        document = None
    note = _note(
        "exported-state",
        "planned against an exported state: secrets are not compared, and what was applied since is not in it",
    )
    return Basis("export", read_export(document), (note,))


def _note(code: str, text: str) -> Diagnostic:
    return Diagnostic(Severity.NOTE, code, text)

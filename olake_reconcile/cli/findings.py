"""What a pipeline should point at in a plan: the lines that block, destroy or are wrong, the most important first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from olake_reconcile.cli.output import printable
from olake_reconcile.cli.session import Session
from olake_reconcile.cli.view_impact import impact_lines
from olake_reconcile.diagnostics import Diagnostic, Place, Severity
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.plan.actions import Rebuild, Remove, is_clear
from olake_reconcile.plan.plan import Plan


class Weight(IntEnum):
    """How much a finding matters."""

    BLOCKED = 0
    MISTAKE = 1
    DESTRUCTIVE = 2
    WARNING = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to point at. `check` is a stable word; `place` is relative to the workspace."""

    weight: Weight
    check: str
    title: str
    message: str
    place: Place | None

    @property
    def id(self) -> str:
        """The same for the same finding of a later plan, so that a pipeline knows it again."""
        return fingerprint([self.check, self.title, self.place.file if self.place else ""])


def findings(plan: Plan, diagnostics: Sequence[Diagnostic]) -> list[Finding]:
    """Return everything to point at, the most important first, the largest losses before smaller ones."""
    return sorted(
        [*_blocked(plan), *_cleared(plan), *mistakes(diagnostics)], key=lambda finding: finding.weight
    )


def _blocked(plan: Plan) -> Iterator[Finding]:
    for block in plan.blocked:
        text = _text([block.message, block.remedy])
        yield Finding(Weight.BLOCKED, block.code, "the plan is blocked", text, None)
    for action in plan.actions:
        for block in action.blocked:
            lines = [block.message, block.remedy]
            lines += [f"or commit: {block.approval}"] if block.approval else []
            yield Finding(
                Weight.BLOCKED,
                block.code,
                printable(f"{action.address.short} is blocked"),
                _text(lines),
                action.place,
            )


def _cleared(plan: Plan) -> Iterator[Finding]:
    clears = [a for a in plan.clears if isinstance(a, Rebuild | Remove) and is_clear(a)]
    for action in sorted(clears, key=lambda a: (-(a.impact.rows or 0), a.address)):
        why = ", ".join(dict.fromkeys(r.words for r in action.reasons))
        place = next((c.place for c in action.changes if c.forces and c.place), None) or action.place
        verb = "erased" if isinstance(action, Remove) else "cleared and rebuilt"
        yield Finding(
            Weight.DESTRUCTIVE,
            "table-cleared",
            printable(f"{action.address.short} will be {verb}"),
            _text([why, *impact_lines(action)]),
            place,
        )


def mistakes(diagnostics: Sequence[Diagnostic]) -> Iterator[Finding]:
    """Yield the errors and warnings; notes are not pointed at."""
    for found in diagnostics:
        if found.severity is Severity.NOTE:
            continue
        weight = Weight.MISTAKE if found.is_error else Weight.WARNING
        hint = f" ({found.hint})" if found.hint else ""
        yield Finding(weight, found.code, found.code, _text([f"{found.message}{hint}"]), found.place)


def _text(lines: Sequence[str]) -> str:
    return "\n".join(printable(line) for line in lines if line)


def prefix_in(session: Session, variable: str) -> str:
    """Return where the workspace is below the checkout that `variable` names: `lake/`, or nothing at its top."""
    top = os.environ.get(variable)
    if not top:
        return ""
    try:
        below = session.root.relative_to(Path(top).resolve()).as_posix()
    except (ReconcileError, ValueError):  # a plan may be shown anywhere
        return ""
    return "" if below == "." else f"{below}/"

"""What is said of a narrowed plan: that it is one, first and last, with what came along and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from olake_reconcile.cli.output import printable
from olake_reconcile.plan.narrow import Narrowed
from olake_reconcile.plan.words import counted

NOTHING_SELECTED = "Nothing selected has changes."
_SHOWN = 5


def narrowed_banner(narrowed: Narrowed) -> str:
    """Return what stands before everything else."""
    lines = [f"NARROWED PLAN: {_asked(narrowed)}. Nothing else will be touched."]
    if narrowed.pulled_in:
        lines.append(f"Comes along, because what is selected needs it: {_some(narrowed.pulled_in)}.")
    return "\n".join(lines)


def narrowed_foot(narrowed: Narrowed) -> str:
    """Return what stands last."""
    left = narrowed.left_out
    if not left:
        return f"This plan was narrowed ({_asked(narrowed)}); nothing that it leaves out has changes."
    return (
        f"This plan was narrowed ({_asked(narrowed)}): {counted(len(left), 'other change')} left out "
        f"({_some(left)}). Run `olake-reconcile plan` for all."
    )


def _asked(narrowed: Narrowed) -> str:
    return printable(" ".join(narrowed.flags))


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return printable(", ".join(names[:_SHOWN])) + more

"""Consent (design §5): what is guarded, and what is blocked until somebody says so."""

from __future__ import annotations

from collections.abc import Sequence

from olake_reconcile.model.project import Safety
from olake_reconcile.plan.actions import Action, Block, Consent, Rebuild, Remove
from olake_reconcile.plan.context import Context

FEWEST_STREAMS = 10  # percentages of fewer mean nothing


def with_consent(context: Context, actions: Sequence[Action]) -> list[Action]:
    """Return the actions with thresholds counted, and a block on each guarded one that nobody allowed."""
    safety = context.desired.project.safety
    total = sum(len(job.streams) for job in context.stored.jobs.values())
    rebuilds = sum(isinstance(a, Rebuild) for a in actions)
    deletes = sum(isinstance(a, Remove) and a.address.kind == "stream" for a in actions)
    return [
        _guard(context, action, _over(action, safety, total=total, rebuilds=rebuilds, deletes=deletes))
        for action in actions
    ]


def _over(action: Action, safety: Safety, *, total: int, rebuilds: int, deletes: int) -> str:
    """Return why the action is over a threshold, or an empty text."""
    match action:
        case Rebuild():
            count, limit, name, verb = (
                rebuilds,
                safety.max_rebuilds_percent,
                "max_rebuilds_percent",
                "rebuild",
            )
        case Remove() if action.address.kind == "stream":
            count, limit, name, verb = deletes, safety.max_deletes_percent, "max_deletes_percent", "remove"
        case _:
            return ""
    if total < FEWEST_STREAMS or count * 100 <= limit * total:
        return ""
    return (
        f"this plan would {verb} {count} of {total} streams, more than safety.{name} ({limit} %) lets through"
    )


def _guard(context: Context, action: Action, over: str) -> Action:
    consent = Consent.GUARDED if over else action.consent
    if consent is not Consent.GUARDED or not isinstance(action, Rebuild | Remove):
        return action.model_copy(update={"consent": consent})
    if isinstance(action, Rebuild):
        allowed, flag = context.options.allows_rebuild(action.address), "--allow-rebuild"
    else:
        allowed, flag = context.options.allows_delete(action.address), "--allow-delete"
    if allowed:
        return action.model_copy(update={"consent": consent})
    block = Block(
        code="needs-consent",
        message=over or _why_guarded(action),
        remedy=f"olake-reconcile apply {flag} '{action.address.short}'",
    )
    return action.model_copy(update={"consent": consent, "blocked": (*action.blocked, block)})


def _why_guarded(action: Rebuild | Remove) -> str:
    kind = "rebuild" if isinstance(action, Rebuild) else "delete"
    after = action.after if isinstance(action, Rebuild) else {}
    protected = any(bool(spec.get("protect", {}).get(kind)) for spec in (action.before, after))
    if protected:
        return f"{action.address.short} is protected against this (protect.{kind})"
    return (
        f"{action.address.short} is affected by another server taking the place of the one it was loaded from"
    )

"""Consent (design §5): what is guarded, and what is blocked until somebody says so."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from olake_reconcile.model.project import Safety
from olake_reconcile.plan.actions import Action, Block, Consent, Rebuild, Remove
from olake_reconcile.plan.context import Context
from olake_reconcile.plan.effects import Reason

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
    rebuild = isinstance(action, Rebuild)
    options = context.options
    if options.allows_rebuild(action.address) if rebuild else options.allows_delete(action.address):
        return action.model_copy(update={"consent": consent})
    block = Block(
        code="needs-consent",
        message=over or _why_guarded(action),
        remedy=f"olake-reconcile apply {_flag(action)}",
    )
    return action.model_copy(update={"consent": consent, "blocked": (*action.blocked, block)})


def _flag(action: Rebuild | Remove) -> str:
    name = "--allow-rebuild" if isinstance(action, Rebuild) else "--allow-delete"
    return f"{name} {shlex.quote(action.address.short)}"


def line_to_paste(actions: Sequence[Action]) -> str:
    """Return the command that gives all the consent that `actions` need; empty when consent is not enough."""
    blocks = [block for action in actions for block in action.blocked]
    if not blocks or any(block.code != "needs-consent" for block in blocks):
        return ""
    guarded = [a for a in actions if a.consent is Consent.GUARDED and isinstance(a, Rebuild | Remove)]
    return " ".join(["olake-reconcile apply", *map(_flag, guarded)])


def _why_guarded(action: Rebuild | Remove) -> str:
    name = action.address.short
    kind, what = ("rebuild", "rebuilds") if isinstance(action, Rebuild) else ("delete", "removal")
    after = action.after if isinstance(action, Rebuild) else {}
    if any(bool(spec.get("protect", {}).get(kind)) for spec in (action.before, after)):
        return f"{name} is protected against {what} (protect.{kind})"
    if Reason.DESTINATION_IDENTITY in action.reasons:
        return f"the destination of {name} is another catalog or warehouse than the one that holds its table"
    return f"the source of {name} is another server or database than the one that its table was loaded from"

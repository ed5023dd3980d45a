"""Which consent an apply was given, and by what: for its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from olake_reconcile.model.desired import Approval
from olake_reconcile.model.names import Address
from olake_reconcile.plan.actions import Action, Consent, Rebuild, Remove
from olake_reconcile.plan.consent import approves
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan


def consent_given(
    plan: Plan, options: Options, approvals: Sequence[Approval], by: str
) -> list[Mapping[str, str]]:
    """Return what each action that needs consent got it from; `by` is how the whole plan was agreed to."""
    return [
        {"address": a.address.short, "class": a.consent.value, "by": _by(a, options, approvals) or by}
        for a in plan.changes
        if a.consent is not Consent.SAFE
    ]


def _by(action: Action, options: Options, approvals: Sequence[Approval]) -> str:
    if action.consent is not Consent.GUARDED:
        return ""
    found = []
    if isinstance(action, Rebuild | Remove):
        found += [_place(a) for a in approvals if approves([a], action)]
        rebuild = isinstance(action, Rebuild)
        patterns = options.allow_rebuild if rebuild else options.allow_delete
        if options.allows_rebuild(action.address) if rebuild else options.allows_delete(action.address):
            found.append(f"--allow-{'rebuild' if rebuild else 'delete'} {_which(patterns, action.address)}")
    found += [f"--allow-policy {name}" for name in options.allow_policy]
    return ", ".join(found)


def _place(approval: Approval) -> str:
    return f"approval {approval.place}" if approval.place else "approval"


def _which(patterns: Sequence[str], address: Address) -> str:
    return next(p for p in patterns if Options(allow_rebuild=(p,)).allows_rebuild(address))

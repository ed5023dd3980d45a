"""What may be done while nobody looks (design §5): safe changes; destructive ones only where somebody agreed beforehand."""

from __future__ import annotations

from collections.abc import Callable

from olake_reconcile.model.desired import Approval
from olake_reconcile.model.names import Address
from olake_reconcile.plan.actions import Action, Block, Consent, Rebuild, Remove
from olake_reconcile.plan.consent import approval_for, approves
from olake_reconcile.plan.effects import Reason
from olake_reconcile.plan.plan import Plan, without_blocked
from olake_reconcile.plan.waiting import without_waiting


def unattended(
    plan: Plan,
    approvals: tuple[Approval, ...],
    *,
    auto_rebuild: bool,
    heal: Callable[[Address], bool] = lambda _: False,
) -> tuple[Plan, list[Action]]:
    """Return what of the plan the loop may apply, and the actions that wait for somebody.

    Jobs are taken or left whole: one of which a part waits goes on as it is stored. Guarded actions are blocked in the
    plan already unless they were approved; `auto_rebuild` is the project's consent to the destructive ones, `heal` tells where it agreed to
    rebuild what needs_resync, and nothing else.
    """
    marked = [
        a if auto_rebuild or (heals_by_rebuild(a) and heal(a.address)) else _with_consent(a, approvals)
        for a in plan.actions
    ]
    waiting = [a for a in marked if a.blocked]
    allowed, _ = without_blocked(plan.model_copy(update={"actions": tuple(marked)}))
    # What waits for a window or its turn needs nobody: a later pass finds it open.
    allowed, _ = without_waiting(allowed)
    return allowed, waiting


def heals_by_rebuild(action: Action) -> bool:
    """Whether it is a rebuild for no other reason than that the stream cannot go on."""
    return isinstance(action, Rebuild) and set(action.reasons) == {Reason.NEEDS_RESYNC}


def _with_consent(action: Action, approvals: tuple[Approval, ...]) -> Action:
    if action.consent is not Consent.DESTRUCTIVE or action.blocked:
        return action
    if isinstance(action, Rebuild | Remove) and approves(approvals, action):
        return action
    block = Block(
        code="needs-consent",
        message=f"{action.address.short} loses data, and nobody has agreed to that yet",
        remedy="olake-reconcile apply",
        approval=approval_for(action) if isinstance(action, Rebuild | Remove) else "",
    )
    return action.model_copy(update={"blocked": (block,)})

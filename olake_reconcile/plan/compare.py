"""What differs between two plans: what a new push to a pull request changed (design §5).

Where tables are in files, what they cost and notes do not count: only what would be done, why, and who has to agree.
"""

from __future__ import annotations

from typing import Any

from olake_reconcile.model.base import Model
from olake_reconcile.plan.actions import Action, Block, Consent, SettingChange, is_clear
from olake_reconcile.plan.plan import Plan

_NOT_COMPARED = frozenset({"impact", "place", "notes", "serial", "changes", "unchanged", "blocked"})


class Pair(Model):
    """One resource whose action is another one now. `settings` are those that the new plan changes differently."""

    before: Action
    after: Action
    settings: tuple[SettingChange, ...] = ()


class Comparison(Model):
    """Two plans side by side. `new_clears` and `new_blocks` need somebody to agree who has not been asked before."""

    new: tuple[Action, ...] = ()
    gone: tuple[Action, ...] = ()
    changed: tuple[Pair, ...] = ()
    same: int = 0
    new_clears: tuple[Action, ...] = ()
    new_blocks: tuple[Action, ...] = ()
    new_reasons: tuple[Block, ...] = ()  # what blocks the plan as a whole, and did not before
    # Planned the same, from another state: something was applied in between.
    moved: tuple[Action, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything else would be done, or by somebody else's leave."""
        return bool(self.new or self.gone or self.changed or self.moved or self.new_reasons)


def compare(before: Plan, after: Plan) -> Comparison:
    """Return what `after` does that `before` did not, and the other way round; resources in the order of `after`."""
    old = {a.address: a for a in before.changes}
    new = {a.address: a for a in after.changes}
    both = [(old[address], action) for address, action in new.items() if address in old]
    changed = [(a, b) for a, b in both if _meaning(a) != _meaning(b)]
    return Comparison(
        new=tuple(a for address, a in new.items() if address not in old),
        gone=tuple(a for address, a in old.items() if address not in new),
        changed=tuple(Pair(before=a, after=b, settings=_settings(a, b)) for a, b in changed),
        same=len(both) - len(changed),
        new_clears=tuple(a for a in after.clears if not _clears(old.get(a.address))),
        new_blocks=tuple(a for a in after.changes if _new_blocks(old.get(a.address), a)),
        new_reasons=tuple(b for b in after.blocked if b.message not in {x.message for x in before.blocked}),
        moved=tuple(b for a, b in both if a.serial != b.serial and _meaning(a) == _meaning(b)),
    )


def _meaning(action: Action) -> dict[str, Any]:
    meaning = {k: v for k, v in action.model_dump(mode="json").items() if k not in _NOT_COMPARED}
    return meaning | {
        "changes": [(c.setting, c.before, c.after, c.forces) for c in action.changes],
        "blocked": [(b.code, b.approval) for b in action.blocked],
    }


def _settings(before: Action, after: Action) -> tuple[SettingChange, ...]:
    known = {(c.setting, repr(c.after)) for c in before.changes}
    return tuple(c for c in after.changes if (c.setting, repr(c.after)) not in known)


def _clears(action: Action | None) -> bool:
    return action is not None and is_clear(action)


def _new_blocks(before: Action | None, after: Action) -> bool:
    """An approval names one transition: consent to another one of the same stream is none."""
    known = {(b.code, b.approval) for b in before.blocked} if before else set()
    was_guarded = before is not None and before.consent is Consent.GUARDED
    return any((b.code, b.approval) not in known for b in after.blocked) or (
        after.consent is Consent.GUARDED and not was_guarded
    )

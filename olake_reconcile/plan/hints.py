"""Hints: something new beside something gone that looks like it may be one thing under another name.

A hint is a note with the `Moved` document to paste. It changes nothing, and a wrong one costs a glance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.plan.actions import Action, Create, Remove
from olake_reconcile.plan.context import Context
from olake_reconcile.plan.leaving import removal_of
from olake_reconcile.plan.words import written

# How like two names of streams must be; `orders` and `sales_orders` are 0.67.
_ALIKE = 0.5
_PLACE = ("destination_database", "destination_table")


def with_hints(context: Context, actions: Sequence[Action]) -> list[Action]:
    """Return the actions, with a note on each creation that looks like a rename."""
    gone = [a for a in actions if isinstance(a, Remove) and a.place is None]
    if not gone and context.stored.jobs.keys() <= context.desired.jobs.keys():
        return list(actions)
    new = [a for a in actions if isinstance(a, Create)]
    found = {a.address: _before(context, a, new, gone) for a in new}
    return [_with_hint(a, found[a.address]) if isinstance(a, Create) else a for a in actions]


def _with_hint(action: Create, before: Address | None) -> Action:
    if before is None:
        return action
    old, new = (written(a.short) for a in (before, action.address))
    keeps = "its tables, positions and history" if before.kind in ("job", "stream") else "what it was"
    note = (
        f"looks like {before.short} under another name: to keep {keeps}, "
        f"commit {{kind: Moved, from: {old}, to: {new}}}"
    )
    return action.model_copy(update={"notes": (*action.notes, note)})


def _before(
    context: Context, action: Create, new: Sequence[Create], gone: Sequence[Remove]
) -> Address | None:
    """Return what the created resource probably was; None when nothing fits, or several do."""
    address = action.address
    match address.kind:
        case "job":
            return _only(_jobs_like(context, address.name))
        case "stream":
            rivals = [a for a in new if a.address.name == address.name and a.address.kind == "stream"]
            fits = [a for a in gone if a.address.name == address.name and a.address.kind == "stream"]
            likes = [a.address for a in fits if _is_like(a, action)]
            # Two new streams that fit one old one: nobody can say which it is.
            if len(likes) != 1 or sum(_is_like(a, r) for a in fits for r in rivals) != 1:
                return None
            return likes[0]
        case kind:
            return _only(a.address for a in gone if a.address.kind == kind and a.before == action.after)


def _only(found: Iterable[Address]) -> Address | None:
    addresses = list(found)
    return addresses[0] if len(addresses) == 1 else None


def _jobs_like(context: Context, name: str) -> list[Address]:
    """Return the stored jobs that no file declares and that have the same streams."""
    streams = context.desired.jobs[name].streams.keys()
    return [
        Address("job", other)
        for other, job in sorted(context.stored.jobs.items())
        if other not in context.desired.jobs
        and streams
        and {i for i, s in job.streams.items() if s.phase is not StreamPhase.REMOVED} == streams
        and removal_of(context, Address("job", other)) is None
    ]


def _is_like(old: Remove, new: Create) -> bool:
    if _without_place(old.before) != _without_place(new.after):
        return False
    if all(old.before.get(k) == new.after.get(k) for k in _PLACE):
        return True
    one, two = (StreamId.parse(a.address.stream).name for a in (old, new))
    return SequenceMatcher(None, one, two).ratio() >= _ALIKE


def _without_place(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in spec.items() if k not in _PLACE}

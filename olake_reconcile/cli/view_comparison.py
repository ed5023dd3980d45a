"""The difference between two plans: as text, as JSON, and as Markdown for a comment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from olake_reconcile.cli.markdown import code, fenced
from olake_reconcile.cli.output import printable
from olake_reconcile.cli.view_plan import name_of, verb_of
from olake_reconcile.plan.actions import Action, Block, Rebuild, Remove
from olake_reconcile.plan.compare import Comparison, Pair
from olake_reconcile.plan.document import action_verbs, plan_hash
from olake_reconcile.plan.plan import Plan

SAME = "The plans do the same."
_SHOWN = 100  # of each kind, in Markdown


def render_comparison(found: Comparison) -> str:
    """Return the difference as text."""
    return "\n".join(_lines(found, whole=True))


def comparison_document(before: Plan, after: Plan, found: Comparison) -> dict[str, Any]:
    """Return the difference as JSON."""
    return {
        "format_version": "1.0",
        "before": {"plan_hash": plan_hash(before), "project": before.project},
        "after": {"plan_hash": plan_hash(after), "project": after.project},
        "differs": found.differs,
        "new": [_action(a) for a in found.new],
        "gone": [_action(a) for a in found.gone],
        "changed": [
            {
                "before": _action(p.before),
                "after": _action(p.after),
                "settings": [c.model_dump(mode="json", exclude={"place"}) for c in p.settings],
            }
            for p in found.changed
        ],
        "same": found.same,
        "newly_destructive": [str(a.address) for a in found.new_clears],
        "newly_needs_consent": [str(a.address) for a in found.new_blocks],
        "newly_blocks_all": [b.model_dump(mode="json") for b in found.new_reasons],
        "made_from_another_state": [str(a.address) for a in found.moved],
    }


def render_comparison_markdown(after: Plan, found: Comparison) -> str:
    """Return the difference as Markdown; long lists are cut, and say so."""
    lines = [f"### {_summary(found)}", ""]
    for title, actions in (
        ("Newly destructive", found.new_clears),
        ("Newly needs consent", found.new_blocks),
    ):
        if actions:
            names = ", ".join(code(a.address.short) for a in actions[:_SHOWN])
            more = f", and {len(actions) - _SHOWN:,} more" if len(actions) > _SHOWN else ""
            lines += [f"> [!CAUTION]\n> **{title}:** {names}{more}", ""]
    if found.differs:
        lines += [fenced("text", _lines(found, whole=False)), ""]
    return "\n".join([*lines, f"Plan {code(plan_hash(after))}"]) + "\n"


def _summary(found: Comparison) -> str:
    if not found.differs:
        return SAME
    return (
        f"Against the plan before: {len(found.new):,} new, {len(found.gone):,} gone, "
        f"{len(found.changed):,} changed, {found.same:,} the same."
    )


def _lines(found: Comparison, *, whole: bool) -> Iterator[str]:
    yield _summary(found)
    yield from _section("New", found.new, _one, whole=whole)
    yield from _section("Gone", found.gone, _one, whole=whole)
    yield from _section("Changed", found.changed, _pair, whole=whole)
    yield from _section("Newly destructive", found.new_clears, _one, whole=whole)
    yield from _section("Newly needs consent", found.new_blocks, _consent, whole=whole)
    yield from _section("Newly blocks all of it", found.new_reasons, _reason, whole=whole)
    yield from _section("The same, but made from another state", found.moved, _one, whole=whole)


def _section(
    title: str, items: Sequence[Any], show: Callable[[Any], Iterator[str]], *, whole: bool
) -> Iterator[str]:
    if not items:
        return
    yield ""
    yield f"{title}:"
    for item in items if whole else items[:_SHOWN]:
        yield from show(item)
    if not whole and len(items) > _SHOWN:
        yield f"  and {len(items) - _SHOWN:,} more: olake-reconcile diff-plan"


def _one(action: Action) -> Iterator[str]:
    yield f"  {action.symbol.rjust(3)} {name_of(action)} {verb_of(action)}{_why(action)}"


def _pair(pair: Pair) -> Iterator[str]:
    before, after = pair.before, pair.after
    was = f" (before: {verb_of(before)})" if verb_of(before) != verb_of(after) else ""
    yield f"  {after.symbol.rjust(3)} {name_of(after)} {verb_of(after)}{_why(after)}{was}"
    for change in pair.settings:
        name = printable(change.setting)
        yield f"        {name} = {_json(change.before)} -> {_json(change.after)}"


def _consent(action: Action) -> Iterator[str]:
    yield from _one(action)
    for block in action.blocked:
        yield f"        {printable(block.approval or block.remedy)}"


def _reason(block: Block) -> Iterator[str]:
    yield f"    ! {printable(block.message)}"
    yield f"        {printable(block.remedy)}"


def _why(action: Action) -> str:
    if not isinstance(action, Rebuild | Remove):
        return ""
    return f": {', '.join(dict.fromkeys(r.words for r in action.reasons))}"


def _action(action: Action) -> dict[str, Any]:
    return {
        "address": str(action.address),
        "actions": action_verbs(action),
        "class": action.consent.value,
        "reasons": [r.value for r in action.reasons],
    }


def _json(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))

"""A plan as Markdown, for a comment on a pull request: what is destroyed on top, the rest in folds, never too long.

Totals are always those of the whole plan. Where a plan is larger than a comment, details are left out from the least
important end, and it says how many. Equal plans give equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import click

from olake_reconcile.cli.markdown import code, fenced, folded, table
from olake_reconcile.cli.view_drift import drift_lines, unseen_words
from olake_reconcile.cli.view_impact import cost_words, duration, size_words
from olake_reconcile.cli.view_narrowed import NOTHING_SELECTED, narrowed_banner
from olake_reconcile.cli.view_plan import NEW_STATE, NO_CHANGES, against_words, block_lines, totals_words
from olake_reconcile.cli.view_waiting import waiting_lines
from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.plan.actions import (
    Action,
    Create,
    Forget,
    Import,
    Keep,
    Move,
    Rebuild,
    Remove,
    Update,
    is_clear,
)
from olake_reconcile.plan.consent import line_to_paste
from olake_reconcile.plan.document import plan_hash
from olake_reconcile.plan.options import DEFAULT_ENVIRONMENT
from olake_reconcile.plan.plan import Plan
from olake_reconcile.plan.words import counted

#: Characters; GitHub takes 65,536 in a comment.
LIMIT = 60_000
_SMALLEST = 200  # a detail that needs less is none

T = TypeVar("T")
Clear = Rebuild | Remove


def render_markdown(plan: Plan, diagnostics: Sequence[Diagnostic] = (), limit: int = LIMIT) -> str:
    """Return the plan as Markdown of at most `limit` characters, which is complete in its totals."""
    head = "\n\n".join(_head(plan))
    tail = "\n\n".join(_tail(plan))
    room = _Room(limit - len(head) - len(tail) - 800)  # what is left out has to be said as well
    body = [
        *_reasons(plan, room),
        *_clears(plan, room),
        *_blocks(plan, room),
        *_details(plan, room),
        *_drift(plan, room),
        *_diagnostics(diagnostics, room),
    ]
    said = [room.words()] if room.left_out else []
    return "\n\n".join([head, *body, *said, tail]) + "\n"


def marker(plan: Plan) -> str:
    """Return the comment by which a later run finds this one, to edit it in place."""
    words = re.sub(r"[^A-Za-z0-9_.:-]", "", f"{plan.project}:{plan.environment}")[:120].replace("--", "-")
    return f"<!-- olake-reconcile plan {words} -->"


class _Room:
    """How many characters are left, and what did not fit."""

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self.left_out: dict[str, int] = {}

    def is_full(self) -> bool:
        return self._characters < _SMALLEST

    def take(self, text: str) -> bool:
        """Tell whether the text fits, and give it its room."""
        needed = len(text) + 2
        if needed > self._characters:
            return False
        self._characters -= needed
        return True

    def fill(
        self, items: Sequence[T], show: Callable[[T], str], what: str, share: int | None = None
    ) -> list[str]:
        """Return the items that fit, in order, into all that is left or `share` characters; count the others."""
        end = self._characters - share if share is not None else 0
        shown: list[str] = []
        for item in items:
            if self._characters <= max(end, _SMALLEST):
                break
            text = show(item)
            if self._characters - len(text) - 2 >= end and self.take(text):
                shown.append(text)
        if len(shown) < len(items):
            self.left_out[what] = self.left_out.get(what, 0) + len(items) - len(shown)
        return shown

    def words(self) -> str:
        """Say what was left out, and where to see it."""
        parts = ", ".join(f"{counted(number, what)}" for what, number in self.left_out.items())
        return f"Left out here, to stay below the limit of a comment: {parts}. All of it: `olake-reconcile plan`."


def _head(plan: Plan) -> Iterator[str]:
    yield marker(plan)
    if plan.narrowed:
        yield fenced("text", narrowed_banner(plan.narrowed).split("\n"))
    if not plan.changes:
        yield f"### {NOTHING_SELECTED if plan.narrowed else NO_CHANGES}"
    else:
        yield f"### {totals_words(plan)}"
    if plan.environment != DEFAULT_ENVIRONMENT:
        yield f"Environment {code(plan.environment)}"
    if plan.new_state and plan.against != "revision":
        yield f"> [!WARNING]\n> **{NEW_STATE}** Everything is planned as new."
    if against := against_words(plan):
        yield f"> [!NOTE]\n> {against}"
    if cleared := [a for a in plan.clears if isinstance(a, Clear)]:
        yield f"> [!CAUTION]\n> **{counted(len(cleared), 'stream')} will be cleared.** {cost_words(plan.cost)}."
    blocked = sum(bool(a.blocked) for a in plan.actions)
    what = "1 action is" if blocked == 1 else f"{blocked:,} actions are"
    if plan.is_blocked:
        what = "The plan as a whole is" if plan.blocked else what
        yield f"> [!IMPORTANT]\n> **{what} blocked.** Nothing is applied until that is settled."


def _tail(plan: Plan) -> Iterator[str]:
    if plan.changes:
        yield "To apply:\n" + fenced("sh", [apply_command(plan)])
    yield f"Plan {code(plan_hash(plan))}"


def apply_command(plan: Plan) -> str:
    """Return the command that applies this plan, with the consent that it needs where that is not endless."""
    line = line_to_paste(plan.actions, plan.asked, plan.blocked)
    plain = " ".join(filter(None, ["olake-reconcile apply", plan.asked]))
    return next((text for text in (line, plain) if text and len(text) <= 900), "olake-reconcile apply")


def _reasons(plan: Plan, room: _Room) -> list[str]:
    """What blocks the plan as a whole."""
    whole = [fenced("text", filter(None, (b.message, b.remedy))) for b in plan.blocked]
    return room.fill(whole, str, "reason", share=6_000)


def _clears(plan: Plan, room: _Room) -> Iterator[str]:
    """What is destroyed, outside every fold: a line each, then the reasons in full."""
    clears = [a for a in plan.clears if isinstance(a, Clear)]
    clears.sort(key=lambda a: (-(a.impact.rows or 0), a.address))
    if not clears:
        return
    head = table(["Cleared", "Why", ">Rows", ">Size", "Empty for", "Owner"], [])
    rows = room.fill(clears, lambda a: _row(plan, a), "cleared table", share=16_000)
    yield "\n".join([*head, *rows])
    yield from room.fill(clears, _detail, "detail", share=18_000)


def _row(plan: Plan, action: Clear) -> str:
    impact = action.impact
    if isinstance(action, Remove):
        empty = "for good"
    else:
        empty = f"about {duration(impact.seconds)}" if impact.seconds is not None else "until loaded"
    rows = "unknown" if impact.rows is None else f"{impact.rows:,}"
    owner = plan.owners.get(action.address.name, "")
    why = ", ".join(dict.fromkeys(r.words for r in action.reasons))
    cells = [
        code(action.address.short),
        why,
        rows,
        size_words(impact.bytes),
        empty,
        code(owner) if owner else "",
    ]
    return f"| {' | '.join(cells)} |"


def _blocks(plan: Plan, room: _Room) -> Iterator[str]:
    """What is blocked, and the documents that would let it through, ready to paste."""
    blocked = [a for a in plan.actions if a.blocked]
    if not blocked:
        return
    others = [a for a in blocked if not is_clear(a)]
    yield from room.fill(others, _detail, "blocked action", share=12_000)
    approvals = [b.approval for a in blocked for b in a.blocked if b.approval]
    if approvals:
        lines = room.fill(approvals, lambda text: f"{text}\n---", "approval", share=10_000)
        pasted = "\n".join(lines).removesuffix("\n---").split("\n")
        yield "To allow what needs consent, commit a file below `jobs/`:\n" + fenced("yaml", pasted)


_FATES: tuple[tuple[str, tuple[type[Action], ...]], ...] = (
    ("To rebuild", (Rebuild,)),
    ("To remove", (Remove,)),
    ("To change", (Update,)),
    ("To add", (Create,)),
    ("To move, import or forget", (Move, Import, Forget)),
    ("Unchanged", (Keep,)),
)


def _details(plan: Plan, room: _Room) -> Iterator[str]:
    """Everything else, in folds: the most important first, so that what does not fit is the least important."""
    for title, kinds in _FATES:
        found = [a for a in plan.actions if isinstance(a, kinds) and not is_clear(a) and not a.blocked]
        if not found:
            continue
        shown = room.fill(found, lambda a: _owned(plan, a), "detail")
        if shown:
            yield folded(f"{title}: {counted(len(found), 'resource')}", "\n\n".join(shown))
    if plan.waiting:
        lines = room.fill(list(waiting_lines(plan.waiting)), str, "waiting job", share=4_000)
        yield folded(f"Waiting: {counted(len(plan.waiting), 'job')}", fenced("text", lines))
    if plan.unmanaged:
        jobs = room.fill(
            plan.unmanaged,
            lambda u: f"- {code(u.job)} ({counted(u.streams, 'stream')})",
            "unmanaged job",
        )
        summary = f"Unmanaged: {counted(len(plan.unmanaged), 'job')} that no file declares and that sync on"
        yield folded(summary, "\n".join(jobs))


def _drift(plan: Plan, room: _Room) -> Iterator[str]:
    """What moved without us, after all that the plan does."""
    number = len(plan.drift.differences)
    if plan.drift.found:
        shown = room.fill(plan.drift.found, lambda d: "\n".join(drift_lines(d)), "drift", share=8_000)
        held = len(plan.drift.found) - number
        also = f"{', ' if number else ''}{counted(held, 'job')} held" if held else ""
        moved = f"{counted(number, 'thing')} moved without us" if number else ""
        yield folded(
            f"Drift, not part of the plan: {moved}{also}", fenced("text", "\n".join(shown).split("\n"))
        )
    if unseen := unseen_words(plan.drift):
        yield fenced("text", [unseen])


def _owned(plan: Plan, action: Action) -> str:
    owner = plan.owners.get(action.address.name, "") if action.address.kind == "job" else ""
    return (f"Owner: {code(owner)}\n" if owner else "") + _detail(action)


def _detail(action: Action) -> str:
    return fenced("diff", (_marked(click.unstyle(line)) for line in block_lines(action)))


def _marked(line: str) -> str:
    """Put the sign of a changed line where a viewer of differences colours it."""
    sign = line.lstrip()[:1]
    if line[:1] == " " and sign in ("+", "-", "~", "!"):
        return ("!" if sign == "~" else sign) + line[1:]
    return line


def _diagnostics(diagnostics: Sequence[Diagnostic], room: _Room) -> Iterator[str]:
    told = [d for d in diagnostics if d.severity is not Severity.NOTE]
    if told:
        lines = room.fill(told, lambda d: d.render().split("\n")[0], "warning", share=8_000)
        yield folded(counted(len(told), "warning"), fenced("text", lines))

"""A plan as text, in Terraform's conventions (design §5). The same values as `apply` acts on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from olake_reconcile.cli.output import printable
from olake_reconcile.cli.view_drift import drift_section
from olake_reconcile.cli.view_impact import cost_words, impact_lines, row_words, total_rows
from olake_reconcile.cli.view_narrowed import NOTHING_SELECTED, narrowed_banner, narrowed_foot
from olake_reconcile.cli.view_waiting import waiting_lines
from olake_reconcile.diagnostics import Place
from olake_reconcile.model.names import Address
from olake_reconcile.plan.actions import (
    Action,
    Create,
    Forget,
    Import,
    Keep,
    Move,
    Rebuild,
    Remove,
    SettingChange,
    Update,
    is_clear,
)
from olake_reconcile.plan.consent import line_to_paste
from olake_reconcile.plan.options import DEFAULT_ENVIRONMENT
from olake_reconcile.plan.plan import Plan, Summary, Unmanaged, summarise
from olake_reconcile.plan.words import counted

NO_CHANGES = "No changes. Stored jobs match the configuration."
NEW_STATE = "NEW STATE: nothing is known to be deployed."

_LEGEND = {
    "+": "create",
    "~": "change in place",
    "-": "remove",
    ".": "forget: stored no longer, its table is kept",
    "-/+": "clear, then rebuild",
    "!": "blocked",
}
_COLOURS = {"+": "green", "~": "yellow", "-": "red", "-/+": "red", "!": "magenta", " ": None}


def render_plan(plan: Plan, now: datetime | None = None) -> str:
    """Return the plan as text with colour codes (`click.echo` takes them out where they do not belong).

    With `now`, the local time, it also says when tables would be full again: for a terminal, where nothing is kept.
    """
    parts = [narrowed_banner(plan.narrowed) + "\n"] if plan.narrowed else []
    if plan.environment != DEFAULT_ENVIRONMENT:
        parts.append(f"Environment: {plan.environment}\n")
    parts += [NEW_STATE + "\n"] if plan.new_state and plan.against != "revision" else []
    if against := against_words(plan):
        parts.append(against + "\n")
    changes = plan.changes
    if not changes:
        parts.append(NOTHING_SELECTED if plan.narrowed else NO_CHANGES)
    else:
        parts.append(_legend(changes))
    parts += ["\n".join(block_lines(action, now)) + "\n" for action in changes]
    if kept := [a for a in plan.actions if isinstance(a, Keep)]:
        parts.append("\n".join(_kept(kept)) + ("\n" if changes else ""))
    if changes:
        parts.append("\n".join(_totals(plan)))
    if section := list(drift_section(plan.drift)):
        parts.append("\n" + "\n".join(section))
    if plan.unmanaged:
        parts.append("\n" + "\n".join(_unmanaged(plan.unmanaged)))
    if plan.waiting:
        parts.append("\n" + "\n".join(waiting_lines(plan.waiting)))
    if plan.narrowed:
        parts.append(("" if plan.unmanaged else "\n") + narrowed_foot(plan.narrowed))
    return "\n".join(parts)


def _legend(changes: list[Action]) -> str:
    used = {a.symbol for a in changes} | {"!" for a in changes if a.blocked}
    lines = [f"  {_paint(s, s.rjust(3))} {meaning}" for s, meaning in _LEGEND.items() if s in used]
    return "These actions will be performed:\n" + "\n".join(lines) + "\n"


def _kept(actions: list[Keep]) -> Iterator[str]:
    yield "Unchanged:"
    for action in actions:
        yield f"    {name_of(action)}"


def against_words(plan: Plan) -> str:
    """Say what the plan starts from, where that is not the state itself; empty otherwise."""
    match plan.against:
        case "state":
            return ""
        case "export":
            return "Planned against an exported state: what was applied since is not in it."
        case "revision" if plan.new_state:
            return f"Planned against {plan.revision[:12]}, which has no workspace: everything is new."
        case "revision":
            return (
                f"Planned against the files at {plan.revision[:12]}, as if they had been applied and synced. "
                "It shows a change; what really runs is unknown."
            )


def name_of(action: Action) -> str:
    """Return the address in the form that people type."""
    return printable(_short(action.address))


def _short(address: Address) -> str:
    return address.short if address.kind == "stream" else str(address)


def block_lines(action: Action, now: datetime | None = None) -> Iterator[str]:
    """Yield the lines of one action."""
    yield f"  # {click.style(name_of(action), bold=True)} {verb_of(action)}"
    if why := _why(action):
        yield f"  # ({printable(why)})"
    kind, label = action.address.kind, action.address.stream or action.address.name
    yield f"{_paint(action.symbol, action.symbol.rjust(3))} {kind} {_json(label)} {{"
    yield from _settings(action)
    if isinstance(action, Rebuild | Remove) and is_clear(action):
        for line in impact_lines(action, now):
            yield f"      {printable(line)}"
    for note in action.notes:
        yield f"      {printable(note)}"
    for block in action.blocked:
        yield f"    {_paint('!', '!')} blocked: {printable(block.message)}"
        if block.remedy:
            yield f"        {printable(block.remedy)}"
        if block.approval:
            yield f"        or commit: {printable(block.approval)}"
    yield "    }"


def verb_of(action: Action) -> str:
    """Return what happens to the resource."""
    match action:
        case Create():
            return "will be created"
        case Update():
            return "will be changed in place"
        case Rebuild():
            return "must be rebuilt"
        case Remove(erase=True):
            return "will be destroyed"
        case Remove():
            return "will be removed"
        case Import():
            return "will be imported"
        case Forget():
            return "will be forgotten"
        case Move():
            return f"moved from {printable(_short(action.origin))}"
        case Keep():
            return "is unchanged"


def _why(action: Action) -> str:
    words = ", ".join(dict.fromkeys(r.words for r in action.reasons))
    match action:
        case Rebuild(leaves_old=True):
            return f"{words}; built anew at {action.new}"
        case Rebuild() if action.old != action.new:
            return f"{words}; destination {action.old} will be dropped, {action.new} built"
        case Rebuild():
            return f"{words}; destination {action.old} will be cleared"
        case Remove(erase=True):
            return f"{words}; destination {action.old} will be erased"
        case _:
            return words


def _settings(action: Action) -> Iterator[str]:
    match action:
        case Create():
            yield from _listed("+", action.after)
        case Remove():
            yield from _listed("-", action.before)
        case Import():
            yield from _listed("=", action.after)
            yield f"      # table {printable(str(action.table))} is adopted: its marks are written, no row is touched"
        case Forget():
            yield from _listed(".", action.before)
        case Update() | Rebuild():
            yield from _changed(action.changes)
            if action.unchanged:
                hidden = "attribute" if action.unchanged == 1 else "attributes"
                yield f"        # ({action.unchanged} unchanged {hidden} hidden)"
        case Move():
            yield "      # the name alone changes by this: history, positions and table come along"
        case Keep():
            pass


def _listed(symbol: str, settings: dict[str, Any]) -> Iterator[str]:
    flat = dict(_flat("", settings))
    width = max(map(len, flat), default=0)
    for key, value in flat.items():
        yield f"      {_paint(symbol, symbol)} {key.ljust(width)} = {_json(value)}"


def _flat(path: str, settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the settings of nested maps under their path, as changes name them: `config.ssl.mode`."""
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(f"{path}{key}.", value)
        else:
            yield printable(f"{path}{key}"), value


def _changed(changes: Sequence[SettingChange]) -> Iterator[str]:
    width = max((len(printable(c.setting)) for c in changes), default=0)
    for change in changes:
        symbol, values = _values(change)
        why = [change.note] if change.note and change.note != values else []
        if change.forces:
            why.insert(0, "forces rebuild")
        comment = f"   # {', '.join(why)}" if why else ""
        name = printable(change.setting).ljust(width)
        yield f"      {_paint(symbol, symbol)} {name} = {values}{comment}{_at(change.place)}"


def _values(change: SettingChange) -> tuple[str, str]:
    """Return the symbol of a change and what it says of the two values."""
    match change.before, change.after:
        case None, None:
            return "~", change.note
        case None, after:
            return "+", _json(after)
        case before, None:
            return "-", f"{_json(before)} -> null"
        case before, after:
            return "~", f"{_json(before)} -> {_json(after)}"


def _at(place: Place | None) -> str:
    return f"    {place}" if place else ""


def totals_words(plan: Plan) -> str:
    """Return how many resources meet which fate."""
    s = summarise(plan.actions)
    return (
        f"Plan: {s.add} to add, {s.change} to change, {s.rebuild} to rebuild, "
        f"{s.remove} to remove, {s.destroy} to destroy{also(s)}."
    )


def _totals(plan: Plan) -> Iterator[str]:
    yield totals_words(plan)
    clears = [a for a in plan.actions if isinstance(a, Rebuild | Remove) and is_clear(a)]
    if clears:
        yield _destructive(clears)
    if len(clears) > 1:
        yield f"Cost: {cost_words(plan.cost)}."
    for block in plan.blocked:
        yield f"{_paint('!', '!')} blocked: {printable(block.message)}"
        yield f"    {printable(block.remedy)}"
    blocked = [a for a in plan.actions if a.blocked]
    if blocked:
        what = "action is" if len(blocked) == 1 else "actions are"
        yield f"Blocked: {len(blocked)} {what} blocked; nothing will be applied until that is settled."
        if len(blocked) + len(plan.blocked) > 1 and (
            line := line_to_paste(plan.actions, plan.asked, plan.blocked)
        ):
            yield f"To allow all of it: {printable(line)}"


def also(summary: Summary, *, done: bool = False) -> str:
    """Return the rarer counts, where there is something to count: `, 1 to move`, or `, 1 moved`."""
    counts = {
        ("to move", "moved"): summary.move,
        ("to import", "imported"): summary.import_,
        ("to forget", "forgotten"): summary.forget,
    }
    return "".join(f", {count} {words[done]}" for words, count in counts.items() if count)


def _destructive(clears: list[Rebuild | Remove]) -> str:
    rows = total_rows([a.impact for a in clears])
    names = ", ".join(name_of(a) for a in clears[:5])
    more = f", and {len(clears) - 5:,} more" if len(clears) > 5 else ""
    streams = counted(len(clears), "stream")
    count = "an unknown number of rows" if rows is None else row_words(rows)
    return f"Destructive: {streams}, {count} will be cleared ({names}{more})."


def _unmanaged(jobs: tuple[Unmanaged, ...]) -> Iterator[str]:
    yield "Unmanaged: no file declares these jobs any more; they go on syncing."
    for job in jobs:
        yield f"  {job.job} ({counted(job.streams, 'stream')})"
    yield "To delete all of them: --prune. To let one go, its tables kept, commit:"
    yield f"  {{kind: Removed, address: {_json(jobs[0].job)}, data: keep}}"


def _json(value: Any) -> str:
    """JSON on one line: control characters of hostile names never reach the terminal."""
    return printable(json.dumps(value, ensure_ascii=False))


def _paint(symbol: str, text: str) -> str:
    return click.style(text, fg=_COLOURS.get(symbol))

"""What an alert says: what, since when, and the line to paste. No secret and no row can be in it: only names are."""

from __future__ import annotations

from collections.abc import Sequence

from olake_reconcile.model.incident import Incident

MOST_NAMED = 20
_LONGEST = 160
# Names are whatever a database lets people call a table: in a chat they address nobody and format nothing.
_HARMLESS = str.maketrans(
    {"<": "‹", ">": "›", "@": "＠", "`": "ˋ", "*": "∗", "[": "［", "]": "］", "&": "＆"}
)


def title(project: str, open_: Sequence[Incident], over: Sequence[Incident]) -> str:
    """Return the line that a phone shows."""
    if len(open_) + len(over) == 1:
        (incident,) = (*open_, *over)
        ended = "over: " if over else ""
        return f"[{project}] {ended}{incident.kind} {plain(incident.address)}"
    said = [f"{len(open_)} new" if open_ else "", f"{len(over)} over" if over else ""]
    return f"[{project}] {', '.join(part for part in said if part)}"


def body(open_: Sequence[Incident], over: Sequence[Incident]) -> str:
    """Return what is wrong, then what is over: a paragraph each, of so many as anybody reads."""
    shown = [_open(incident) for incident in open_[:MOST_NAMED]]
    shown += [_over(incident) for incident in over[: max(0, MOST_NAMED - len(shown))]]
    left = len(open_) + len(over) - len(shown)
    if left:
        shown.append(f"and {left:,} more\nolake-reconcile status")
    return "\n\n".join(shown)


def _open(incident: Incident) -> str:
    since = f"{incident.since:%Y-%m-%d %H:%M} UTC"
    return (
        f"{incident.kind} {plain(incident.address)}: {plain(incident.text)}\nsince {since}\n{incident.remedy}"
    )


def _over(incident: Incident) -> str:
    over = f"{incident.over:%Y-%m-%d %H:%M} UTC" if incident.over else "now"
    return f"over: {incident.kind} {plain(incident.address)}, {incident.since:%Y-%m-%d %H:%M} UTC to {over}"


def plain(name: str) -> str:
    """Return a name or words of names on one line, without what a chat would take for more than text."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    shown = shown.translate(_HARMLESS)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"

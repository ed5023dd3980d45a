"""Markdown that shows hostile text and stays what it is: for comments on pull requests, and step summaries.

Names, messages and values come from files and databases. Inline they stand in `<code>`, where nobody is mentioned and
no issue is referred to, with every character that could mean something to a renderer as an entity, which never does.
Longer text stands in a fence that is longer than any run of backticks in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from olake_reconcile.cli.output import printable

_LONGEST_INLINE = 200
_LONGEST_LINE = 1000
# Dots and dashes mean nothing inside a line, but for `www.`, which some renderers link.
_ACTIVE = re.compile(r"[^\w .,/=-]|_|(?<=[wW])\.", re.ASCII)
_TICKS = re.compile(r"`+")


def code(text: str) -> str:
    """Return `text` as inline code, also inside a table's cell or a list; too long a text is cut."""
    return f"<code>{_ACTIVE.sub(_entity, _cut(printable(text), _LONGEST_INLINE))}</code>"


def _entity(found: re.Match[str]) -> str:
    character = found.group()
    # Letters of other alphabets, emoji and the like mean nothing to a renderer.
    return character if ord(character) > 127 else f"&#{ord(character)};"


def fenced(language: str, lines: Iterable[str]) -> str:
    """Return lines as a block of code; control and direction characters are spelled out, long lines are cut."""
    shown = [_cut(printable(line), _LONGEST_LINE) for line in lines]
    longest = max((len(run) for line in shown for run in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *shown, fence])


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table's lines; cells are Markdown already. A heading that begins with `>` is aligned to the right."""
    names = [h.removeprefix(">") for h in headings]
    rules = ["---:" if h.startswith(">") else "---" for h in headings]
    return [f"| {' | '.join(cells)} |" for cells in [names, rules, *rows]]


def folded(summary: str, body: str) -> str:
    """Return `body` inside a fold; `summary` is plain words of our own."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"

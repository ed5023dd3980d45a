"""Tables that stay tables: right in width for every script, within 80 columns on a terminal, whole in a pipe."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

import click
from rich.cells import cell_len, set_cell_size

from olake_reconcile.cli.output import printable

_GAP = "  "
_ELLIPSIS = "…"
_NARROWEST = 8
_FIGURE = re.compile(
    r"(?<=\d) (?=(?:k|M|bn|%|s|min|h|d|B|kB|MB|GB|TB|PB|rows|row)\b|%)|(?<=\d [kM]) (?=rows)"
)

Paint = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. Where the terminal is too narrow those with the highest `drop` go first, then `shrink` ones are cut."""

    heading: str
    right: bool = False
    drop: int = 0
    shrink: bool = False
    paint: Paint | None = None


def echo_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None) -> None:
    """Print rows under headings; `width` is that of the terminal, None for as wide as it gets."""
    for line in table_lines(columns, rows, terminal_width() if width is None else width):
        click.echo(line)


def terminal_width() -> int | None:
    """Return the columns of the terminal on stdout; None when it is a pipe or file, which nothing is cut for."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return the lines of a table, the headings first."""
    cells = [[printable(cell) for cell in row] for row in rows]
    # A column in which no row says anything is noise.
    kept = [i for i, c in enumerate(columns) if not c.drop or not rows or any(row[i] for row in cells)]
    widths = [
        max(cell_len(x) for x in [c.heading, *(row[i] for row in cells)]) for i, c in enumerate(columns)
    ]
    if width is not None:
        kept = _dropped(columns, kept, widths, width)
        _shrink(columns, kept, widths, width)
    headings = [column.heading for column in columns]
    lines = [click.style(_line(columns, kept, widths, headings, painted=False), bold=True)]
    return lines + [_line(columns, kept, widths, row, painted=True) for row in cells]


def _dropped(columns: Sequence[Column], kept: list[int], widths: list[int], width: int) -> list[int]:
    """Leave columns out until what cannot be cut any further fits."""
    while _least(columns, kept, widths) > width:
        droppable = [i for i in kept if columns[i].drop]
        if not droppable:
            break
        worst = max(droppable, key=lambda i: columns[i].drop)
        kept = [i for i in kept if i != worst]
    return kept


def _least(columns: Sequence[Column], kept: Sequence[int], widths: Sequence[int]) -> int:
    comfortable = [min(widths[i], 20) if columns[i].shrink else widths[i] for i in kept]
    return sum(comfortable) + len(_GAP) * (len(kept) - 1)


def _shrink(columns: Sequence[Column], kept: Sequence[int], widths: list[int], width: int) -> None:
    """Take what is too much from the widest of the columns that may be cut, one by one."""
    while sum(widths[i] for i in kept) + len(_GAP) * (len(kept) - 1) > width:
        cuttable = [i for i in kept if columns[i].shrink and widths[i] > _NARROWEST]
        if not cuttable:
            return
        widths[max(cuttable, key=lambda i: widths[i])] -= 1


def _line(
    columns: Sequence[Column],
    kept: Sequence[int],
    widths: Sequence[int],
    row: Sequence[str],
    *,
    painted: bool,
) -> str:
    parts = []
    for number, i in enumerate(kept):
        text = fit(row[i], widths[i])
        padding = " " * (widths[i] - cell_len(text))
        paint = columns[i].paint
        shown = paint(text) if paint and painted and text else text
        last = number == len(kept) - 1
        parts.append(padding + shown if columns[i].right else shown if last else shown + padding)
    return _GAP.join(parts).rstrip()


def wrapped(text: str, width: int | None, indent: str = "  ") -> list[str]:
    """Return `text` in lines of at most `width` cells, the further ones indented; whole where nobody looks at a screen.

    A figure is not parted from its unit.
    """
    if width is None:
        return [text]
    tied = _FIGURE.sub("\u00a0", text)
    lines = wrap(tied, max(20, width), subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines] or [""]


def fit(text: str, width: int) -> str:
    """Return `text` in at most `width` cells; what is cut is marked. Of names the end is kept: it tells them apart."""
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return _ELLIPSIS[:width]
    head = (width - 1) // 3
    tail = width - 1 - head
    front, back = set_cell_size(text, head), text
    while cell_len(back) > tail:
        back = back[1:]
    return f"{front}{_ELLIPSIS}{back}"

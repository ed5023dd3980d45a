"""An explanation as text: the answer first, then its grounds, each under its topic."""

from __future__ import annotations

from collections.abc import Iterator

import click

from olake_reconcile.cli.output import printable
from olake_reconcile.cli.table import wrapped
from olake_reconcile.reconcile.explanation import Explanation, Statement, Topic

_READABLE = 100
_COLOURS = {
    Topic.FAILURE: "red", Topic.HOLD: "yellow", Topic.INACTIVE: "yellow", Topic.CONSENT: "magenta",
    Topic.RETRY: "yellow", Topic.LOOP: "yellow",
}  # fmt: skip


def explanation_lines(explanation: Explanation, width: int | None) -> Iterator[str]:
    """Yield the lines; on a terminal no wider than that, and never so wide that nobody reads them."""
    wide = None if width is None else max(40, min(width, _READABLE))
    for line in wrapped(printable(explanation.headline), wide, ""):
        yield click.style(line, bold=True)
    yield ""
    label = max((len(s.topic.value) for s in explanation.statements), default=0) + 2
    for statement in explanation.statements:
        yield from _statement(statement, label, wide)


def _statement(statement: Statement, label: int, width: int | None) -> Iterator[str]:
    text = printable(statement.text) + (f" [{printable(statement.at)}]" if statement.at else "")
    indent = " " * (label + 2)
    first, *rest = wrapped(text, width - len(indent) if width else None, "")
    heading, colour = statement.topic.value.ljust(label), _COLOURS.get(statement.topic)
    if colour:
        heading = click.style(heading, fg=colour)
    yield f"  {heading}{first}"
    for line in rest:
        yield indent + line
    for line in statement.remedy.split("\n") if statement.remedy else ():
        yield f"{indent}{click.style('-> ' + printable(line), dim=True)}"

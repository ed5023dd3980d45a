"""Comparisons in filters that can never be meant: a number compared with text, a truth value with a date."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from olake_reconcile.model.catalogue import Kind, SourceColumn
from olake_reconcile.model.filter import (
    And,
    Comparison,
    Expression,
    Filter,
    InList,
    IsNull,
    Literal,
    Not,
    Or,
)
from olake_reconcile.spec.report import quoted

_NUMBERS = frozenset({Kind.INT, Kind.LONG, Kind.FLOAT, Kind.DOUBLE, Kind.DECIMAL})
_TIMES = frozenset({Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ})


def unfit_literals(filter_: Filter, columns: Mapping[str, SourceColumn]) -> Iterator[tuple[str, str]]:
    """Yield column and complaint for every literal that no value of its column can be compared with."""
    for name, literal in _comparisons(filter_.expression):
        column = columns.get(name)
        if column is not None and column.kind is not None and (why := _unfit(column.kind, literal)):
            yield name, f"{quoted(name)} is {column.kind} ({column.type}): {why}"


def _comparisons(expression: Expression) -> Iterator[tuple[str, Literal]]:
    match expression:
        case Comparison(column=column, value=value):
            yield column, value
        case InList(column=column, values=values):
            for value in values:
                yield column, value
        case Not(item=item):
            yield from _comparisons(item)
        case And(items=items) | Or(items=items):
            for item in items:
                yield from _comparisons(item)
        case IsNull():
            return


def _unfit(kind: Kind, literal: Literal) -> str:
    shown = f"'{literal}'" if isinstance(literal, str) else str(literal).lower()
    if kind is Kind.LIST or kind is Kind.BINARY:
        return "it cannot be filtered by, except with 'is null'"
    if kind is Kind.BOOLEAN:
        fits = isinstance(literal, bool) or str(literal).lower() in ("true", "false", "t", "f")
        return "" if fits else f"compare it with true or false, not {shown}"
    if isinstance(literal, bool):
        return "compare it with a value, not with true or false"
    if kind in _NUMBERS:
        return "" if not isinstance(literal, str) or _is_number(literal) else f"{shown} is no number"
    if not isinstance(literal, str):
        return f"write '{shown}' in quotes" if kind not in _TIMES else f"{shown} is no {kind}"
    if kind in _TIMES and "infinity" not in literal.lower() and not any(c.isdigit() for c in literal):
        return f"{shown} is no {kind}"
    return ""


def _is_number(text: str) -> bool:
    try:
        Decimal(text.strip())
    except InvalidOperation:
        return False
    return True

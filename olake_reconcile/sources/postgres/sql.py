"""Spelling SQL for PostgreSQL: the only place where names and values become SQL text."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from olake_reconcile.model.filter import And, Comparison, Expression, InList, IsNull, Literal, Not, Or

# Every session reads under these, so that a value's text never depends on the role's or the server's settings.
# They are set inside the transaction: a pooler between us and the server drops nothing.
PINNED_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "xmloption": "content",
    # A load may take longer than what an administrator allows to interactive sessions.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "60s",
}


def pin_settings(server_version: int) -> str:
    """Return the statements that pin a transaction's settings."""
    settings = dict(PINNED_SETTINGS)
    if server_version >= 170000:
        settings["transaction_timeout"] = "0"
    return "; ".join(f"SET LOCAL {name} = {literal(value)}" for name, value in settings.items())


def identifier(name: str) -> str:
    """Return `name` quoted as an identifier."""
    if not name or "\0" in name:
        raise ValueError("a PostgreSQL name is not empty and holds no NUL")
    return '"' + name.replace('"', '""') + '"'


def relation(namespace: str, name: str) -> str:
    """Return the quoted name of a table or view."""
    return f"{identifier(namespace)}.{identifier(name)}"


def literal(value: Literal) -> str:
    """Return `value` as a literal; text is left untyped, so that the server reads it as the column's type."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | Decimal():
            return f"({value})" if value < 0 else str(value)
        case str():
            if "\0" in value:
                raise ValueError("PostgreSQL text holds no NUL")
            # Backslashes are plain characters: standard_conforming_strings is pinned.
            return "'" + value.replace("'", "''") + "'"
        case _:
            assert_never(value)


def condition(expression: Expression) -> str:
    """Return a filter as SQL; every composite part stands in parentheses."""
    match expression:
        case Comparison(column, operator, value):
            return f"{identifier(column)} {'<>' if operator == '!=' else operator} {literal(value)}"
        case InList(column, values):
            return f"{identifier(column)} IN ({', '.join(literal(v) for v in values)})"
        case IsNull(column):
            return f"{identifier(column)} IS NULL"
        case Not(item):
            return f"NOT ({condition(item)})"
        case And(items):
            return " AND ".join(f"({condition(item)})" for item in items)
        case Or(items):
            return " OR ".join(f"({condition(item)})" for item in items)
        case _:
            assert_never(expression)

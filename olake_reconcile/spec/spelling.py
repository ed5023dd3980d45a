"""OLake's own spellings of stream settings, translated into ours. Nothing else knows them."""

from __future__ import annotations

import re
from typing import Any

from olake_reconcile.spec.node import Map, Seq

# OLake's key, and the keys of ours that say the same: giving both is a mistake.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "partition_regex": ("partition_by",),
    "cursor_field": ("cursor", "fallback_cursor"),
    "append_mode": ("write_mode",),
    "filter_config": ("filter",),
    "selected_columns": ("columns",),
}

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})


class BadSpelling(ValueError):
    """OLake's form is there, but means nothing; `path` is where below the key."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


def split_cursor(text: str) -> tuple[str, str | None]:
    """Return cursor and fallback cursor of OLake's `cursor_field`. Raises `BadSpelling`."""
    cursor, colon, fallback = text.partition(":")
    if not cursor or (colon and not fallback) or ":" in fallback:
        raise BadSpelling("cursor_field is a column, or cursor and fallback as 'updated_at:id'")
    return cursor, fallback or None


def filter_text(config: Map) -> str | None:
    """Return OLake's `filter_config` as a filter of ours, or None when it has no condition. Raises `BadSpelling`."""
    joiner = str(config.get("logical_operator") or "and").lower()
    conditions: Seq = config["conditions"]
    return f" {joiner} ".join(_condition(c, index) for index, c in enumerate(conditions)) or None


def _condition(condition: Map, index: int) -> str:
    column, operator, value = condition["column"], condition["operator"], condition.get("value")
    name = column if _PLAIN.match(column) and column.lower() not in _KEYWORDS else _in_double_quotes(column)
    if value is None:
        if operator not in ("=", "!="):
            raise BadSpelling("null can only be compared with = and !=", "conditions", index)
        return f"{name} is {'not ' if operator == '!=' else ''}null"
    return f"{name} {operator} {_literal(value, index)}"


def _in_double_quotes(column: str) -> str:
    if not column:
        raise BadSpelling("a condition needs a column", "conditions")
    return '"' + column.replace('"', '""') + '"'


def _literal(value: Any, index: int) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if value - value == 0:  # neither infinite nor NaN
            return repr(value)
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            raise BadSpelling(
                "a condition's value is text, a number, true, false or null", "conditions", index, "value"
            )

"""Text that follows a small grammar: durations, names, and the model's own parsers with places for their complaints."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, available_timezones

from olake_reconcile.diagnostics import did_you_mean
from olake_reconcile.model.duration import BadDuration, parse_duration
from olake_reconcile.model.filter import BadFilter, Filter, parse_filter
from olake_reconcile.model.naming import reformat
from olake_reconcile.model.schedule import BadSchedule, Schedule, parse_schedule
from olake_reconcile.spec.report import Document, quoted

# A table's name becomes a folder and a word of SQL: nothing that means more than itself in either.
_TABLE = re.compile(r"\w[\w $-]{0,127}\Z")


def read_duration(document: Document, value: str, offset: int) -> int | None:
    """Return the seconds that `30m`, `1h30m` or `0d` stand for, or complain."""
    try:
        return parse_duration(value)
    except BadDuration as error:
        document.error(offset, "out-of-range" if error.too_long else "bad-duration", str(error))
        return None


def read_schedule(document: Document, value: str, offset: int) -> Schedule | None:
    """Return the schedule that `value` spells, or complain."""
    try:
        return parse_schedule(value)
    except BadSchedule as error:
        document.error(offset, "bad-schedule", str(error))
        return None


def read_timezone(document: Document, value: str, offset: int) -> str | None:
    """Return `value` if the time zone exists, or complain."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        known = available_timezones()
        same = next((z for z in known if z.lower() == value.lower()), None)
        hint = f"did you mean '{same}'?" if same else did_you_mean(value, known)
        document.error(offset, "unknown-timezone", f"unknown time zone {quoted(value)}", hint)
        return None
    return value


def read_filter(document: Document, value: str, offset: int) -> Filter | None:
    """Return the filter that `value` spells, or complain at the character that is wrong."""
    try:
        return parse_filter(value)
    except BadFilter as error:
        document.error(document.inside(offset, value, error.offset), "bad-filter", f"bad filter: {error}")
        return None


def read_table(document: Document, value: str, offset: int) -> str | None:
    """Return `value` if a table can be called so, or complain."""
    if _TABLE.match(value) and value == value.strip():
        return value
    document.error(
        offset,
        "bad-name",
        f"a table cannot be called {quoted(value)}: use letters, digits, '_', '-', '$' and spaces, 128 at most",
    )
    return None


def read_database(document: Document, value: str, offset: int) -> str | None:
    """Return the database that `value` names by OLake's rule (`a:b` is `a_b`), or complain."""
    name = reformat(value)
    if name.strip("_") and len(name) <= 128:
        return name
    document.error(offset, "bad-name", f"a database cannot be called {quoted(value)}")
    return None

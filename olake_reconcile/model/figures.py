"""Figures as people say them: `1.2 M rows`, `18.6 GB`, `52 min`, `3 h ago`. Programs get the numbers themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_DAY = 86_400


def short_count(number: float) -> str:
    """Return `950`, `41.2 k`, `1.2 M`, `3.4 bn`: three digits that matter, for what changes while one looks."""
    value = float(number)
    if value < 1000:
        return f"{value:.0f}"
    for unit in ("k", "M", "bn"):
        value /= 1000
        if value < 999.5 or unit == "bn":
            break
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"


def size(count: float) -> str:
    """Return a number of bytes in decimal units: `812 B`, `18.6 GB`."""
    if count < 1000:
        return f"{count:.0f} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.95 or unit == "PB":
            break
    return f"{value:.1f} {unit}"


def span(length: float | timedelta) -> str:
    """Return a length of time in its largest unit, two of which must have passed: `90 s`, `52 min`, `3 d`."""
    seconds = max(0, round(length.total_seconds() if isinstance(length, timedelta) else length))
    for unit_seconds, unit in ((_DAY, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_seconds:
            return f"{seconds // unit_seconds} {unit}"
    return f"{seconds} s"


def runtime(length: float | timedelta) -> str:
    """Return how long something took, in two units where the second one matters: `0.4 s`, `4 min 10 s`, `2 h 5 min`."""
    seconds = max(0.0, length.total_seconds() if isinstance(length, timedelta) else length)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < _DAY:
        minutes = whole % 3600 // 60
        return f"{whole // 3600} h {minutes} min" if minutes else f"{whole // 3600} h"
    hours = whole % _DAY // 3600
    return f"{whole // _DAY} d {hours} h" if hours else f"{whole // _DAY} d"


def ago(moment: datetime, now: datetime) -> str:
    """Return `3 min ago`."""
    return f"{span(now - moment)} ago"


def ahead(moment: datetime, now: datetime) -> str:
    """Return `in 18 min`, or `now` for what is due."""
    return "now" if moment <= now else f"in {span(moment - now)}"


def wall(moment: datetime, zone: ZoneInfo, now: datetime) -> str:
    """Return the local time of a moment, with as much of the date as is needed: `14:00 CET`, `Fri 27 Nov 02:30 UTC`."""
    local, today = moment.astimezone(zone), now.astimezone(zone)
    clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    if local.date() == today.date():
        return f"{clock} {local:%Z}"
    if abs((local.date() - today.date()).days) < 7:
        return f"{local:%a} {clock} {local:%Z}"
    if local.year == today.year:
        return f"{local:%a} {local.day} {local:%b} {clock} {local:%Z}"
    return f"{local:%Y-%m-%d} {clock} {local:%Z}"

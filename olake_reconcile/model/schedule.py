"""Schedules: 5-field cron, 7-field cron (second … year), presets, `every 15m`, OLake's `15-minutes`.

All become one canonical form, so that `@hourly`, `0 * * * *` and `1-hours` are the same schedule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

PRESETS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}

_EVERY = re.compile(r"every\s+(\d+)\s*(s|m|h|d|w)\Z")
_OLAKE = re.compile(r"(\d+)-(minutes?|hours?|days?|weeks?)\Z")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday, so that `every 1w` falls on Mondays
MAX_INTERVAL_DAYS = 366


class BadSchedule(ValueError):
    """The text is no schedule; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job runs: `text` as written; exactly one of `cron` (7 fields) and `every` (seconds) is set."""

    text: str
    cron: str = ""
    every: int = 0

    def canonical(self) -> str:
        """Return its meaning: equal for schedules that differ in spelling only."""
        return self.cron or f"every {self.every}s"


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that `text` spells. Raises `BadSchedule`."""
    words = " ".join(text.split())
    if preset := PRESETS.get(words.lower()):
        return Schedule(text, cron=f"0 {preset} *")
    if every := _EVERY.match(words.lower()):
        return _interval(text, int(every.group(1)) * _UNIT_SECONDS[every.group(2)])
    if olake := _OLAKE.match(words.lower()):
        seconds = int(olake.group(1)) * _UNIT_SECONDS[olake.group(2)[0]]
        # OLake turns these into cron: whole hours and days fall on the clock's boundaries.
        same = {60: "* * * * *", 3600: "0 * * * *", 86_400: "0 0 * * *", 604_800: "0 0 * * 0"}.get(seconds)
        return Schedule(text, cron=f"0 {same} *") if same else _interval(text, seconds)
    fields = words.split()
    if len(fields) == 5:
        fields = ["0", *fields, "*"]
    if len(fields) != 7 or words.startswith("@"):
        raise BadSchedule(
            f"'{text}' is not a schedule: write 5-field or 7-field cron, {', '.join(PRESETS)}, or 'every 15m'"
        )
    return _cron(text, fields)


def _interval(text: str, seconds: int) -> Schedule:
    if not 1 <= seconds <= MAX_INTERVAL_DAYS * 86_400:
        raise BadSchedule(f"an interval is between one second and {MAX_INTERVAL_DAYS} days, not '{text}'")
    return Schedule(text, every=seconds)


def _cron(text: str, fields: list[str]) -> Schedule:
    if any("?" in f for f in fields):
        fields = ["*" if f == "?" else f for f in fields]
    try:
        _numbers(fields[0], 0, 59, "second")
        _numbers(fields[6], 1970, 2199, "year")
        CronSim(" ".join(fields[1:6]), datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise BadSchedule(f"'{text}' is not a cron expression: {str(error).lower()}") from None
    return Schedule(text, cron=" ".join(f.upper() for f in fields))


def _numbers(field: str, low: int, high: int, what: str) -> frozenset[int]:
    """Return the numbers that a field of seconds or years stands for. Raises `BadSchedule`."""
    found: set[int] = set()
    for item in field.split(","):
        match = re.fullmatch(r"(?:(\*)|(\d+)(?:-(\d+))?)(?:/(\d+))?", item)
        if match is None:
            raise BadSchedule(
                f"'{field}' is not a {what}: write numbers, ranges or steps, such as 0, 0-30 or */15"
            )
        star, first, last, step = match.groups()
        start = low if star else int(first)
        end = high if star or (step and last is None) else int(last or first)
        if not (low <= start <= end <= high) or step == "0":
            raise BadSchedule(f"'{field}' is not a {what}: numbers go from {low} to {high}")
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def due_times(schedule: Schedule, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the due times after `after` (aware), in order, in UTC.

    Cron is read in `zone`. Where clocks go forward a due time in the gap comes right after it; where they go
    back it comes once (cronsim's rule, which is Debian cron's). Intervals count from a fixed Monday in UTC.
    """
    if schedule.every:
        step = timedelta(seconds=schedule.every)
        moment = _EPOCH + ((after - _EPOCH) // step) * step
        while True:
            moment += step
            yield moment
    second, minutes, year = _split(schedule.cron)
    seconds = sorted(_numbers(second, 0, 59, "second"))
    years = None if year == "*" else _numbers(year, 1970, 2199, "year")
    # One minute early, so that a later second of the present minute is not skipped. Counted in UTC: a minute before
    # clocks have gone forward there is a wall time that never was.
    start = (after.astimezone(UTC) - timedelta(minutes=1)).astimezone(zone)
    for minute in CronSim(minutes, start):
        if years is not None and minute.year > max(years):
            return
        if years is not None and minute.year not in years:
            continue
        for s in seconds:
            moment = minute.astimezone(UTC).replace(second=s)
            if moment > after:
                yield moment


def next_due(schedule: Schedule, after: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first due time after `after` in UTC, or None when the schedule never fires again."""
    return next(due_times(schedule, after, zone), None)


def _split(cron: str) -> tuple[str, str, str]:
    second, *minutes, year = cron.split(" ")
    return second, " ".join(minutes), year

"""When cron fires, by looking at every minute: shares nothing with the program but what cron's fields mean."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


class Cron:
    """A 5-field expression of numbers, ranges, steps and lists; weekdays are 0 to 7, Sunday is both."""

    def __init__(self, text: str) -> None:
        self.fields = text.split(" ")
        minute, hour, day, month, weekday = self.fields
        self.minutes, self.hours = _numbers(minute, 0, 59), _numbers(hour, 0, 23)
        self.days, self.months = _numbers(day, 1, 31), _numbers(month, 1, 12)
        self.weekdays = {n % 7 for n in _numbers(weekday, 0, 7)}
        self.both = day.startswith("*") or weekday.startswith("*")
        self.follows_clock = minute.startswith("*") or hour.startswith("*")

    def shows(self, wall: datetime) -> bool:
        """Whether it fires when a clock without daylight saving shows `wall`."""
        if wall.minute not in self.minutes or wall.hour not in self.hours or wall.month not in self.months:
            return False
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return (day and weekday) if self.both else (day or weekday)


def _numbers(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        start = low if first == "*" else int(first)
        end = high if first == "*" or (step and not last) else int(last or first)
        found |= set(range(start, end + 1, int(step or 1)))
    return found


def fires(cron: Cron, start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return when it fires from `start` until before `end`, in UTC, minute by minute."""
    return fires_of_each([cron], start, end, zone)[0]


def fires_of_each(
    crons: Sequence[Cron], start: datetime, end: datetime, zone: ZoneInfo
) -> list[list[datetime]]:
    """Return when each fires: one walk through the minutes, for all of them."""
    found: list[list[datetime]] = [[] for _ in crons]
    moment = start.astimezone(UTC)
    expected = _wall(moment, zone)  # what the clock shows unless it is put forward or back
    latest = expected  # the latest that it ever showed
    while moment < end:
        wall = _wall(moment, zone)
        jumped_over = [expected + MINUTE * n for n in range((wall - expected) // MINUTE)]
        for cron, of_cron in zip(crons, found, strict=True):
            due = cron.shows(wall) and (cron.follows_clock or wall >= latest)
            if jumped_over and not cron.follows_clock:
                due = due or any(cron.shows(w) for w in jumped_over)
            if due:
                of_cron.append(moment)
        expected = wall + MINUTE
        latest = max(latest, expected)
        moment += MINUTE
    return found


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)

"""Schedules: 5-field cron, 7-field cron (second … year), presets, `every 15m`, OLake's `15-minutes`.

All become one canonical form, so that `@hourly`, `0 * * * *` and `1-hours` are the same schedule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

PRESETS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}

_EVERY = re.compile(r"every\s+(\d+)\s*(s|m|h|d|w)\Z")
_OLAKE = re.compile(r"(\d+)-(minutes?|hours?|days?|weeks?)\Z")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# Clocks are never put forward and back within so few days.
_SHORTEST_OFFSET = timedelta(days=7)
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

    Cron is read in `zone`, and daylight saving as Debian's cron reads it. A time of day that clocks jump over comes
    right after the jump, and one that they show twice comes once; a schedule whose minute or hour begins with `*`
    follows the clock instead: what is jumped over is left out, what is shown twice comes twice. Intervals count
    from a fixed Monday in UTC.
    """
    if schedule.every:
        step = timedelta(seconds=schedule.every)
        moment = _EPOCH + ((after - _EPOCH) // step) * step
        while True:
            moment += step
            yield moment
    second, cron, year = _split(schedule.cron)
    seconds = sorted(_numbers(second, 0, 59, "second"))
    years = None if year == "*" else sorted(_numbers(year, 1970, 2199, "year"))
    follows_clock = any(field.startswith("*") for field in cron.split(" ")[:2])
    minutes = _following_clock if follows_clock else _times_of_day
    for minute in minutes(cron, after.astimezone(UTC), zone, years):
        for s in seconds:
            moment = minute.replace(second=s)
            if moment > after:
                yield moment


def next_due(schedule: Schedule, after: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first due time after `after` in UTC, or None when the schedule never fires again."""
    return next(due_times(schedule, after, zone), None)


def jittered(due: datetime, following: datetime | None, most: int, seed: str) -> datetime:
    """Return `due` moved by 0 to `most` seconds, always by the same for the same `seed` and due time.

    It stays before `following`, the due time after it.
    """
    if following is not None:
        most = min(most, max(0, int((following - due).total_seconds()) - 1))
    text = f"{seed} {due.astimezone(UTC).isoformat()}"
    drawn = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
    return due + timedelta(seconds=drawn % (most + 1))


def _split(cron: str) -> tuple[str, str, str]:
    second, *minutes, year = cron.split(" ")
    return second, " ".join(minutes), year


def _times_of_day(cron: str, after: datetime, zone: ZoneInfo, years: list[int] | None) -> Iterator[datetime]:
    """Yield the minutes from that of `after` on, in UTC, each time of day once a day."""
    # A time that clocks jumped over shortly before comes right after the jump, which may be now.
    jumped = _offset(after, zone) != _offset(after - timedelta(days=1), zone)
    start = _wall(after, zone) - (timedelta(days=1) if jumped else timedelta(minutes=1))
    last = None
    for wall in _walls(cron, start, years):
        minute = _moment(wall, zone)
        if last is None or minute > last:
            yield minute
            last = minute


def _following_clock(
    cron: str, after: datetime, zone: ZoneInfo, years: list[int] | None
) -> Iterator[datetime]:
    """Yield the minutes from that of `after` on, in UTC, as often as the clock shows them."""
    start: datetime | None = after.replace(second=0, microsecond=0)
    while start is not None:
        offset = _offset(start, zone)
        seen, start = start, None
        for wall in _walls(cron, seen.replace(tzinfo=None) + offset - timedelta(minutes=1), years):
            minute = (wall - offset).replace(tzinfo=UTC)
            start = _next_change(seen, minute, zone)
            if start is not None:
                break  # what comes after the change is read under the new offset
            yield minute
            seen = minute


def _walls(cron: str, start: datetime, years: list[int] | None) -> Iterator[datetime]:
    """Yield the matching minutes after `start`, as a clock on the wall shows them (naive)."""
    found = CronSim(cron, start)
    while years is None or years[-1] >= found.dt.year:
        wall: datetime | None = next(found, None)
        if wall is None:
            return
        if years is None or wall.year in years:
            yield wall
        elif wall.year < years[-1]:
            # Every minute of the years between would have to be looked at.
            year = next(y for y in years if y > wall.year)
            found = CronSim(cron, datetime(year, 1, 1) - timedelta(minutes=1))  # noqa: DTZ001
        else:
            return


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clock shows `wall` for the first time, or the first minute after it jumped over that."""
    while True:
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if _wall(moment, zone) == wall:
            return moment
        wall += timedelta(minutes=1)


def _next_change(start: datetime, end: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first minute after `start`, up to `end`, at which clocks are put forward or back."""
    while start < end:
        probe = min(start + _SHORTEST_OFFSET, end)
        if _offset(probe, zone) != _offset(start, zone):
            return _first_minute(start, probe, zone)
        start = probe
    return None


def _first_minute(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first minute whose offset is that of `after`, by halving."""
    offset = _offset(after, zone)
    while after - before > timedelta(minutes=1):
        middle = before + timedelta(minutes=int((after - before).total_seconds()) // 120)
        before, after = (before, middle) if _offset(middle, zone) == offset else (middle, after)
    return after

"""Schedules as people say them: `every hour at :05`, `on Mondays at 04:00`; what has no short name stays cron."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from olake_reconcile.model.figures import runtime
from olake_reconcile.model.schedule import Schedule

_DAYS = ("Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_SHORT = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_STEP = re.compile(r"\*/(\d+)\Z")


def schedule_words(schedule: Schedule) -> str:
    """Return when a schedule is due, in words if it is one of those that people have words for."""
    if schedule.every:
        return f"every {runtime(schedule.every)}"
    second, minute, hour, day, month, weekday, year = schedule.cron.split(" ")
    times = _times(minute, hour)
    if second != "0" or month != "*" or year != "*" or not times:
        return f"by cron '{schedule.text}'"
    if day == "*" and weekday == "*":
        return times if times.startswith("every") else f"every day {times}"
    if weekday == "*" and day.isdecimal():
        return f"on day {day} of each month {times}"
    if day == "*" and (days := _weekdays(weekday)):
        return f"{days} {times}"
    return f"by cron '{schedule.text}'"


def _times(minute: str, hour: str) -> str:
    step = _STEP.match(minute)
    if hour == "*":
        if minute == "*":
            return "every minute"
        if step:
            return f"every {step[1]} minutes"
        return f"every hour at :{int(minute):02d}" if minute.isdecimal() else ""
    if not minute.isdecimal():
        return ""
    if step := _STEP.match(hour):
        return f"every {step[1]} hours at :{int(minute):02d}"
    hours = hour.split(",")
    if len(hours) > 4 or not all(h.isdecimal() for h in hours):
        return ""
    clocks = [f"{int(h):02d}:{int(minute):02d}" for h in hours]
    return "at " + (clocks[0] if len(clocks) == 1 else f"{', '.join(clocks[:-1])} and {clocks[-1]}")


def _weekdays(field: str) -> str:
    for number, name in enumerate(_SHORT):
        field = field.upper().replace(name, str(number))
    if field == "1-5":
        return "Mondays to Fridays"
    days = field.split(",")
    if not all(d.isdecimal() and int(d) <= 7 for d in days):
        return ""
    return "on " + " and ".join(_DAYS[int(d)] for d in days)


def clock_changes(zone: ZoneInfo, after: datetime, before: datetime) -> Iterator[str]:
    """Yield a sentence for each change of the zone's clocks between two moments that are days or weeks apart."""
    moment = after
    while moment < before:
        ahead = min(moment + timedelta(hours=12), before)
        if moment.astimezone(zone).utcoffset() != ahead.astimezone(zone).utcoffset():
            yield _change(zone, moment, ahead)
        moment = ahead


def _change(zone: ZoneInfo, early: datetime, late: datetime) -> str:
    old, new = early.astimezone(zone).utcoffset(), late.astimezone(zone).utcoffset()
    assert old is not None
    assert new is not None
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == old:
            early = middle
        else:
            late = middle
    # Clock changes are on whole minutes; the search ends within a second of one.
    moment = (late + timedelta(seconds=30)).replace(second=0, microsecond=0)
    local = moment.astimezone(zone)
    day = f"{local:%a} {local.day} {local:%b %Y}"
    first, last = sorted((moment + old, moment + new))
    times = f"{first:%H:%M} to {last:%H:%M}"
    by = runtime(abs(new - old))
    if new > old:
        return (
            f"on {day} clocks in {zone.key} go forward by {by}: local times from {times} do not exist, "
            "and what is due in them runs right after"
        )
    return f"on {day} clocks in {zone.key} go back by {by}: local times from {times} come twice, and what is due in them runs once"

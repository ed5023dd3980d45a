"""When a job runs next, by its schedule and otherwise, with what the clocks of its zone do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.figures import ahead, wall
from olake_reconcile.model.names import Address
from olake_reconcile.model.schedule import due_times, parse_schedule
from olake_reconcile.model.schedule_words import clock_changes, schedule_words
from olake_reconcile.reconcile.explanation import Statement, Topic, place_of_setting, sentence
from olake_reconcile.reconcile.overview import JobOverview

# A change of clocks is worth telling when a run of the next days meets it.
_CLOCKS = timedelta(days=14)

_DUE_REASONS = {
    "schedule": "by its schedule",
    "apply": "because an apply made it due",
    "retry": "to try again what failed",
}


def next_run(desired: Desired | None, job: JobOverview, now: datetime) -> Iterator[Statement]:
    """Yield when the job is due, whether that is a retry, and its schedule."""
    zone, runs = ZoneInfo(job.timezone), job.active and not job.hold
    if job.due is not None and runs:
        why = _DUE_REASONS.get(job.due_reason, job.due_reason)
        when = (
            f"due since {wall(job.due, zone, now)}"
            if job.due <= now
            else f"{wall(job.due, zone, now)} ({ahead(job.due, now)})"
        )
        text = sentence(f"{when}{', ' + why if why else ''}")
        facts: dict[str, object] = {"due": job.due.isoformat(), "reason": job.due_reason}
        yield Statement(topic=Topic.NEXT, text=text, facts=facts)
    if job.attempt and runs:
        times = "" if job.attempt == 1 else f" {job.attempt} times in a row"
        text = f"It has failed{times}; the next run is attempt {job.attempt + 1}."
        yield Statement(topic=Topic.RETRY, text=text, facts={"attempt": job.attempt + 1})
    at = place_of_setting(desired, Address("job", job.name), "schedule")
    if job.schedule is None:
        text = "It has none: it runs by `sync` only."
        yield Statement(
            topic=Topic.SCHEDULE, text=text, remedy=f"olake-reconcile sync {job.name}" if runs else ""
        )
        return
    schedule = parse_schedule(job.schedule)
    dues = list(islice(due_times(schedule, now, zone), 3))
    text = sentence(f"{schedule_words(schedule)} in {job.timezone}")
    if dues:
        text += f" After now: {', '.join(wall(due, zone, now) for due in dues)}."
    else:
        text += " It never comes again."
    if schedule.cron and dues:
        changes = clock_changes(zone, now, max(dues[-1], now + _CLOCKS))
        text = " ".join([text, *(sentence(change) for change in changes)])
    facts = {
        "schedule": job.schedule,
        "timezone": job.timezone,
        "due_times": [due.isoformat() for due in dues],
    }
    yield Statement(topic=Topic.SCHEDULE, text=text, at=at, facts=facts)

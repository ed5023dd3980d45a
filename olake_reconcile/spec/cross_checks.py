"""Rules between jobs and streams: one writer per table, schedules that can fire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from olake_reconcile.model.job import Job
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.schedule import Schedule, next_due
from olake_reconcile.spec.endpoints import DestinationEntry
from olake_reconcile.spec.jobs import JobEntry
from olake_reconcile.spec.outline import Table
from olake_reconcile.spec.report import quoted


def check_tables(
    entries: Mapping[str, JobEntry],
    jobs: Mapping[str, Job],
    destinations: Mapping[str, DestinationEntry],
    tables: Callable[[Job], Iterable[Table]],
) -> None:
    """Complain about streams that write one table; catalogs fold case, so the letters' case does not count.

    `tables` tells what a job writes.
    """
    taken: dict[tuple[object, ...], tuple[str, StreamId]] = {}
    for name, job in jobs.items():
        destination = destinations.get(job.destination)
        lake = destination.identity if destination else (job.destination,)
        for stream, database, table in tables(job):
            writer = (name, stream)
            other = taken.setdefault((lake, f"{database}.{table}".lower()), writer)
            if other != writer:
                one, two = (other[0], str(other[1])), (name, str(stream))
                _complain(entries, one, two, f"destination.{job.destination} {database}.{table}")


def _complain(
    entries: Mapping[str, JobEntry], first: tuple[str, str], second: tuple[str, str], table: str
) -> None:
    one, two = entries[first[0]].document, entries[second[0]].document
    place = one.text.place(one.at(("streams", first[1]), of_key=True))
    message = f"{'/'.join(second)} and {'/'.join(first)} ({place}) both write {table}"
    hint = "give one of them another destination_table or destination_database"
    two.error(two.at(("streams", second[1]), of_key=True), "shared-table", message, hint)


# Schedules are checked from a fixed day on: whether files are right must not depend on when one asks.
_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def check_never_due(entries: Mapping[str, JobEntry], jobs: Mapping[str, Job]) -> None:
    """Warn about schedules that no day of the calendar fits, such as the 30th of February."""
    for name, job in jobs.items():
        if job.schedule and not _ever_due(job.schedule):
            document = entries[name].document
            message = f"the schedule {quoted(job.schedule.text)} never comes due"
            document.warning(document.at(("schedule",)), "never-due", message)


@lru_cache(maxsize=4096)
def _ever_due(schedule: Schedule) -> bool:
    return next_due(schedule, _FIRST_DAY, ZoneInfo("UTC")) is not None

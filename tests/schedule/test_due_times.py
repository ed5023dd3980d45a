"""Due times against an oracle that looks at every minute, around both daylight-saving changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olake_reconcile.model.schedule import due_times, jittered, next_due, parse_schedule
from tests.schedule.oracle import Cron, fires

# Forward and back in 2026; Lord Howe moves by half an hour, Casablanca goes back before it goes forward.
CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "Africa/Casablanca": ("2026-02-15", "2026-03-22"),
    "Asia/Kolkata": ("2026-03-29", "2026-10-25"),
    "UTC": ("2026-03-29", "2026-10-25"),
}
DAYS = [(zone, day) for zone, days in CHANGES.items() for day in days]


def field(low: int, high: int, stars: list[str]) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda p: f"{min(p)}-{max(p)}")
    listed = st.lists(number.map(str) | span, min_size=1, max_size=3).map(",".join)
    return st.sampled_from(stars) | listed


CRONS = st.tuples(
    field(0, 59, ["*", "*/15", "*/7", "0", "30"]),
    field(0, 23, ["*", "*/3", "*/2", "1", "2", "3", "1-3"]),
    field(1, 31, ["*", "*", "*", "*/2"]),
    st.sampled_from(["*", "*", "2-4,9-11"]),
    field(0, 7, ["*", "*", "*", "0", "1-5"]),
).map(" ".join)


@given(cron=CRONS, change=st.sampled_from(DAYS), hours=st.integers(-30, 6))
@settings(deadline=None, max_examples=80)
def test_cron_fires_when_an_oracle_of_every_minute_says_so(
    cron: str, change: tuple[str, str], hours: int
) -> None:
    zone = ZoneInfo(change[0])
    start = datetime.fromisoformat(change[1]).replace(tzinfo=UTC) + timedelta(hours=hours)
    end = start + timedelta(days=2)
    schedule = parse_schedule(cron)
    # The oracle begins a day early: a clock that jumped just before `start` has to be seen jumping.
    expected = [f for f in fires(Cron(cron), start - timedelta(days=1), end, zone) if f > start]
    found = list(takewhile(lambda due: due < end, due_times(schedule, start, zone)))
    assert found == expected
    # Asked again and again, from any moment on, it gives the same ones.
    now = start
    for due in expected[:30]:
        assert next_due(schedule, now, zone) == due
        now = due


@pytest.mark.parametrize(
    ("zone", "cron", "day", "expected"),
    [
        # What clocks jump over comes right after; what they show twice comes once.
        ("Europe/Berlin", "30 2 * * *", "2026-03-29", ["03:00"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25", ["02:30"]),
        ("Europe/Berlin", "0 2-4 * * *", "2026-03-29", ["03:00", "04:00"]),
        ("America/New_York", "15 2 * * *", "2026-03-08", ["03:00"]),
        ("America/New_York", "15 1 * * *", "2026-11-01", ["01:15"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04", ["02:30"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05", ["01:45"]),
        # Every hour, every three hours: the clock is followed.
        ("Europe/Berlin", "0 */1 * * *", "2026-10-25", [f"{h:02}:00" for h in [0, 1, 2, *range(2, 24)]]),
        ("Australia/Lord_Howe", "*/15 */3 * * *", "2026-10-04", None),
    ],
)
def test_on_the_days_when_clocks_change(zone: str, cron: str, day: str, expected: list[str] | None) -> None:
    tz = ZoneInfo(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=tz) - timedelta(seconds=1)
    found = takewhile(
        lambda due: due.astimezone(tz).day == int(day[-2:]), due_times(parse_schedule(cron), start, tz)
    )
    shown = [f"{due.astimezone(tz):%H:%M}" for due in found]
    assert shown == (expected or [f"{h:02}:{m:02}" for h in range(0, 24, 3) for m in range(0, 60, 15)])


def test_a_year_far_away_is_found_without_looking_at_every_minute_on_the_way() -> None:
    far = parse_schedule("0 * * * * * 2190")
    due = next_due(far, datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    assert due == datetime(2189, 12, 31, 23, 0, tzinfo=UTC)
    assert next_due(far, datetime(2191, 1, 1, tzinfo=UTC), ZoneInfo("UTC")) is None


@given(
    cron=CRONS,
    zone=st.sampled_from(sorted(CHANGES)),
    most=st.integers(0, 100_000),
    seed=st.text(max_size=5),
)
@settings(deadline=None, max_examples=60)
def test_jitter_keeps_due_times_in_order_and_apart_and_is_always_the_same(
    cron: str, zone: str, most: int, seed: str
) -> None:
    dues = due_times(parse_schedule(cron), datetime(2026, 3, 28, tzinfo=UTC), ZoneInfo(zone))
    for due, following in pairwise([due for due, _ in zip(dues, range(6), strict=False)]):
        moved = jittered(due, following, most, seed)
        assert due <= moved <= due + timedelta(seconds=most)
        assert moved < following
        assert moved == jittered(due, following, most, seed)


def test_jitter_spreads_jobs_over_its_seconds() -> None:
    due = datetime(2026, 3, 1, tzinfo=UTC)
    moved = {jittered(due, None, 299, f"job {n}") for n in range(300)}
    assert len(moved) > 150
    assert max(moved) - min(moved) > timedelta(seconds=250)

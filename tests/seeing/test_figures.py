"""Figures, pace and schedules in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from olake_reconcile.model.figures import ahead, runtime, short_count, size, span, wall
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.pace import pace
from olake_reconcile.model.run import RunStatus, StreamOutcome
from olake_reconcile.model.schedule import parse_schedule
from olake_reconcile.model.schedule_words import clock_changes, schedule_words

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (999, "999"), (1000, "1.0 k"), (41_249, "41.2 k"), (210_400, "210 k"), (999_900, "1.0 M"),
     (1_234_000, "1.2 M"), (3_400_000_000, "3.4 bn")],
)  # fmt: skip
def test_counts_have_the_digits_that_matter(number: int, words: str) -> None:
    assert short_count(number) == words


def test_sizes_are_decimal() -> None:
    assert [size(n) for n in (0, 999, 1000, 18_600_000_000)] == ["0 B", "999 B", "1.0 kB", "18.6 GB"]


@pytest.mark.parametrize(
    ("seconds", "coarse", "fine"),
    [(0.42, "0 s", "0.4 s"), (59.9, "60 s", "1 min"), (250, "4 min", "4 min 10 s"), (7500, "2 h", "2 h 5 min"),
     (3600, "60 min", "1 h"), (200_000, "2 d", "2 d 7 h")],
)  # fmt: skip
def test_lengths_of_time(seconds: float, coarse: str, fine: str) -> None:
    assert (span(seconds), runtime(seconds)) == (coarse, fine)


def test_moments_show_as_much_of_the_date_as_is_needed() -> None:
    assert wall(NOW + timedelta(hours=1), BERLIN, NOW) == "14:00 CET"
    assert wall(NOW + timedelta(days=2), BERLIN, NOW) == "Tue 13:00 CET"
    assert wall(NOW + timedelta(days=60), BERLIN, NOW) == "Thu 30 Apr 14:00 CEST"
    assert wall(NOW + timedelta(days=700), BERLIN, NOW) == "2028-01-30 13:00 CET"
    assert ahead(NOW, NOW) == "now"


def moving(**figures: object) -> StreamOutcome:
    given: dict[str, object] = {
        "stream": StreamId("public", "orders"),
        "status": RunStatus.RUNNING,
        "started": NOW,
        "told": NOW + timedelta(seconds=6),
    }
    return StreamOutcome.model_validate(given | figures)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (
            {"rows": 1_234_000, "expected": 3_000_000},
            "1.2 M of about 3.0 M rows, 41 %, 206 k rows/s, about 9 s left",
        ),
        ({"rows": 500, "chunks": 3, "chunk_count": 4}, "500 rows, 75 %, 83 rows/s, about 2 s left"),
        ({"rows": 500, "expected": 400}, "500 rows, 83 rows/s"),
        ({"rows": 400, "expected": 400}, "400 of about 400 rows, 99 %, 67 rows/s, about 1 s left"),
        ({"rows": 0, "expected": 400}, "0 of about 400 rows, 0 %"),
        ({"rows": 70, "told": NOW}, "70 rows"),
    ],
)
def test_what_is_left_is_an_estimate_and_never_nothing(figures: dict[str, object], words: str) -> None:
    assert pace(moving(**figures)).words() == words


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("@hourly", "every hour at :00"),
        ("*/15 * * * *", "every 15 minutes"),
        ("* * * * *", "every minute"),
        ("5 4 * * *", "every day at 04:05"),
        ("0 4,16 * * *", "every day at 04:00 and 16:00"),
        ("0 */6 * * *", "every 6 hours at :00"),
        ("30 2 * * 1-5", "Mondays to Fridays at 02:30"),
        ("@weekly", "on Sundays at 00:00"),
        ("0 0 * * MON,THU", "on Mondays and Thursdays at 00:00"),
        ("@monthly", "on day 1 of each month at 00:00"),
        ("every 15m", "every 15 min"),
        ("every 90m", "every 1 h 30 min"),
        ("7 1-3 * 6 *", "by cron '7 1-3 * 6 *'"),
        ("30 0 4 * * * 2027", "by cron '30 0 4 * * * 2027'"),
        ("0 0 1,15 * *", "by cron '0 0 1,15 * *'"),
    ],
)
def test_schedules_are_said_in_words_where_there_are_any(schedule: str, words: str) -> None:
    assert schedule_words(parse_schedule(schedule)) == words


def test_clock_changes_say_what_becomes_of_local_times() -> None:
    spring = list(clock_changes(BERLIN, NOW, NOW + timedelta(days=40)))
    assert spring == [
        "on Sun 29 Mar 2026 clocks in Europe/Berlin go forward by 1 h: local times from 02:00 to 03:00 do not exist, "
        "and what is due in them runs right after"
    ]
    october = datetime(2026, 10, 20, tzinfo=UTC)
    autumn = list(clock_changes(BERLIN, october, october + timedelta(days=10)))
    assert autumn == [
        "on Sun 25 Oct 2026 clocks in Europe/Berlin go back by 1 h: local times from 02:00 to 03:00 come twice, "
        "and what is due in them runs once"
    ]
    assert not list(clock_changes(ZoneInfo("UTC"), NOW, NOW + timedelta(days=400)))

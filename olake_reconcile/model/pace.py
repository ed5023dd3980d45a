"""How fast a stream moves and what is left, from the figures of its outcome: estimates, and said to be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from olake_reconcile.model.figures import short_count, span
from olake_reconcile.model.run import RunStatus, StreamOutcome

# Sooner than that a rate is noise.
_SECONDS_TO_TELL = 1.0
# An estimate never says that nothing is left.
_NEARLY = 0.99


@dataclass(frozen=True, slots=True)
class Pace:
    """Where a running stream is. `fraction` and `left` (seconds) are None while nobody can tell.

    `rate` is rows per second since the stream began, 0 while it is too early to tell.
    """

    rows: int
    expected: int | None
    fraction: float | None
    rate: float
    left: float | None

    def words(self) -> str:
        """Return `1.2 M of about 3.0 M rows, 41 %, 210 k rows/s, about 12 s left`."""
        parts = [f"{short_count(self.rows)} rows"]
        if self.expected is not None and self.rows <= self.expected:
            parts = [f"{short_count(self.rows)} of about {short_count(self.expected)} rows"]
        if self.fraction is not None:
            parts.append(f"{self.fraction:.0%}".replace("%", " %"))
        if self.rate:
            parts.append(f"{short_count(self.rate)} rows/s")
        if self.left is not None:
            parts.append(f"about {span(max(1, self.left))} left")
        return ", ".join(parts)


def pace(outcome: StreamOutcome) -> Pace:
    """Return the pace of a stream that runs, at the moment when its figures were told."""
    seconds = _seconds(outcome.started, outcome.told)
    rate = outcome.rows / seconds if seconds >= _SECONDS_TO_TELL else 0.0
    done = fraction(outcome)
    left = seconds * (1 - done) / done if done and seconds >= _SECONDS_TO_TELL else None
    return Pace(rows=outcome.rows, expected=outcome.expected, fraction=done, rate=rate, left=left)


def fraction(outcome: StreamOutcome) -> float | None:
    """Return which part of the stream is done, by rows if the source told how many there are, else by chunks."""
    if outcome.status is RunStatus.COMPLETED:
        return 1.0
    if outcome.expected and outcome.rows <= outcome.expected:
        return min(_NEARLY, outcome.rows / outcome.expected)
    if outcome.chunk_count > 1:
        return min(_NEARLY, outcome.chunks / outcome.chunk_count)
    return None


def _seconds(started: datetime | None, told: datetime | None) -> float:
    return (told - started).total_seconds() if started and told else 0.0

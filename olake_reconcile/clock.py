"""Time as a port: only this module reads the clock or sleeps."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the program knows of time. `now` is aware, in UTC; `monotonic` never goes back."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, for measuring durations."""
        ...

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """Wait until `wake` is set or `seconds` have passed; tell whether it was set."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, for measuring durations."""
        return time.monotonic()

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """Wait until `wake` is set or `seconds` have passed; tell whether it was set."""
        return wake.wait(seconds)


class ManualClock:
    """A clock that tests move by hand; waiting moves it and never blocks."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the moment to which it was moved."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds since the epoch of the moment to which it was moved."""
        return self._now.timestamp()

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """Move on by `seconds` unless `wake` is set already."""
        if wake.is_set():
            return True
        self.advance(timedelta(seconds=seconds))
        return wake.is_set()

    def advance(self, by: timedelta) -> None:
        """Move on by `by`, which is not negative."""
        self._now += by

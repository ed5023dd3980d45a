"""`schedule` as the ticker of the loop, on our clock: the library's own looks at the wall, which is put back once a year.

With it, a loop on a host that keeps daylight-saving time would stand still for an hour every autumn.
"""

from __future__ import annotations

from typing import Any

import schedule

from olake_reconcile.clock import Clock


class Ticker(schedule.Scheduler):
    """Calls what is due, by the clock that never goes back."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def every(self, interval: int = 1) -> Any:
        """Return a new job, to be finished like `every(2).seconds.do(function)`; it is due at once."""
        return _SteadyJob(interval, self, self._clock)


class _SteadyJob(schedule.Job):
    def __init__(self, interval: int, ticker: Ticker, clock: Clock) -> None:
        super().__init__(interval, ticker)
        self._clock = clock
        self._at = clock.monotonic()

    @property
    def should_run(self) -> bool:
        return self._clock.monotonic() >= self._at

    def run(self) -> Any:
        self._at = self._clock.monotonic() + self.interval
        return super().run()  # type: ignore[no-untyped-call]  # the library has no types

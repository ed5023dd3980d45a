"""Whether and when a failed run is tried again (`retry` of a job)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from olake_reconcile.model.job import Retry
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import Run, RunStatus

#: A wait does not grow beyond this, unless the first one is longer.
LONGEST_SECONDS = 3600

#: Where a run's `detail` tells that its own failure, not that of a stream, may be over next time.
RETRYABLE = "retryable"


def next_attempt(retry: Retry | None, attempt: int, chance: float) -> timedelta | None:
    """Return how long to wait after the failed `attempt` (the first is 1) before the next; None when there is none.

    The wait doubles each time. `chance`, from 0 to 1, moves it by up to a quarter, so that what failed together does not
    come back together.
    """
    if retry is None or attempt > retry.attempts:
        return None
    longest = max(LONGEST_SECONDS, retry.backoff)
    doublings = min(attempt - 1, 20)  # beyond that it is the longest anyway
    return timedelta(seconds=min(retry.backoff << doublings, longest) * (0.75 + chance / 2))


def is_retryable(run: Run) -> bool:
    """Whether the same run may go well later, with nothing changed by hand."""
    failed = [o for o in run.streams if o.status is RunStatus.FAILED]
    return run.status is RunStatus.FAILED and bool(
        run.detail.get(RETRYABLE) or any(o.retryable for o in failed)
    )


def committed_before(runs: Iterable[Run], attempt: int) -> frozenset[StreamId]:
    """Return the streams that the earlier attempts of a run's `attempt` committed; `runs` are the job's, latest first."""
    committed: set[StreamId] = set()
    for run in runs:
        if attempt <= 1 or run.attempt != attempt - 1 or run.status is not RunStatus.FAILED:
            break
        attempt = run.attempt
        committed |= {o.stream for o in run.streams if o.status is RunStatus.COMPLETED}
    return frozenset(committed)

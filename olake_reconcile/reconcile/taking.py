"""Which streams of its job a run takes."""

from __future__ import annotations

from collections.abc import Sequence

from olake_reconcile.model.names import StreamId
from olake_reconcile.model.retry import committed_before
from olake_reconcile.model.run import Run, Trigger
from olake_reconcile.model.stored import StoredJob, StoredStream, StreamPhase
from olake_reconcile.reconcile.services import Services

_LEFT_OUT = frozenset({StreamPhase.REMOVED, StreamPhase.HELD, StreamPhase.NEEDS_RESYNC})


def taken(services: Services, job: StoredJob, run: Run) -> Sequence[StoredStream]:
    """Return the streams that the run takes, in order: not those that wait for somebody, nor what earlier attempts did."""
    done = _done_before(services, run)
    # Somebody who runs it by hand may have mended what a stream was quarantined for.
    left_out = _LEFT_OUT if run.trigger is Trigger.MANUAL else _LEFT_OUT | {StreamPhase.QUARANTINED}
    return [
        stream
        for id_, stream in sorted(job.streams.items())
        if stream.phase not in left_out and not (id_ in done and stream.phase is StreamPhase.LIVE)
    ]


def _done_before(services: Services, run: Run) -> frozenset[StreamId]:
    """What the attempts before this one have committed is not loaded again; unless it was cleared since."""
    if run.attempt == 1:
        return frozenset()
    earlier = [r for r in services.store.runs(run.job, limit=run.attempt) if r.id != run.id]
    return committed_before(earlier, run.attempt)

"""What a run's record says of a stream that was stopped before its last commit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import RunStatus, StreamOutcome

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_only_what_checkpoints_committed_counts_of_a_stream_that_was_stopped() -> None:
    running = StreamOutcome(
        stream=StreamId.parse("public.t"),
        status=RunStatus.RUNNING,
        rows=900,
        bytes=9000,
        started=NOW,
        kept_rows=500,
        kept_bytes=5000,
    )
    stopped = running.stopped(RunStatus.CANCELED, NOW + timedelta(seconds=7))
    assert (stopped.rows, stopped.bytes, stopped.seconds) == (500, 5000, 7.0)
    assert running.model_copy(update={"kept_rows": 0}).stopped(RunStatus.FAILED, NOW).rows == 0


def test_a_stream_that_never_began_took_no_time() -> None:
    outcome = StreamOutcome(stream=StreamId.parse("public.t"), status=RunStatus.RUNNING)
    assert outcome.stopped(RunStatus.CANCELED, NOW).seconds == 0.0

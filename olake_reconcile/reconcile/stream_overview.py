"""The streams of one job as `status JOB` shows them: phase, size, position, age of the data, last error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from olake_reconcile.model.base import Model
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.pace import pace
from olake_reconcile.model.run import Run, RunQuery, RunStatus, StreamOutcome
from olake_reconcile.model.stored import StoredJob, StoredStream, StreamPhase
from olake_reconcile.reconcile.lost import as_it_is
from olake_reconcile.reconcile.overview import freshness
from olake_reconcile.reconcile.services import Services

# Further back nobody looks for how a stream ended; the history has it.
_RUNS = 20


class StreamOverview(Model):
    """A stream. `rows` and `bytes` are those of its table by the last full load; `outcome` is its latest in a run.

    `failing` is the error of its latest outcome, empty when that was none.
    """

    stream: str
    phase: StreamPhase
    phase_reason: str
    table: str
    sync_mode: str
    generation: int
    rows: int | None
    bytes: int | None
    position: dict[str, Any]
    fresh_as_of: datetime | None
    run: str
    outcome: StreamOutcome | None
    failing: str
    progress: str


def look_at_streams(services: Services, job: StoredJob) -> list[StreamOverview]:
    """Return the job's streams, removed ones last, each with its latest outcome."""
    latest = latest_outcomes(map(as_it_is, services.store.find_runs(RunQuery(job=job.name, limit=_RUNS))))
    found = [_stream(stream, latest) for stream in job.streams.values()]
    return sorted(found, key=lambda s: (s.phase is StreamPhase.REMOVED, not s.failing, s.stream))


def latest_outcomes(runs: Iterable[Run]) -> Mapping[StreamId, tuple[Run, StreamOutcome]]:
    """Return each stream's outcome in the latest of `runs` (the latest first) that had the stream."""
    found: dict[StreamId, tuple[Run, StreamOutcome]] = {}
    for run in runs:
        for outcome in run.streams:
            found.setdefault(outcome.stream, (run, outcome))
    return found


def _stream(stream: StoredStream, latest: Mapping[StreamId, tuple[Run, StreamOutcome]]) -> StreamOverview:
    run, outcome = latest.get(stream.id, (None, None))
    load = stream.last_load if stream.phase.has_data else None
    running = outcome is not None and outcome.status is RunStatus.RUNNING
    return StreamOverview(
        stream=str(stream.id),
        phase=stream.phase,
        phase_reason=stream.phase_reason,
        table=str(stream.place),
        sync_mode=str(stream.spec.get("sync_mode", "")),
        generation=stream.generation,
        rows=load.rows if load else None,
        bytes=load.bytes if load else None,
        position=stream.position,
        fresh_as_of=freshness(stream),
        run=run.id if run else "",
        outcome=outcome,
        failing=outcome.error if outcome and outcome.status is RunStatus.FAILED else "",
        progress=pace(outcome).words() if running and outcome else "",
    )

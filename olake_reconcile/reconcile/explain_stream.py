"""Why a stream is in its phase, how old its data is, what its last run did, and what a rebuild would cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.figures import ago, runtime, short_count, size
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.pace import pace
from olake_reconcile.model.position import position_words
from olake_reconcile.model.run import Run, RunQuery, RunStatus, StreamOutcome
from olake_reconcile.model.stored import StoredStream, StreamPhase
from olake_reconcile.plan.actions import Action, Rebuild
from olake_reconcile.plan.words import counted
from olake_reconcile.reconcile.explain_job import explain_job
from olake_reconcile.reconcile.explain_run import failure
from olake_reconcile.reconcile.explanation import (
    Explanation,
    Statement,
    Topic,
    changes_of,
    place_of_setting,
    said_of_files,
    sentence,
)
from olake_reconcile.reconcile.lost import as_it_is
from olake_reconcile.reconcile.overview import freshness
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.stream_overview import latest_outcomes

_PHASES = {
    StreamPhase.PENDING: "Nothing of it is loaded yet: the job's next run loads it in full",
    StreamPhase.LOADING: "Its first load has begun and is not complete: the next run goes on with it or starts over",
    StreamPhase.LIVE: "Its table holds what the last run committed",
    StreamPhase.NEEDS_RESYNC: "It cannot go on from its position: only a rebuild helps, which the plan proposes",
    StreamPhase.QUARANTINED: "It failed for good and is left out of runs until somebody settles it",
    StreamPhase.HELD: "It is held: runs leave it out",
    StreamPhase.REMOVED: "It is in no file any more: it does not sync, and should it come back it is rebuilt",
}  # fmt: skip
_SHORT = {
    StreamPhase.PENDING: "waits for its first load",
    StreamPhase.LOADING: "is being loaded for the first time",
    StreamPhase.LIVE: "is live",
    StreamPhase.NEEDS_RESYNC: "needs a rebuild",
    StreamPhase.QUARANTINED: "is quarantined",
    StreamPhase.HELD: "is held",
    StreamPhase.REMOVED: "was removed",
}


def explain_stream(services: Services, desired: Desired | None, address: Address) -> Explanation | None:
    """Return what there is to say of a stream; None when nobody knows it."""
    stored = services.store.read(address.name)
    job = stored.jobs.get(address.name)
    stream = job.streams.get(StreamId.parse(address.stream)) if job else None
    place = place_of_setting(desired, address)
    now = services.clock.now()
    if job is None or stream is None:
        if desired is None or address.name not in desired.jobs or not place:
            return None
        text = "It is in the files and was never applied."
        statement = Statement(topic=Topic.FILES, text=text, at=place, remedy="olake-reconcile apply")
        headline = f"{address.short} does not sync: it was never applied."
        return Explanation(address=str(address), kind="stream", headline=headline, statements=(statement,))
    runs = map(as_it_is, services.store.find_runs(RunQuery(job=job.name, limit=20)))
    run, outcome = latest_outcomes(runs).get(stream.id, (None, None))
    of_job = explain_job(services, desired, Address("job", address.name))
    statements = [
        _phase(stream),
        *_last(run, outcome, now),
        *_data(stream, now),
        *said_of_files(desired, stored, address, place=place),
        *_cost(stream, changes_of(desired, stored, address) if desired else []),
    ]
    if of_job:
        statements.append(
            Statement(topic=Topic.NEXT, text=of_job.headline, remedy=f"olake-reconcile explain {job.name}")
        )
    return Explanation(
        address=str(address),
        kind="stream",
        headline=_headline(address, stream, outcome, now),
        statements=tuple(statements),
    )


def _headline(address: Address, stream: StoredStream, outcome: StreamOutcome | None, now: datetime) -> str:
    words = f"{address.short} {_SHORT[stream.phase]}"
    if outcome and outcome.status is RunStatus.RUNNING:
        words += f", and is being read now: {pace(outcome).words()}"
    elif outcome and outcome.status is RunStatus.FAILED:
        words += ", and its last run failed"
    if (moment := freshness(stream)) is not None:
        words += f"; its data is as of {ago(moment, now)}"
    return words + "."


def _phase(stream: StoredStream) -> Statement:
    why = f": {stream.phase_reason}" if stream.phase_reason else ""
    facts = {"phase": stream.phase.value, "reason": stream.phase_reason, "generation": stream.generation}
    return Statement(topic=Topic.PHASE, text=sentence(_PHASES[stream.phase] + why), facts=facts)


def _last(run: Run | None, outcome: StreamOutcome | None, now: datetime) -> Iterator[Statement]:
    if run is None or outcome is None:
        yield Statement(topic=Topic.LAST, text="No run that is still in the history had it.")
        return
    if outcome.status is RunStatus.RUNNING:
        yield Statement(topic=Topic.NOW, text=sentence(pace(outcome).words()), at=f"run {run.id}")
        return
    took = f" in {runtime(outcome.seconds)}" if outcome.seconds else ""
    moved = f", {counted(outcome.rows, 'row')}, {size(outcome.bytes)}{took}" if outcome.rows else ""
    text = f"{outcome.status.value} {ago(run.ended or run.started, now)}{moved}"
    yield Statement(
        topic=Topic.LAST, text=sentence(text), at=f"run {run.id}", facts={"run": run.id, "rows": outcome.rows}
    )
    if outcome.error:
        yield failure(outcome.error, run.id)


def _data(stream: StoredStream, now: datetime) -> Iterator[Statement]:
    if (moment := freshness(stream)) is not None:
        text = f"Table {stream.place} shows the source as it was {ago(moment, now)} or later ({moment:%Y-%m-%d %H:%M:%S} UTC)."
        yield Statement(
            topic=Topic.FRESH, text=text, facts={"as_of": moment.isoformat(), "table": str(stream.place)}
        )
    if stream.position:
        text = f"The next run goes on from {position_words(stream.position)}."
        yield Statement(topic=Topic.POSITION, text=text, facts=stream.position)
    elif stream.phase is StreamPhase.LIVE and stream.spec.get("sync_mode") == "full_refresh":
        yield Statement(topic=Topic.POSITION, text="It has none: full_refresh reads everything each time.")


def _cost(stream: StoredStream, changes: Sequence[Action]) -> Iterator[Statement]:
    load = stream.last_load
    for action in changes:
        if isinstance(action, Rebuild):
            reasons = ", ".join(dict.fromkeys(r.words for r in action.reasons))
            yield Statement(
                topic=Topic.COST,
                text=f"The next apply rebuilds it: {reasons}.",
                remedy="olake-reconcile plan",
            )
    if load is None or not stream.phase.has_data:
        return
    rate = load.rows / load.seconds if load.seconds else 0
    speed = f" at {short_count(rate)} rows/s" if rate else ""
    text = f"A rebuild would load about {counted(load.rows, 'row')} ({size(load.bytes)}), about {runtime(load.seconds)}{speed} as the last full load."
    facts = {"rows": load.rows, "bytes": load.bytes, "seconds": load.seconds}
    yield Statement(topic=Topic.COST, text=text, facts=facts)

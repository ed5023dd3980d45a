"""The queue's part of a state store, in memory: for simulations of years. `tests/contracts/test_queue.py` holds it to the port."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from olake_reconcile.model.queue import Agenda, Serving, waits_since
from olake_reconcile.model.run import Holder, Run, RunStatus, RunType
from olake_reconcile.model.stored import Hold, Stored, StoredJob


class MemoryStore:
    """What the scheduler asks of a store."""

    def __init__(self) -> None:
        self.jobs: dict[str, StoredJob] = {}
        self.all_runs: dict[str, Run] = {}
        self._unfinished: dict[str, Run] = {}
        self._holds: dict[str, Hold] = {}
        self._dues: list[tuple[datetime, str]] = []  # may hold due times that were moved

    def save_job(self, job: StoredJob, fence: object) -> None:
        self.jobs[job.name] = job

    def remove_job(self, name: str, fence: object) -> None:
        self.jobs.pop(name, None)

    def read(self, job: str | None = None) -> Stored:
        jobs = self.jobs if job is None else {n: j for n, j in self.jobs.items() if n == job}
        return Stored.model_construct(exists=True, sources={}, destinations={}, jobs=dict(jobs))

    def set_due(
        self, job: str, due: datetime | None, reason: str, *, sooner: bool = False, attempt: int = 0
    ) -> None:
        stored = self.jobs[job]
        if sooner and (due is None or (stored.due is not None and stored.due <= due)):
            return
        moved = {"due": due, "due_reason": reason, "attempt": attempt}
        self.jobs[job] = stored.model_copy(update=moved)
        if due is not None:
            heapq.heappush(self._dues, (due, job))

    def set_hold(self, job: str, hold: Hold | None) -> None:
        self._holds.pop(job, None)
        if hold is not None:
            self._holds[job] = hold

    def next_due(self, now: datetime) -> datetime | None:
        """Return when something is due next, or a hold ends."""
        while self._dues and (self._dues[0][0] <= now or self.jobs[self._dues[0][1]].due != self._dues[0][0]):
            heapq.heappop(self._dues)
        ends = [h.until for h in self._holds.values() if h.until is not None and h.until > now]
        return min([*ends, *(due for due, _ in self._dues[:1])], default=None)

    # The queue

    def agenda(self, now: datetime) -> Agenda:
        held = frozenset(job for job, hold in self._holds.items() if hold.holds_at(now))
        due = [j for j in self.jobs.values() if j.due is not None and j.due <= now and j.name not in held]
        found = [run for run in self._unfinished.values() if run.type is RunType.SYNC]
        waiting = sorted((r for r in found if r.status is RunStatus.QUEUED), key=waits_since)
        bare = [j.model_copy(update={"streams": {}}) if j.streams else j for j in due]
        return Agenda.model_construct(
            due=tuple(sorted(bare, key=lambda j: (j.due, j.name))),
            waiting=tuple(waiting),
            running=tuple(r for r in found if r.status is RunStatus.RUNNING),
            held=held,
        )

    def serve(self, servings: Sequence[Serving]) -> Sequence[str]:
        busy = {run.job for run in self._unfinished.values() if run.type is RunType.SYNC}
        done = []
        for serving in servings:
            if self.jobs[serving.job].due != serving.due or (serving.run is not None and serving.job in busy):
                continue
            self.set_due(serving.job, serving.then, serving.reason)
            if serving.run is not None:
                self._put(serving.run)
            done.append(serving.job)
        return done

    def claim(self, run_ids: Collection[str], holder: Holder, seen: Agenda) -> Sequence[str]:
        going_on = {
            run.id
            for run in self._unfinished.values()
            if run.type is RunType.SYNC and (run.status is RunStatus.RUNNING or run.holder is not None)
        }
        if not seen.taken >= going_on:
            return ()
        free = [i for i in run_ids if i in self._unfinished and self._is_queued(i)]
        for id_ in free:
            self._put(self._unfinished[id_].model_copy(update={"holder": holder}))
        return tuple(free)

    def unclaim(self, run_id: str, holder: Holder) -> None:
        run = self._unfinished.get(run_id)
        if run is not None and run.status is RunStatus.QUEUED and run.holder == holder:
            self._put(run.model_copy(update={"holder": None}))

    # Runs

    def begin_run(self, run: Run) -> None:
        known = self._unfinished.get(run.id)
        if known is not None:
            kept = {n: getattr(known, n) for n in ("queued_at", "due", "attempt", "cancel_requested")}
            run = run.model_copy(update={**kept, "detail": {**known.detail, **run.detail}})
        self._put(run)

    def end_run(
        self,
        run_id: str,
        status: RunStatus,
        now: datetime,
        error: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> Run:
        if run_id in self._unfinished:
            self._put(
                self._unfinished[run_id].model_copy(update={"status": status, "ended": now, "error": error})
            )
        return self.all_runs[run_id]

    def run(self, run_id: str) -> Run | None:
        return self.all_runs.get(run_id)

    def runs(self, job: str | None = None, limit: int = 20) -> Sequence[Run]:
        found = [run for run in self.all_runs.values() if job in (None, run.job)]
        return sorted(found, key=lambda run: (run.started, run.id), reverse=True)[:limit]

    def cancel_requested(self, run_id: str) -> bool:
        return self.all_runs[run_id].cancel_requested

    def request_cancel(self, run_id: str) -> bool:
        if run_id not in self._unfinished:
            return False
        self._put(self._unfinished[run_id].model_copy(update={"cancel_requested": True}))
        return True

    def save_outcome(self, run_id: str, outcome: object) -> None:
        raise AssertionError("no run of a simulation has streams")

    def leases(self) -> Sequence[object]:
        return ()

    def _is_queued(self, id_: str) -> bool:
        return self._unfinished[id_].status is RunStatus.QUEUED

    def _put(self, run: Run) -> None:
        self.all_runs[run.id] = run
        if run.status.is_final:
            self._unfinished.pop(run.id, None)
        else:
            self._unfinished[run.id] = run

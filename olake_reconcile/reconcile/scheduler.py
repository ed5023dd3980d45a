"""The scheduler: due jobs become queued runs, queued runs are started within the limits and watched (design §7).

Everything that must not happen twice is one transaction of the store: a due time is moved on as its run is queued,
and a run is claimed before it is started. So any number of loops may do this at once, and each may die anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from olake_reconcile.errors import Blocked, Interrupted, Locked, ReconcileError
from olake_reconcile.model.codec import read_job
from olake_reconcile.model.event import Level
from olake_reconcile.model.project import Limits
from olake_reconcile.model.queue import Agenda, Serving
from olake_reconcile.model.retry import is_retryable, next_attempt
from olake_reconcile.model.run import Run, RunStatus, RunType, Trigger
from olake_reconcile.model.schedule import due_times
from olake_reconcile.model.stored import StoredJob, StreamPhase
from olake_reconcile.model.window import Windows, closed
from olake_reconcile.reconcile.admission import Load, admitted
from olake_reconcile.reconcile.due import BY_APPLY, FOR_WINDOW, SCHEDULED, STOPPED, next_run_of
from olake_reconcile.reconcile.eventlog import log_event
from olake_reconcile.reconcile.ids import run_id
from olake_reconcile.reconcile.launch import Launcher, RunOrder
from olake_reconcile.reconcile.lost import close_lost, is_lost
from olake_reconcile.reconcile.notice import Notice, OnNotice
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.watch import RunWatch
from olake_reconcile.state.holder import is_dead

# A run that could not begin, because the job is being cleared for instance, is tried again after this.
_AGAIN_SECONDS = 5.0
_MOST_MISSED = 1000  # more are not counted

_LOADED_ANEW = (StreamPhase.PENDING, StreamPhase.LOADING)
_NOWHERE = Load(source="")


class Scheduler:
    """Serves due times and watches over the runs that it started."""

    def __init__(
        self,
        services: Services,
        launcher: Launcher,
        limits: Callable[[], Limits],
        tell: OnNotice,
        windows: Callable[[], Windows] = Windows,
    ) -> None:
        """Take what it needs; `limits` and the project's `windows` are asked anew in each pass, because files change."""
        self._windows = windows
        self._services = services
        self._store = services.store
        self._launcher = launcher
        self._limits = limits
        self._tell = tell
        self._watches: dict[str, RunWatch] = {}
        self._loads: dict[str, Load | None] = {}
        self._not_before: dict[str, float] = {}
        self._overlaps: set[str] = set()
        self._stopped: set[str] = set()
        self._complaints: dict[str, str] = {}
        self.failures = 0

    @property
    def started(self) -> int:
        """How many runs go on that this scheduler started."""
        return len(self._watches)

    def turn(self, *, serve: bool = True) -> None:
        """Serve what is due, unless told not to, and start what may start.

        Raises what the store raises; done again it goes on.
        """
        now = self._services.clock.now()
        agenda = self._store.agenda(now)
        if self._close_lost(agenda):
            agenda = self._store.agenda(now)
        if serve and agenda.due:
            self._serve(agenda, now)
            agenda = self._store.agenda(now)
        self._forget(agenda)
        self._start(agenda)

    def watch(self) -> bool:
        """Look after the runs that were started; tell whether one has ended. An error of one keeps no other waiting."""
        ended = False
        failed: ReconcileError | None = None
        for id_, watch in list(self._watches.items()):
            try:
                outcome = watch.tick()
                if outcome is None:
                    continue
                if isinstance(outcome, Run):
                    self._ended(outcome)
                else:
                    self._refused(watch.launched.order, outcome)
            except ReconcileError as error:
                failed = error  # the store's: it is looked after again in a moment
                continue
            ended = True
            del self._watches[id_]
        if failed is not None:
            raise failed
        return ended

    def stop(self) -> None:
        """Ask every run to stop at its next safe point; its job is due again at once, for whoever runs jobs then."""
        for id_, watch in self._watches.items():
            if id_ not in self._stopped and not self._store.cancel_requested(id_):
                self._stopped.add(id_)
            watch.stop()

    def kill(self) -> None:
        """End every run now."""
        for watch in self._watches.values():
            watch.kill()

    # Due times

    def _serve(self, agenda: Agenda, now: datetime) -> None:
        busy = {run.job: run for run in (*agenda.running, *agenda.waiting)}
        servings = {}
        for job in agenda.due:
            try:
                servings[job.name] = self._serving(job, busy.get(job.name), now)
            except Exception as error:  # noqa: BLE001  one bad job keeps no other waiting
                self._complain(job.name, f"its next run cannot be worked out: {error}")
        for name in self._store.serve(list(servings.values())):
            if (run := busy.get(name)) and run.id not in self._overlaps:
                self._overlaps.add(run.id)
                self._tell_overlap(servings[name], run)

    def _serving(self, job: StoredJob, busy: Run | None, now: datetime) -> Serving:
        assert job.due is not None
        if (shut := self._shut(job, now)) is not None:
            return Serving(job=job.name, due=job.due, then=shut, reason=FOR_WINDOW, run=None)
        then = next_run_of(job, now)
        run = None
        if busy is None and job.active:
            missed = _missed(job, now)
            run = Run(
                id=run_id(now),
                job=job.name,
                type=RunType.SYNC,
                trigger=Trigger.APPLY if job.due_reason == BY_APPLY else Trigger.SCHEDULE,
                status=RunStatus.QUEUED,
                started=now,
                queued_at=now,
                due=job.due,
                attempt=job.attempt + 1,
                detail={"missed": missed} if missed else {},
            )
        return Serving(job=job.name, due=job.due, then=then, reason=SCHEDULED if then else "", run=run)

    def _shut(self, job: StoredJob, now: datetime) -> datetime | None:
        """Return when the windows let a job sync that they do not let now. What an apply owes is loaded at once."""
        if job.due_reason == BY_APPLY:
            return None
        own = Windows.model_validate(job.spec.get("windows", {}))
        found = closed([self._windows().syncs, own.syncs], now)
        # A day later the windows may be others.
        return None if found is None else found.until or now + timedelta(days=1)

    def _tell_overlap(self, serving: Serving, run: Run) -> None:
        """Say it once for each run that is met, however many due times pass meanwhile."""
        what = "still runs" if run.status is RunStatus.RUNNING else "still waits for its turn"
        then = f"next due {serving.then:%Y-%m-%d %H:%M:%S} UTC" if serving.then else "not due again"
        text = f"the run due {serving.due:%H:%M:%S} UTC is skipped: run {run.id} {what}; {then}"
        self._say(Level.WARNING, "overlap_skipped", text, serving.job)

    # The queue

    def _start(self, agenda: Agenda) -> None:
        here = self._services.holder
        starting = [r for r in agenda.waiting if r.holder is not None and self._is_being_started(r)]
        beginning = {run.id for run in starting}
        waiting = [r for r in agenda.waiting if r.id not in beginning and not self._is_over(r)]
        waiting = [r for r in waiting if r.job not in agenda.held]
        busy = {run.job for run in (*agenda.running, *starting)}
        monotonic = self._services.clock.monotonic()
        ready = (r for r in waiting if r.job not in busy and self._not_before.get(r.id, 0) <= monotonic)
        going_on = [self._load(run) or _NOWHERE for run in (*agenda.running, *starting)]
        known = (run for run in ready if self._is_known(run))
        chosen = admitted(known, lambda run: self._load(run) or _NOWHERE, going_on, self._limits())
        if chosen:
            claimed = set(self._store.claim([run.id for run in chosen], here, agenda))
            for run in chosen:
                if run.id in claimed:
                    self._launch(run)

    def _is_being_started(self, run: Run) -> bool:
        """Whether its holder is about to begin it; one of ours that we do not watch could not be started."""
        if run.holder == self._services.holder:
            return run.id in self._watches
        return run.holder is not None and not is_dead(run.holder)

    def _is_over(self, run: Run) -> bool:
        """End a run that somebody cancelled while it waited."""
        if run.cancel_requested:
            self._store.end_run(run.id, RunStatus.CANCELED, self._services.clock.now())
        return run.cancel_requested

    def _is_known(self, run: Run) -> bool:
        """End a run whose job is gone; its facts are looked up when its turn has come, not before."""
        if self._load(run) is not None:
            return True
        error = f"job {run.job} is not stored any more"
        self._store.end_run(run.id, RunStatus.CANCELED, self._services.clock.now(), error)
        return False

    def _load(self, run: Run) -> Load | None:
        if run.id not in self._loads:
            job = self._store.read(run.job).jobs.get(run.job)
            self._loads[run.id] = _load_of(job) if job is not None else None
        return self._loads[run.id]

    def _launch(self, run: Run) -> None:
        order = RunOrder(run_id=run.id, job=run.job, trigger=run.trigger, attempt=run.attempt)
        try:
            launched = self._launcher.start(order)
        except Exception as error:  # noqa: BLE001  whatever it is, the run must not stay claimed
            self._put_back(order, str(error) or type(error).__name__)
            return
        self._watches[run.id] = RunWatch(self._services, launched, partial(log_event, run.job, run.id))

    def _put_back(self, order: RunOrder, why: str) -> None:
        if order.run_id not in self._not_before:
            self._say(Level.WARNING, "run_delayed", f"run {order.run_id} cannot begin yet: {why}", order.job)
        self._not_before[order.run_id] = self._services.clock.monotonic() + _AGAIN_SECONDS
        self._store.unclaim(order.run_id, self._services.holder)

    # The ends of runs

    def _ended(self, run: Run) -> None:
        if run.status is RunStatus.FAILED:
            self.failures += 1
            self._retry(run)
        elif run.status is RunStatus.CANCELED and run.id in self._stopped:
            self._owe(run, timedelta(), STOPPED, run.attempt - 1)
        self._stopped.discard(run.id)
        level = Level.INFO if run.status is RunStatus.COMPLETED else Level.ERROR
        text = f"run {run.id} {run.status.value}, {run.rows:,} rows"
        self._tell(Notice(level, "run_ended", text, run.job, run))

    def _retry(self, run: Run) -> None:
        job = self._store.read(run.job).jobs.get(run.job)
        try:
            retry = read_job(job.name, job.spec).retry if job is not None and job.active else None
        except ValueError as error:
            self._complain(run.job, f"its settings cannot be read: {error}")
            return
        wait = next_attempt(retry, run.attempt, random.random()) if is_retryable(run) else None
        if retry is not None and wait is not None:
            self._owe(run, wait, f"retry {run.attempt} of {retry.attempts}", run.attempt)

    def _owe(self, run: Run, wait: timedelta, reason: str, attempt: int) -> None:
        """Make the job due again after `wait`, unless it is due before that anyway."""
        due = self._services.clock.now() + wait
        self._store.set_due(run.job, due, reason, sooner=True, attempt=attempt)

    def _refused(self, order: RunOrder, error: ReconcileError) -> None:
        """A run that did not begin: it waits on, or it is over."""
        match error:
            case Locked():
                self._put_back(order, error.summary)
            case Blocked() if self._is_held(order.job):
                self._put_back(order, error.summary)
            case Blocked() | Interrupted():
                self._say(Level.WARNING, "run_canceled", error.summary, order.job)
                now = self._services.clock.now()
                self._store.end_run(order.run_id, RunStatus.CANCELED, now, error.summary)
            case _:
                now = self._services.clock.now()
                self._ended(self._store.end_run(order.run_id, RunStatus.FAILED, now, str(error)))

    def _is_held(self, job: str) -> bool:
        return job in self._store.agenda(self._services.clock.now()).held

    def _close_lost(self, agenda: Agenda) -> bool:
        lost = [run for run in agenda.running if run.id not in self._watches and is_lost(run)]
        for run in lost:
            self._ended(close_lost(self._services, run))
        return bool(lost)

    def _forget(self, agenda: Agenda) -> None:
        """Keep nothing of runs that are over."""
        there = {run.id for run in (*agenda.waiting, *agenda.running)}
        self._overlaps &= there
        for known in (self._loads, self._not_before):
            for id_ in known.keys() - there:
                del known[id_]

    def _complain(self, job: str, text: str) -> None:
        """Say what is wrong with a job, once."""
        if self._complaints.get(job) != text:
            self._complaints[job] = text
            self._say(Level.ERROR, "job_unusable", text, job)

    def _say(self, level: Level, action: str, text: str, job: str = "") -> None:
        self._tell(Notice(level, action, text, job))


def _load_of(job: StoredJob) -> Load:
    rebuilds = any(s.generation > 1 and s.phase in _LOADED_ANEW for s in job.streams.values())
    return Load(source=str(job.spec.get("source")), rebuilds=rebuilds)


def _missed(job: StoredJob, now: datetime) -> int:
    """Return how many more due times passed unserved since the job was due."""
    settings = read_job(job.name, job.spec)
    if settings.schedule is None or job.due is None or now - job.due < timedelta(seconds=1):
        return 0
    later = due_times(settings.schedule, job.due, ZoneInfo(settings.timezone))
    return sum(1 for _ in islice(takewhile(lambda due: due <= now, later), _MOST_MISSED))

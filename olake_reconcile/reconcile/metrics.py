"""Figures of a loop for Prometheus, and its health.

What happened is counted as it happens, since this process began; what is, is read when somebody asks: at most once a
second for the queue, and every fifteen for the jobs.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

import olake_reconcile
from olake_reconcile.model.queue import Agenda, waits_since
from olake_reconcile.model.run import Run, RunStatus
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.reconcile.look import look_at
from olake_reconcile.reconcile.lost import LOST
from olake_reconcile.reconcile.notice import Notice, OnNotice
from olake_reconcile.reconcile.overview import JobOverview, freshness
from olake_reconcile.reconcile.services import Services

if TYPE_CHECKING:
    from prometheus_client import Metric

PREFIX = "olake_reconcile_"
#: More jobs, or streams, than this have no figures of their own: a scrape stays a scrape.
MOST_JOBS = 1000
MOST_STREAMS = 5000
OTHERS = "(others)"

# A pass is due every second. One that takes longer than this is stuck, or its store is.
PASS_SECONDS = 60.0
_QUEUE_SECONDS, _JOBS_SECONDS = 1.0, 15.0
_ANSWER_SECONDS = 5.0
_DURATIONS = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)

T = TypeVar("T")


class Metrics:
    """What one loop shows of itself."""

    def __init__(self, services: Services, *, streams: bool = False) -> None:
        """Take what it needs; `streams` says whether each stream has figures too."""
        from prometheus_client import CollectorRegistry, Histogram, Info
        from prometheus_client import Counter as Counting

        self._clock = services.clock
        self._began = self._clock.monotonic()
        self._last_pass: float | None = None
        self._names: set[str] = set()
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counting:
            return Counting(PREFIX + name, text, labels, registry=self.registry)

        Info(PREFIX + "build", "The program.", registry=self.registry).info(
            {"version": olake_reconcile.__version__}
        )
        self._passes = counter("loop_passes", "Turns of the loop that went well.")
        self._troubles = counter(
            "loop_troubles", "Errors that turns of the loop met, equal ones in a row once."
        )
        self._runs = counter("runs", "Runs that ended.", "job", "status")
        self._rows = counter("run_rows", "Rows that runs moved.", "job")
        self._bytes = counter("run_bytes", "Bytes that runs moved.", "job")
        self._retries = counter("run_retries", "Runs that tried again what had failed.", "job")
        self._lost = counter("runs_lost", "Runs whose process died.")
        self._leases_lost = counter("leases_lost", "Runs that lost their job's lease to another process.")
        self._applies = counter("applies", "Applies of changed files.", "result")
        self._durations = Histogram(
            PREFIX + "run_duration_seconds",
            "How long runs took.",
            ["status"],
            buckets=_DURATIONS,
            registry=self.registry,
        )
        self._now = _Now(services, streams=streams)
        self.registry.register(self._now)

    def counting(self, tell: OnNotice) -> OnNotice:
        """Return what counts a notice and passes it on."""

        def count(notice: Notice) -> None:
            self._count(notice)
            tell(notice)

        return count

    def passed(self) -> None:
        """Take note that the loop has made a turn."""
        self._last_pass = self._clock.monotonic()
        self._passes.inc()

    def text(self) -> bytes:
        """Return the figures as Prometheus reads them. Raises what the store raises."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)

    def health(self) -> str:
        """Return why the loop is not well, or an empty text."""
        age = self._clock.monotonic() - (self._began if self._last_pass is None else self._last_pass)
        if age > PASS_SECONDS:
            return f"the loop made its last pass {age:.0f} s ago"
        try:
            self._now.agenda()
        except TimeoutError:
            return f"the state store did not answer within {_ANSWER_SECONDS:.0f} s"
        except Exception:  # noqa: BLE001  what it says is for the log: this page may be open to anybody
            return "the state store does not answer"
        return ""

    def _count(self, notice: Notice) -> None:
        match notice.action:
            case "run_ended" if notice.run is not None:
                self._count_run(notice.run)
            case "applied":
                self._applies.labels("applied").inc()
            case "apply_failed" | "apply_unfinished" | "files_invalid":
                self._applies.labels(notice.action).inc()
            case "loop_trouble":
                self._troubles.inc()
            case _:
                pass

    def _count_run(self, run: Run) -> None:
        job = run.job
        if job not in self._names:
            if len(self._names) < MOST_JOBS:
                self._names.add(job)
            else:
                job = OTHERS
        self._runs.labels(job, run.status.value).inc()
        self._rows.labels(job).inc(max(0, run.rows))
        self._bytes.labels(job).inc(max(0, run.bytes))
        if run.attempt > 1:
            self._retries.labels(job).inc()
        if run.error == LOST:
            self._lost.inc()
        if "was taken from this process" in run.error:
            self._leases_lost.inc()
        if run.ended is not None:
            seconds = max(0.0, (run.ended - run.started).total_seconds())
            self._durations.labels(run.status.value).observe(seconds)


class _Cached(Generic[T]):
    """A value that is read again when it is older than `seconds`; one reads, all others wait for it, not for ever."""

    def __init__(self, services: Services, seconds: float, read: Callable[[], T]) -> None:
        self._clock = services.clock
        self._seconds = seconds
        self._read = read
        self._lock = threading.Lock()
        self._value: tuple[float, T] | None = None

    def get(self) -> T:
        """Return the value. Raises what reading it raises, and `TimeoutError`."""
        if not self._lock.acquire(timeout=_ANSWER_SECONDS):
            raise TimeoutError
        try:
            if self._value is None or self._clock.monotonic() - self._value[0] >= self._seconds:
                self._value = None
                value = self._read()
                self._value = self._clock.monotonic(), value
            return self._value[1]
        finally:
            self._lock.release()


class _Now:
    """What is, as a collector."""

    def __init__(self, services: Services, *, streams: bool) -> None:
        self._services = services
        self._streams = streams
        self._queue = _Cached(services, _QUEUE_SECONDS, self._read_queue)
        self._jobs = _Cached(services, _JOBS_SECONDS, self._read_jobs)

    def agenda(self) -> Agenda:
        return self._queue.get()[0]

    def describe(self) -> Iterable[Metric]:
        return ()  # else the registry would read everything to learn our names

    def collect(self) -> Iterator[Metric]:
        now = self._services.clock.now()
        agenda, incidents = self._queue.get()
        jobs, ages = self._jobs.get()
        oldest = [waits_since(run)[0] for run in agenda.waiting] + [job.due for job in agenda.due if job.due]
        lag = max(((now - due).total_seconds() for due in oldest), default=0.0)
        yield _gauge("runs_queued", "Runs that wait for their turn.", [((), len(agenda.waiting))])
        yield _gauge("runs_running", "Runs that go on.", [((), len(agenda.running))])
        yield _gauge("jobs_held", "Jobs that are paused.", [((), len(agenda.held))])
        yield _gauge("due_lag_seconds", "How long what is due has waited.", [((), max(0.0, lag))])
        open_ = [((kind,), count) for kind, count in sorted(incidents.items())]
        yield _gauge("incidents_open", "Incidents that alerts know of.", open_, "kind")
        yield _gauge("jobs", "Jobs that are stored.", [((), len(jobs))])
        shown = jobs[:MOST_JOBS]
        yield _gauge(
            "job_last_success_timestamp_seconds",
            "When its last run that completed ended.",
            [((j.name,), j.last_good.ended.timestamp()) for j in shown if j.last_good and j.last_good.ended],
            "job",
        )
        yield _gauge(
            "job_failing",
            "Whether its last run failed.",
            [((j.name,), float(j.last is not None and j.last.status is RunStatus.FAILED)) for j in shown],
            "job",
        )
        yield _gauge(
            "job_staleness_seconds",
            "How old the data of its stalest stream is.",
            [((j.name,), _age(j.fresh_as_of, now)) for j in shown if j.fresh_as_of],
            "job",
        )
        if self._streams:
            found = [(labels, _age(moment, now)) for labels, moment in ages]
            yield _gauge("stream_staleness_seconds", "How old a stream's data is.", found, "job", "stream")

    def _read_queue(self) -> tuple[Agenda, Counter[str]]:
        store = self._services.store
        open_ = (i for i in store.incidents().incidents if i.over is None)
        return store.agenda(self._services.clock.now()), Counter(i.kind.value for i in open_)

    def _read_jobs(self) -> tuple[list[JobOverview], list[tuple[tuple[str, str], datetime]]]:
        stored = self._services.store.read()
        jobs = look_at(self._services, stored, None)
        ages: list[tuple[tuple[str, str], datetime]] = []
        for job in stored.jobs.values() if self._streams else ():
            for stream in job.streams.values():
                moment = freshness(stream)
                if (
                    moment is not None
                    and stream.phase is not StreamPhase.REMOVED
                    and len(ages) < MOST_STREAMS
                ):
                    ages.append(((job.name, str(stream.id)), moment))
        return jobs, ages


def _age(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())


def _gauge(name: str, text: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family

"""A simulated year: jobs on a clock that is moved from one happening to the next, and what must be true afterwards."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import cast
from unittest import mock
from zoneinfo import ZoneInfo

from olake_reconcile.clock import ManualClock
from olake_reconcile.model.project import Limits
from olake_reconcile.model.run import Holder, Run, RunStatus
from olake_reconcile.model.stored import Hold, StoredJob
from olake_reconcile.reconcile.due import reschedule
from olake_reconcile.reconcile.launch import RunOrder
from olake_reconcile.reconcile.notice import Notice
from olake_reconcile.reconcile.scheduler import Scheduler
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import APPLY_LOCK, Lease, StateStore
from olake_reconcile.state.store import SqlStore
from tests.schedule.launching import SimulatedLauncher
from tests.schedule.memory import MemoryStore
from tests.schedule.oracle import Cron, fires_of_each

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(runs=12, runs_per_source=5)
SOURCES = 4

# Schedule, zone, how many jobs have it: daily at hours that clocks jump over or show twice, and all other kinds.
SCHEDULES = [
    ("30 2 * * *", "Europe/Berlin", 20),
    ("30 2 * * *", "America/New_York", 9),
    ("30 1 * * *", "America/New_York", 5),
    ("15 2 * * *", "Australia/Lord_Howe", 9),
    ("45 1 * * *", "Australia/Lord_Howe", 5),
    ("5 * * * *", "Australia/Lord_Howe", 1),
    ("0 */6 * * *", "Europe/Berlin", 4),
    ("*/30 */8 * * 6", "America/New_York", 8),
    ("0 9 * * 1-5", "Asia/Kolkata", 19),
    ("0 0 1 * *", "UTC", 60),
    ("0 4 * * 0", "Europe/Berlin", 70),
    ("0 3 1,15 * *", "UTC", 60),
    ("0 0 12 * * 3 2026", "Europe/Berlin", 20),
    ("every 6h", "UTC", 5),
    ("every 1d", "UTC", 5),
]
JOBS = sum(count for *_, count in SCHEDULES)


@cache
def expected(days: int) -> dict[tuple[str, str], frozenset[datetime]]:
    """Return when each schedule fires after `START`, by looking at every minute."""
    end = START + timedelta(days=days)
    found: dict[tuple[str, str], frozenset[datetime]] = {}
    for zone in {zone for _, zone, _ in SCHEDULES}:
        texts = [s for s, z, _ in SCHEDULES if z == zone and not s.startswith("every")]
        fives = [text if len(text.split()) == 5 else " ".join(text.split()[1:6]) for text in texts]
        fired = fires_of_each([Cron(text) for text in fives], START, end, ZoneInfo(zone))
        found |= {(t, zone): frozenset(f) - {START} for t, f in zip(texts, fired, strict=True)}
    for text, step in (("every 6h", timedelta(hours=6)), ("every 1d", timedelta(days=1))):
        found[text, "UTC"] = frozenset(START + step * n for n in range(1, (end - START) // step))
    return found


class SqliteQueue(SqlStore):
    """The real store, which tells a simulation when it has something to do next."""

    def __init__(self, folder: Path) -> None:
        super().__init__("sqlite:///state.db", folder)
        self._path = folder / "state.db"

    def next_due(self, now: datetime) -> datetime | None:
        """Return when something is due next, or a hold ends."""
        query = """
            SELECT min(t) FROM (
                SELECT due t FROM jobs UNION ALL SELECT until FROM holds
            ) WHERE t > ?"""
        with closing(sqlite3.connect(self._path)) as look:
            (found,) = look.execute(query, (now.isoformat(timespec="microseconds"),)).fetchone()
        return datetime.fromisoformat(found) if found else None


@dataclass
class World:
    """300 jobs, what happens to them, and when. Everything is drawn from `seed`."""

    folder: Path
    days: int
    store: MemoryStore | SqliteQueue
    seed: int = 7
    clock: ManualClock = field(init=False)
    notices: list[Notice] = field(default_factory=list)
    kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    downs: list[tuple[datetime, datetime]] = field(default_factory=list)
    holds: dict[str, list[tuple[datetime, datetime]]] = field(default_factory=lambda: defaultdict(list))
    restarts: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.clock = ManualClock(START)
        self.services = Services(
            root=self.folder,
            clock=self.clock,
            secrets=mock.Mock(),
            store=cast(StateStore, self.store),
            engine=mock.Mock(),
            holder=this(1),
            who="test",
        )
        self._apply_jobs()
        self._plan_trouble()

    def _apply_jobs(self) -> None:
        lease = cast(Lease, None)
        if isinstance(self.store, SqliteQueue):
            lease = self.store.acquire(APPLY_LOCK, self.services.holder, "test", START)
        for schedule, zone, count in SCHEDULES:
            for _ in range(count):
                name = f"job{len(self.kinds):03}"
                spec = {
                    "source": f"source{len(self.kinds) % SOURCES}",
                    "destination": "lake",
                    "schedule": schedule,
                    "timezone": zone,
                }
                self.kinds[name] = (schedule, zone)
                self.store.save_job(StoredJob(name=name, uid=name, spec=spec, fingerprint=""), lease)
                reschedule(self.services, name)

    def _plan_trouble(self) -> None:
        """A loop that is down over clock changes too; holds of hours and days; all of it known beforehand."""
        for month, day, hour in ((3, 29, 0), (10, 25, 0), (4, 4, 15), (3, 8, 6)):
            at = datetime(2026, month, day, hour, 40, tzinfo=UTC)
            self.downs.append((at, at + timedelta(hours=2)))
        for _ in range(self.days // 12):
            at = self._moment()
            self.downs.append((at, at + timedelta(minutes=self.random.choice([0, 1, 45, 700]))))
        self.downs.sort()
        for name in self.random.sample(sorted(self.kinds), JOBS // 3):
            at = self._moment()
            self.holds[name].append((at, at + timedelta(hours=self.random.choice([1, 4, 30, 200]))))

    def _moment(self) -> datetime:
        return START + timedelta(minutes=self.random.randrange(self.days * 24 * 60), seconds=17)

    def fate(self, order: RunOrder, now: datetime) -> tuple[timedelta, RunStatus]:
        """A run takes minutes; some fail, and some take so long that they meet their next due time."""
        drawn = self.random.random()
        seconds = 9 * 3600 if drawn < 0.01 else self.random.choice([20, 60, 200, 900])
        return timedelta(seconds=seconds), RunStatus.FAILED if drawn > 0.95 else RunStatus.COMPLETED

    # Living through it

    def live(self) -> None:
        """Let the time pass, with the loop started anew wherever it was down."""
        end = START + timedelta(days=self.days)
        happenings = sorted(
            (h, name, span) for name, spans in self.holds.items() for span in spans for h in span
        )
        up_from = START
        for down, up in [*(d for d in self.downs if d[0] < end), (end, end)]:
            if down > up_from:
                self._run_loop(max(up_from, self.clock.now()), down, happenings)
            up_from = max(up_from, up)

    def _run_loop(
        self,
        start: datetime,
        end: datetime,
        happenings: list[tuple[datetime, str, tuple[datetime, datetime]]],
    ) -> None:
        """One loop, from its start until it is asked to stop: its runs stop, queued ones stay queued."""
        self.restarts += 1
        while self.clock.now() < start:
            self._pass_time(start, happenings)
        services = replace(self.services, holder=this(self.restarts))
        launcher = SimulatedLauncher(services, self.fate)
        scheduler = Scheduler(services, launcher, lambda: LIMITS, self.notices.append)
        while self.clock.now() < end:
            scheduler.watch()
            scheduler.turn()
            ends = min((run.ends for run in launcher.going_on.values()), default=end)
            self._pass_time(min(ends, end, self.store.next_due(self.clock.now()) or end), happenings)
        scheduler.watch()
        scheduler.stop()
        while scheduler.started:
            scheduler.watch()
        assert launcher.most <= LIMITS.runs

    def _pass_time(
        self, to: datetime, happenings: list[tuple[datetime, str, tuple[datetime, datetime]]]
    ) -> None:
        """Move the clock, through the holds that somebody sets on the way."""
        while happenings and happenings[0][0] <= to:
            at, name, (since, until) = happenings.pop(0)
            self._move(at)
            if at == since:
                self.store.set_hold(name, Hold(who="ann", since=since, until=until))
                return  # the loop makes a turn every second: it would have made one by now
        self._move(to)

    def _move(self, to: datetime) -> None:
        self.clock.advance(max(timedelta(), to - self.clock.now()))

    # What must be true

    def check(self) -> Counter[str]:
        """Assert that every due time was honoured once and in order; return how many there were of each fate."""
        runs = self.store.runs(limit=1_000_000)
        by_job: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            by_job[run.job].append(run)
        fates: Counter[str] = Counter()
        for name, kind in self.kinds.items():
            self._check_job(name, expected(self.days)[kind], by_job[name], fates)
        _check_order(runs, self)
        _check_sources(runs)
        return fates

    def _check_job(self, name: str, dues: frozenset[datetime], runs: list[Run], fates: Counter[str]) -> None:
        # What was stopped with a loop is due again at once.
        stops = {down for down, _ in self.downs}
        again = [run for run in runs if run.due in stops - dues]
        assert all(any(r.ended == a.due and r.status is RunStatus.CANCELED for r in runs) for a in again)
        fates["again"] += len(again)
        served = {run.due: run for run in runs if run.due not in stops - dues}
        assert len(served) + len(again) == len(runs), f"{name}: a due time was served twice"
        assert served.keys() <= dues, f"{name}: a run for no due time"
        spans = [(run.queued_at or run.started, run.ended) for run in runs]
        away = sorted([*self.downs, *self.holds[name]])
        for due in dues:
            looked = _looked(away, due)
            run = served.get(due)
            if run is not None:
                assert run.queued_at == looked, f"{name}: {due} was queued late, at {run.queued_at}"
                fates["late" if looked > due else "on time"] += 1
            elif looked >= self.clock.now():
                fates["after the end"] += 1  # the loop was down until then, or the job held
            elif any(run.due and run.due < due <= looked == run.queued_at for run in runs):
                fates["coalesced"] += 1
            else:
                met = any(begun < looked and (ended is None or looked < ended) for begun, ended in spans)
                assert met, f"{name}: {due} was skipped, and nothing ran at {looked}"
                fates["overlap"] += 1


def _looked(away: Sequence[tuple[datetime, datetime]], due: datetime) -> datetime:
    """Return when a loop first saw that a job was due: not while it was away, or somebody held the job."""
    moment = due
    while (until := next((until for since, until in away if since <= moment < until), None)) is not None:
        moment = until
    return moment


def _check_order(runs: Sequence[Run], world: World) -> None:
    """Of two that waited for the same source, the one that was due first began first."""
    by_source = defaultdict(list)
    for run in runs:
        if run.holder is not None and run.due is not None:
            by_source[int(run.job[3:]) % SOURCES].append(run)
    for of_source in by_source.values():
        of_source.sort(key=lambda run: run.started)
        for index, later in enumerate(of_source):
            for earlier in of_source[max(0, index - 20) : index]:
                waited = later.queued_at is not None and later.queued_at <= earlier.started
                if waited and earlier.started < later.started and not world.holds[later.job]:
                    assert (earlier.due, earlier.job) <= (later.due, later.job), (earlier, later)


def _check_sources(runs: Sequence[Run]) -> None:
    """At no moment more runs of one source went on than its limit allows, nor more of all."""
    steps = []
    for run in runs:
        if run.holder is not None and run.ended is not None and run.status is not RunStatus.QUEUED:
            source = int(run.job[3:]) % SOURCES
            steps += [(run.started, 1, source), (run.ended, -1, source)]
    going_on: Counter[int] = Counter()
    for _, step, source in sorted(steps):
        going_on[source] += step
        assert going_on[source] <= LIMITS.runs_per_source
        assert going_on.total() <= LIMITS.runs


def this(number: int) -> Holder:
    """Return the process of the loop with that number, as the others know it."""
    return Holder(host="simulated", boot="", pid=number, started="")

"""What every state store promises of its history: found, the latest of each job, and kept from growing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from olake_reconcile.model.journal import ApplyRecord, ApplyStatus, JournalStep, StepKind, StepStatus
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import Run, RunQuery, RunStatus, RunType, StreamOutcome, Trigger
from olake_reconcile.model.stored import StoredJob
from olake_reconcile.state.base import APPLY_LOCK, StateStore
from olake_reconcile.state.holder import this_process
from tests.contracts.test_state_store import FACTORIES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORDERS = StreamId("public", "orders")
C, F, R, Q = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.RUNNING, RunStatus.QUEUED

Ran = Callable[..., str]


@pytest.fixture(params=sorted(FACTORIES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StateStore:
    return FACTORIES[request.param](tmp_path)


@pytest.fixture
def ran(store: StateStore) -> Ran:
    """Store a run of `job` that began `age` days ago; its id tells both."""

    def add(age: float = 0, status: RunStatus = C, job: str = "daily", type_: RunType = RunType.SYNC) -> str:
        id_ = f"{job}-{type_.value}-{age:07.3f}"
        begin = Q if status is Q else R
        store.begin_run(
            Run(
                id=id_,
                job=job,
                type=type_,
                trigger=Trigger.MANUAL,
                status=begin,
                started=NOW - timedelta(days=age),
                streams=(StreamOutcome(stream=ORDERS, status=begin, rows=7),),
            )
        )
        if status.is_final:
            store.end_run(id_, status, NOW)
        return id_

    return add


def ids(store: StateStore, **query: object) -> list[str]:
    return [run.id for run in store.find_runs(RunQuery.model_validate({"limit": 1000, **query}))]


def test_an_absent_store_has_no_history_and_pruning_makes_none(store: StateStore, tmp_path: Path) -> None:
    assert store.find_runs(RunQuery()) == ()
    assert store.unfinished_runs() == ()
    assert store.latest_runs() == {}
    assert store.known_runs(["a"]) == frozenset()
    assert list(store.prune_runs(NOW, 1)) == []
    assert store.prune_applies(NOW, 1) == 0
    assert not list(tmp_path.iterdir())


def test_runs_are_found_by_job_status_type_and_start(store: StateStore, ran: Ran) -> None:
    old, failed = ran(3), ran(2, F)
    clear, other = ran(1, type_=RunType.CLEAR), ran(0, job="other")
    assert ids(store) == [other, clear, failed, old]
    assert ids(store, job="daily") == [clear, failed, old]
    assert ids(store, status=F) == [failed]
    assert ids(store, type=RunType.CLEAR) == [clear]
    assert ids(store, since=NOW - timedelta(days=2)) == [other, clear, failed]
    assert ids(store, limit=1) == [other]
    assert store.find_runs(RunQuery(status=F))[0].streams[0].rows == 7


def test_unfinished_runs_are_the_queued_and_the_running(store: StateStore, ran: Ran) -> None:
    ran(3)
    running, queued = ran(2, R), ran(1, Q)
    assert [run.id for run in store.unfinished_runs()] == [running, queued]


def test_the_latest_run_of_each_stored_job_is_found_by_status_too(store: StateStore, ran: Ran) -> None:
    lease = store.acquire(APPLY_LOCK, this_process(), "apply", NOW)
    for name in ("daily", "idle"):
        store.save_job(StoredJob(name=name, uid="u", spec={}, fingerprint="f"), lease)
    good, bad, other = ran(2), ran(1, F), ran(3, F, job="idle")
    ran(0, job="gone")
    assert {job: run.id for job, run in store.latest_runs().items()} == {"daily": bad, "idle": other}
    assert {job: run.id for job, run in store.latest_runs(C).items()} == {"daily": good}


def test_known_runs_are_told_from_others(store: StateStore, ran: Ran) -> None:
    known = ran(1)
    assert store.known_runs([known, "other", *(f"x{n}" for n in range(1200))]) == {known}


def test_pruning_keeps_the_latest_and_the_young_whichever_is_more(store: StateStore, ran: Ran) -> None:
    all_ = [ran(age) for age in range(10)]
    assert list(store.prune_runs(NOW - timedelta(days=20), 3)) == [], "all are young"
    gone = store.prune_runs(NOW - timedelta(days=4.5), 3)
    assert sorted(gone) == all_[5:]
    assert ids(store) == all_[:5]
    store.prune_runs(NOW, 3)
    assert ids(store) == all_[:3]
    assert store.run(all_[5]) is None, "its streams went with it"


def test_pruning_never_takes_the_last_good_run_nor_one_that_goes_on(store: StateStore, ran: Ran) -> None:
    running, queued, good, older = ran(90, R), ran(91, Q), ran(92), ran(93)
    clear = ran(94, type_=RunType.CLEAR)
    failures = [ran(age, F) for age in range(3)]
    assert sorted(store.prune_runs(NOW, 2)) == sorted([older, failures[2]])
    assert set(ids(store)) == {running, queued, good, clear, *failures[:2]}


def test_pruning_is_by_job_and_in_portions(store: StateStore, ran: Ran) -> None:
    daily = [ran(age) for age in range(5)]
    other = [ran(age, job="other") for age in range(5)]
    assert list(store.prune_runs(NOW + timedelta(1), 1, job="other", limit=2)) == other[:2:-1]
    assert list(store.prune_runs(NOW + timedelta(1), 1, job="other")) == other[2:0:-1]
    assert ids(store) == sorted([*daily, other[0]], key=lambda i: (i[-7:], i != other[0]))


def test_ended_applies_go_with_their_journals_and_unfinished_ones_stay(store: StateStore) -> None:
    lease = store.acquire(APPLY_LOCK, this_process(), "apply", NOW)
    for age in range(4):
        record = ApplyRecord(
            id=f"a{age}",
            plan={},
            plan_hash="h",
            who="ada",
            holder=this_process(),
            status=ApplyStatus.RUNNING,
            started=NOW - timedelta(days=age),
        )
        store.begin_apply(record, lease)
        step = JournalStep(
            apply_id=record.id,
            seq=1,
            kind=StepKind.MADE_DUE,
            subject="job.daily",
            status=StepStatus.DONE,
            at=NOW,
        )
        store.step(step, lease)
        if age != 3:
            store.end_apply(record.id, ApplyStatus.COMPLETED, NOW, "", lease)
    assert store.prune_applies(NOW - timedelta(days=0.5), 1) == 2
    assert [record.id for record in store.applies()] == ["a0", "a3"]
    assert [len(store.journal(f"a{age}")) for age in range(4)] == [1, 0, 0, 1]

"""What every queue promises (`state/base.py`): that of the store, and the one in memory that simulations use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from olake_reconcile.model.queue import Agenda, Serving
from olake_reconcile.model.run import Holder, Run, RunStatus, RunType, Trigger
from olake_reconcile.model.stored import Hold, StoredJob
from olake_reconcile.state.base import Lease, StateStore
from olake_reconcile.state.holder import this_process
from olake_reconcile.state.store import SqlStore
from tests.schedule.memory import MemoryStore

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ELSEWHERE = Holder(host="other-host", boot="b", pid=7, started="1")  # a process that nobody here can look at
NO_LEASE = cast(Lease, None)

FACTORIES: dict[str, Callable[[Path], StateStore]] = {
    "sqlite": lambda folder: SqlStore("sqlite:///.olake/state.db", folder),
    "memory": lambda folder: cast(StateStore, MemoryStore()),
}


@pytest.fixture(params=sorted(FACTORIES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StateStore:
    return FACTORIES[str(request.param)](tmp_path)


def fence(store: StateStore, name: str) -> Lease:
    return store.acquire(name, this_process(), "test", NOW) if isinstance(store, SqlStore) else NO_LEASE


def job(name: str, **spec: Any) -> StoredJob:
    return StoredJob(name=name, uid=f"u-{name}", spec=spec, fingerprint="f1")


def run(id_: str = "r1", **changes: Any) -> Run:
    made = Run(
        id=id_,
        job="daily",
        type=RunType.SYNC,
        trigger=Trigger.SCHEDULE,
        status=RunStatus.RUNNING,
        started=NOW,
        holder=this_process(),
    )
    return made.model_copy(update=changes)


def queued(id_: str, job: str = "daily", **changes: Any) -> Run:
    return run(id_, job=job, status=RunStatus.QUEUED, holder=None, queued_at=NOW, **changes)


def due_job(store: StateStore, name: str, due: datetime | None, **settings: Any) -> None:
    store.save_job(job(name, **settings), fence(store, f"save {name}"))
    store.set_due(name, due, "schedule")


def serving(store: StateStore, name: str, run_id: str | None = None) -> Serving:
    due = store.read().jobs[name].due
    assert due is not None
    waiting = queued(run_id, name, due=due, attempt=2) if run_id else None
    return Serving(job=name, due=due, then=due + timedelta(hours=1), reason="schedule", run=waiting)


def test_the_agenda_of_an_absent_store_is_empty(store: StateStore) -> None:
    assert store.agenda(NOW) == Agenda()


def test_the_agenda_has_due_jobs_in_order_and_leaves_out_those_that_a_hold_keeps(store: StateStore) -> None:
    minute = timedelta(minutes=1)
    for name, due in (("b", NOW), ("a", NOW), ("old", NOW - minute), ("later", NOW + minute), ("hand", None)):
        due_job(store, name, due)
    due_job(store, "held", NOW)
    due_job(store, "freed", NOW)
    store.set_hold("held", Hold(who="ann", since=NOW))
    store.set_hold("freed", Hold(who="ann", since=NOW - minute, until=NOW))
    store.set_hold("later", Hold(who="ann", since=NOW, until=NOW + minute))
    agenda = store.agenda(NOW)
    assert [j.name for j in agenda.due] == ["old", "a", "b", "freed"]
    assert agenda.held == {"held", "later"}
    stored = store.read().jobs["old"]
    assert agenda.due[0] == stored


def test_the_agenda_has_unfinished_syncs_those_that_wait_longest_first(store: StateStore) -> None:
    minute = timedelta(minutes=1)
    store.begin_run(queued("by-hand"))
    store.begin_run(queued("r2", due=NOW - minute))
    store.begin_run(queued("r1", due=NOW - minute))
    store.begin_run(queued("r3", due=NOW - 2 * minute))
    store.begin_run(run("going", job="other"))
    store.begin_run(run("clear", job="third", type=RunType.CLEAR))
    store.begin_run(run("over", job="fourth"))
    store.end_run("over", RunStatus.FAILED, NOW)
    agenda = store.agenda(NOW)
    assert [r.id for r in agenda.waiting] == ["r3", "r1", "r2", "by-hand"]
    assert [r.id for r in agenda.running] == ["going"]


def test_a_due_time_is_served_once(store: StateStore) -> None:
    due_job(store, "daily", NOW)
    first, second = serving(store, "daily", "r1"), serving(store, "daily", "r2")
    assert store.serve([first]) == ["daily"]
    assert store.serve([second]) == []
    assert store.run("r1") == queued("r1", due=NOW, attempt=2)
    assert store.run("r2") is None
    assert store.read().jobs["daily"].due == NOW + timedelta(hours=1)


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_a_job_never_has_two_unfinished_syncs_of_the_queue(store: StateStore, status: RunStatus) -> None:
    due_job(store, "daily", NOW)
    store.begin_run(run("r0", status=status))
    assert store.serve([serving(store, "daily", "r1")]) == []
    assert store.read().jobs["daily"].due == NOW
    # Passing the due time over is possible.
    assert store.serve([serving(store, "daily")]) == ["daily"]
    assert [r.id for r in store.runs()] == ["r0"]


def test_several_due_times_are_served_together_and_one_that_moved_holds_up_no_other(
    store: StateStore,
) -> None:
    for name in ("a", "b", "c"):
        due_job(store, name, NOW)
    servings = [serving(store, name, f"r-{name}") for name in ("a", "b", "c")]
    store.set_due("b", NOW + timedelta(minutes=1), "apply")
    assert store.serve(servings) == ["a", "c"]


def test_a_served_retry_is_counted_no_more(store: StateStore) -> None:
    due_job(store, "daily", NOW)
    store.set_due("daily", NOW, "retry 2 of 5", attempt=1)
    store.serve([serving(store, "daily", "r1")])
    assert store.read().jobs["daily"].attempt == 0


def test_of_two_who_saw_the_same_queue_one_claims(store: StateStore) -> None:
    for id_ in ("r1", "r2", "r3"):
        store.begin_run(queued(id_, id_))
    seen = store.agenda(NOW)
    assert store.claim(["r1", "r2"], this_process(), seen) == ("r1", "r2")
    assert store.claim(["r3"], ELSEWHERE, seen) == ()
    again = store.agenda(NOW)
    assert again.taken == {"r1", "r2"}
    assert store.claim(["r3"], ELSEWHERE, again) == ("r3",)
    assert [r.holder for r in store.agenda(NOW).waiting] == [this_process(), this_process(), ELSEWHERE]


def test_nothing_is_claimed_when_a_run_began_since_it_was_counted(store: StateStore) -> None:
    store.begin_run(queued("r1", "a"))
    seen = store.agenda(NOW)
    store.begin_run(run("by-hand", job="b"))
    assert store.claim(["r1"], this_process(), seen) == ()
    store.end_run("by-hand", RunStatus.COMPLETED, NOW)
    assert store.claim(["r1"], this_process(), seen) == ("r1",)


def test_a_run_that_was_cancelled_while_it_waited_is_not_claimed(store: StateStore) -> None:
    store.begin_run(queued("r1"))
    seen = store.agenda(NOW)
    store.end_run("r1", RunStatus.CANCELED, NOW)
    assert store.claim(["r1"], this_process(), seen) == ()


def test_a_claim_is_given_back_by_who_holds_it_and_not_once_the_run_has_begun(store: StateStore) -> None:
    store.begin_run(queued("r1"))
    store.claim(["r1"], ELSEWHERE, store.agenda(NOW))
    store.unclaim("r1", this_process())
    assert store.agenda(NOW).taken == {"r1"}
    store.unclaim("r1", ELSEWHERE)
    assert store.agenda(NOW).taken == frozenset()
    store.claim(["r1"], this_process(), store.agenda(NOW))
    store.begin_run(run("r1"))
    store.unclaim("r1", this_process())
    assert store.agenda(NOW).running[0].holder == run().holder

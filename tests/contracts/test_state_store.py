"""What every state store promises (`state/base.py`), checked on each adapter."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olake_reconcile.errors import Blocked, Interrupted, Locked, ReconcileError, StalePlan, UsageError
from olake_reconcile.model.alert import AlertKind
from olake_reconcile.model.event import PolicyCount
from olake_reconcile.model.incident import Incident, Incidents, Sending
from olake_reconcile.model.journal import ApplyRecord, ApplyStatus, JournalStep, StepKind, StepStatus
from olake_reconcile.model.names import Address, StreamId, parse_address
from olake_reconcile.model.run import Holder, Run, RunStatus, RunType, StreamOutcome, Trigger
from olake_reconcile.model.stored import (
    Hold,
    LastLoad,
    Stored,
    StoredEndpoint,
    StoredJob,
    StoredStream,
    StreamPhase,
)
from olake_reconcile.model.stream import TypeClass, TypePolicy
from olake_reconcile.model.table import TablePlace
from olake_reconcile.plan.moves import renamed
from olake_reconcile.state.base import ALERTS_LOCK, APPLY_LOCK, LEASE_SECONDS, Lease, StateStore
from olake_reconcile.state.holder import this_process
from olake_reconcile.state.store import SqlStore

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ELSEWHERE = Holder(host="other-host", boot="b", pid=7, started="1")  # a process that nobody here can look at
ORDERS = StreamId("public", "orders")
SPAWN = multiprocessing.get_context("spawn")

FACTORIES: dict[str, Callable[[Path], StateStore]] = {
    "sqlite": lambda folder: SqlStore("sqlite:///.olake/state.db", folder),
}


@pytest.fixture(params=sorted(FACTORIES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> StateStore:
    return FACTORIES[kind](tmp_path)


def lease_of(store: StateStore, name: str = APPLY_LOCK, now: datetime = NOW) -> Lease:
    return store.acquire(name, this_process(), "apply", now)


def endpoint(name: str = "shop", serial: int = 0, **spec: Any) -> StoredEndpoint:
    return StoredEndpoint(name=name, uid="u1", spec=spec, fingerprint="f1", serial=serial)


def stream(id_: StreamId = ORDERS, **changes: Any) -> StoredStream:
    place = TablePlace(database="sales", table=id_.name)
    return StoredStream(
        id=id_, uid=f"u-{id_}", spec={"sync_mode": "cdc"}, fingerprint="f", place=place
    ).model_copy(update=changes)


def job(name: str = "daily", serial: int = 0, *streams: StoredStream, **spec: Any) -> StoredJob:
    return StoredJob(
        name=name,
        uid=f"u-{name}",
        spec=spec,
        fingerprint="f",
        serial=serial,
        streams={s.id: s for s in streams},
    )


def run(id_: str = "r1", **changes: Any) -> Run:
    return Run(
        id=id_,
        job="daily",
        type=RunType.SYNC,
        trigger=Trigger.MANUAL,
        status=RunStatus.RUNNING,
        started=NOW,
        holder=ELSEWHERE,
    ).model_copy(update=changes)


def apply_record(id_: str = "a1", **changes: Any) -> ApplyRecord:
    return ApplyRecord(
        id=id_,
        plan={"actions": [{"address": "job.daily", "rows": 2**70}], "text": 'é "quoted"'},
        plan_hash="7c1e",
        who="ann",
        holder=ELSEWHERE,
        status=ApplyStatus.RUNNING,
        started=NOW,
    ).model_copy(update=changes)


def journal_step(seq: int, status: StepStatus = StepStatus.STARTED, **detail: Any) -> JournalStep:
    return JournalStep(
        apply_id="a1",
        seq=seq,
        kind=StepKind.STREAM_CLEARED,
        subject="daily/public.orders",
        status=status,
        at=NOW,
        detail=detail,
    )


# An absent store


def test_reading_an_absent_store_finds_nothing_and_creates_nothing(store: StateStore, tmp_path: Path) -> None:
    assert store.read() == Stored(exists=False)
    assert store.key() is None
    assert (store.leases(), store.runs(), store.run("r"), store.applies(), store.journal("a")) == (
        (),
        (),
        None,
        (),
        (),
    )
    assert not store.cancel_requested("r1")
    assert list(tmp_path.iterdir()) == []


def test_commands_that_find_nothing_to_change_create_no_store(store: StateStore, tmp_path: Path) -> None:
    assert store.force(APPLY_LOCK) is None
    assert store.request_cancel("r1") is False
    store.set_due("daily", NOW, "schedule")
    store.set_hold("daily", None)
    assert list(tmp_path.iterdir()) == []


def test_creating_a_store_is_not_yet_an_apply(store: StateStore) -> None:
    store.create()
    store.begin_apply(apply_record(), lease_of(store))
    assert store.read() == Stored(exists=False)


def test_a_store_without_jobs_left_still_exists(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job(), lease)
    store.remove_job("daily", lease)
    assert store.read() == Stored(exists=True)


def test_creating_again_keeps_the_key_and_everything_stored(store: StateStore) -> None:
    store.create()
    key = store.key()
    store.save_endpoint("source", endpoint(), lease_of(store))
    before = store.read()
    store.create()
    assert key is not None
    assert len(key) >= 16
    assert store.key() == key
    assert store.read() == before


# Compare-and-set


def test_everything_applied_reads_back_as_it_was_saved(store: StateStore) -> None:
    lease = lease_of(store)
    full = stream(
        generation=3,
        phase=StreamPhase.NEEDS_RESYNC,
        phase_reason="slot lost",
        position={"lsn": "0/1", "big": 2**70, "nested": [None, {"a": 1.5}]},
        last_load=LastLoad(rows=41_200_113, bytes=18_600_000_000, seconds=3100.5),
    )
    odd = stream(StreamId("Weird ns", 'tab.le "ü"\n'), phase=StreamPhase.REMOVED)
    source = endpoint("shop", port=5432).model_copy(
        update={"values": {"/password": "ab"}, "identity": "7:shop"}
    )
    store.save_endpoint("source", source, lease)
    store.save_endpoint("destination", endpoint("shop", type="iceberg"), lease)
    store.save_job(job("daily", 0, full, odd, schedule="@hourly"), lease)
    saved = store.read()
    assert saved.exists
    assert saved.sources == {"shop": source.model_copy(update={"serial": 1})}
    assert saved.destinations["shop"].spec == {"type": "iceberg"}
    assert saved.jobs == {"daily": job("daily", 1, full, odd, schedule="@hourly")}


def test_reading_twice_reads_the_same(store: StateStore) -> None:
    store.save_job(job("daily", 0, stream()), lease_of(store))
    assert store.read() == store.read()


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_a_save_from_another_serial_is_stale_and_changes_nothing(store: StateStore, seen: int) -> None:
    lease = lease_of(store)
    for serial in range(2):
        store.save_endpoint("source", endpoint(serial=serial), lease)
        store.save_job(job("daily", serial, stream()), lease)
    before = store.read()
    with pytest.raises(StalePlan, match=r"source\.shop is no longer"):
        store.save_endpoint("source", endpoint(serial=seen, changed=True), lease)
    with pytest.raises(StalePlan, match=r"job\.daily is no longer"):
        store.save_job(job("daily", seen, changed=True), lease)
    assert store.read() == before


def test_of_two_who_saw_the_same_serial_the_second_is_refused(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job("daily", 0), lease)
    store.save_job(job("daily", 1, owner="ann"), lease)
    with pytest.raises(StalePlan):
        store.save_job(job("daily", 1, owner="bob"), lease)
    assert store.read().jobs["daily"].spec == {"owner": "ann"}


def test_a_save_of_something_removed_meanwhile_is_stale(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job("daily", 0, stream()), lease)
    store.remove_job("daily", lease)
    with pytest.raises(StalePlan, match="gone"):
        store.save_job(job("daily", 1), lease)
    assert save_progress(store, lease) is False


def test_a_saved_job_has_the_streams_of_the_save_and_no_others(store: StateStore) -> None:
    lease = lease_of(store)
    kept, dropped, new = (stream(StreamId("public", name)) for name in ("kept", "dropped", "new"))
    store.save_job(job("daily", 0, kept, dropped), lease)
    changed = kept.model_copy(update={"generation": 2})
    store.save_job(job("daily", 1, changed, new), lease)
    assert store.read().jobs["daily"].streams == {changed.id: changed, new.id: new}


def test_saving_a_job_leaves_its_due_time_and_hold(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job("daily", 0), lease)
    hold = Hold(who="ann", why="migration", since=NOW, until=NOW + timedelta(hours=4))
    store.set_due("daily", NOW, "applied")
    store.set_hold("daily", hold)
    store.save_job(job("daily", 1, owner="bob"), lease)
    saved = store.read().jobs["daily"]
    assert (saved.due, saved.due_reason, saved.hold) == (NOW, "applied", hold)


def save_progress(store: StateStore, lease: Lease, generation: int = 1, **changes: Any) -> bool:
    progress: dict[str, Any] = {"phase": StreamPhase.LIVE, "position": {"lsn": 5}, "fence": lease} | changes
    return store.save_progress("daily", ORDERS, generation=generation, **progress)


def test_progress_leaves_the_serial_of_the_job_the_settings_and_the_other_streams(store: StateStore) -> None:
    lease = lease_of(store)
    other = stream(StreamId("public", "customers"))
    load = LastLoad(rows=1, bytes=2, seconds=3)
    store.save_job(job("daily", 0, stream(last_load=load), other), lease)
    assert save_progress(store, lease, phase_reason="first load") is True
    live = stream(phase=StreamPhase.LIVE, phase_reason="first load", position={"lsn": 5}, last_load=load)
    assert store.read().jobs["daily"] == job("daily", 1, live, other)
    newer = LastLoad(rows=4, bytes=5, seconds=6)
    save_progress(store, lease, last_load=newer)
    assert store.read().jobs["daily"].streams[ORDERS].last_load == newer


def test_progress_of_another_generation_or_a_removed_stream_is_not_stored(store: StateStore) -> None:
    lease = lease_of(store)
    assert save_progress(store, lease) is False
    store.save_job(job("daily", 0, stream(generation=2)), lease)
    before = store.read()
    assert save_progress(store, lease, generation=1) is False
    assert store.read() == before
    store.save_job(job("daily", 1, stream(generation=2, phase=StreamPhase.REMOVED)), lease)
    assert save_progress(store, lease, generation=2) is False
    assert store.read().jobs["daily"].streams[ORDERS].phase is StreamPhase.REMOVED


def test_saving_settings_keeps_the_progress_that_a_run_made_meanwhile(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job("daily", 0, stream()), lease)
    read = store.read().jobs["daily"]
    load = LastLoad(rows=1, bytes=2, seconds=3)
    save_progress(store, lease, last_load=load)
    edited = read.streams[ORDERS].model_copy(update={"spec": {"threads": 2}})
    store.save_job(read.model_copy(update={"streams": {ORDERS: edited}}), lease)
    assert store.read().jobs["daily"].streams[ORDERS] == stream(
        spec={"threads": 2}, phase=StreamPhase.LIVE, position={"lsn": 5}, last_load=load
    )


def test_a_new_generation_starts_with_the_progress_of_the_save(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job("daily", 0, stream()), lease)
    save_progress(store, lease)
    store.save_job(job("daily", 1, stream(generation=2)), lease)
    assert store.read().jobs["daily"].streams[ORDERS] == stream(generation=2)


def test_a_removed_stream_keeps_its_position_until_it_comes_back(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job("daily", 0, stream()), lease)
    save_progress(store, lease)
    for serial, phase in enumerate((StreamPhase.REMOVED, StreamPhase.NEEDS_RESYNC), start=1):
        store.save_job(job("daily", serial, stream(phase=phase)), lease)
        assert store.read().jobs["daily"].streams[ORDERS] == stream(phase=phase, position={"lsn": 5})


def test_reading_one_job_gives_that_job_and_all_endpoints(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_endpoint("source", endpoint(), lease)
    for name in ("daily", "nightly"):
        store.save_job(job(name, 0, stream()), lease)
    everything = store.read()
    only = everything.jobs["daily"]
    assert store.read("daily") == everything.model_copy(update={"jobs": {"daily": only}})
    assert store.read("unknown") == everything.model_copy(update={"jobs": {}})


def test_a_removed_job_takes_its_streams_and_hold_with_it_and_leaves_its_runs(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job("daily", 0, stream()), lease)
    store.set_hold("daily", Hold(who="ann", since=NOW))
    store.begin_run(run())
    store.remove_job("daily", lease)
    store.remove_job("daily", lease)
    store.save_job(job("daily", 0), lease)
    assert store.read().jobs["daily"] == job("daily", 1)
    assert [r.id for r in store.runs("daily")] == ["r1"]


def test_removing_an_endpoint_leaves_the_one_of_the_other_kind(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_endpoint("source", endpoint(), lease)
    store.save_endpoint("destination", endpoint(), lease)
    store.remove_endpoint("source", "shop", lease)
    store.remove_endpoint("source", "shop", lease)
    assert (set(store.read().sources), set(store.read().destinations)) == (set(), {"shop"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(min_size=1, max_size=20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=st.dictionaries(st.text(), JSON, max_size=4), namespace=NAMES, name=NAMES)
def test_any_settings_and_names_read_back_equal(
    store: StateStore, spec: dict[str, Any], namespace: str, name: str
) -> None:
    store.force(APPLY_LOCK)
    lease = lease_of(store)
    store.remove_job("daily", lease)
    saved = stream(StreamId(namespace, name), spec=spec, position=spec)
    store.save_job(job("daily", 0, saved, settings=spec), lease)
    assert store.read().jobs["daily"] == job("daily", 1, saved, settings=spec)


# Due times and holds


@pytest.mark.parametrize(
    ("stored", "asked", "kept"),
    [
        (None, NOW, NOW),
        (NOW, NOW - timedelta(seconds=1), NOW - timedelta(seconds=1)),
        (NOW, NOW + timedelta(seconds=1), NOW),
        (NOW, None, NOW),
        # Earlier by the sun, later by the text of its own zone.
        (
            NOW,
            (NOW - timedelta(minutes=1)).astimezone(timezone(timedelta(hours=9))),
            NOW - timedelta(minutes=1),
        ),
    ],
)
def test_sooner_never_makes_a_job_run_later(
    store: StateStore, stored: datetime | None, asked: datetime | None, kept: datetime
) -> None:
    store.save_job(job(), lease_of(store))
    store.set_due("daily", stored, "stored")
    store.set_due("daily", asked, "asked", sooner=True)
    assert store.read().jobs["daily"].due == kept


def test_a_due_time_counts_the_runs_that_failed_before_it(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_job(job(), lease)
    store.set_due("daily", NOW, "retry 2 of 5", attempt=2)
    store.save_job(job(serial=1), lease)
    assert store.read().jobs["daily"].attempt == 2
    store.set_due("daily", NOW + timedelta(days=1), "schedule")
    assert store.read().jobs["daily"].attempt == 0


def test_a_due_time_can_be_moved_later_and_taken_away(store: StateStore) -> None:
    store.save_job(job(), lease_of(store))
    for due in (NOW, NOW + timedelta(days=1), None):
        store.set_due("daily", due, "because")
        assert (store.read().jobs["daily"].due, store.read().jobs["daily"].due_reason) == (due, "because")


def test_a_hold_replaces_the_one_before_and_can_be_lifted(store: StateStore) -> None:
    store.save_job(job(), lease_of(store))
    for hold in (Hold(who="ann", since=NOW), Hold(who="bob", why="w", since=NOW, until=NOW), None):
        store.set_hold("daily", hold)
        assert store.read().jobs["daily"].hold == hold


def test_a_hold_on_an_unknown_job_is_refused(store: StateStore) -> None:
    store.create()
    with pytest.raises(ReconcileError, match="no stored job 'nightly'"):
        store.set_hold("nightly", Hold(who="ann", since=NOW))


def test_an_endpoint_that_a_stored_job_uses_is_not_removed(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_endpoint("source", endpoint("shop"), lease)
    store.save_job(job("daily", source="shop"), lease)
    with pytest.raises(Blocked, match=r"source\.shop is used by daily"):
        store.remove_endpoint("source", "shop", lease)
    assert "shop" in store.read().sources
    store.remove_job("daily", lease)
    store.remove_endpoint("source", "shop", lease)
    assert not store.read().sources


# Renames

RENAMES = [
    ("source.shop", "source.store"),
    ("destination.lake", "destination.pond"),
    ("daily", "hourly"),
    ("daily/public.orders", "daily/public.sales"),
    ("daily/public.orders", "other/public.orders"),
    ("daily/public.orders", "new/sales.orders"),
]


def full_store(store: StateStore) -> Lease:
    """Fill a store with two jobs and their endpoints, one of them due, held, run and half loaded."""
    lease = lease_of(store)
    store.save_endpoint("source", endpoint("shop"), lease)
    store.save_endpoint("destination", endpoint("lake"), lease)
    spec = {"source": "shop", "destination": "lake", "schedule": "@hourly"}
    store.save_job(job("daily", 0, stream(), stream(StreamId("public", "items")), **spec), lease)
    store.save_job(job("other", 0, stream(StreamId("public", "log")), **spec), lease)
    save_progress(store, lease)
    store.set_due("daily", NOW, "schedule")
    store.set_hold("daily", Hold(who="ann", since=NOW))
    store.begin_run(run("r1"))
    return lease


@pytest.mark.parametrize(("before", "after"), RENAMES)
def test_a_rename_is_what_the_planner_foresees_and_may_be_repeated(
    store: StateStore, before: str, after: str
) -> None:
    lease = full_store(store)
    old, new = parse_address(before), parse_address(after)
    foreseen = renamed(store.read(), old, new)
    for _ in range(2):
        store.rename(old, new, lease)
        assert store.read() == foreseen


def test_a_renamed_job_takes_its_due_time_hold_progress_and_runs_along(store: StateStore) -> None:
    lease = full_store(store)
    before = store.read().jobs["daily"]
    store.rename(Address("job", "daily"), Address("job", "hourly"), lease)
    assert store.read().jobs["hourly"] == before.model_copy(update={"name": "hourly"})
    assert [r.id for r in store.runs("hourly")] == ["r1"]
    assert not store.runs("daily")


def test_a_stream_keeps_uid_generation_position_and_table_through_renames(store: StateStore) -> None:
    lease = full_store(store)
    before = store.read().jobs["daily"].streams[ORDERS]
    store.rename(parse_address("daily/public.orders"), parse_address("new/public.sales"), lease)
    sales = StreamId("public", "sales")
    assert store.read().jobs["new"].streams[sales] == before.model_copy(update={"id": sales})
    assert ORDERS not in store.read().jobs["daily"].streams


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("daily", "other"),
        ("gone", "nowhere"),
        ("daily/public.orders", "daily/public.items"),
        ("daily/public.gone", "daily/public.nowhere"),
        ("source.gone", "source.nowhere"),
    ],
)
def test_a_rename_onto_something_or_of_nothing_is_stale_and_changes_nothing(
    store: StateStore, before: str, after: str
) -> None:
    lease = full_store(store)
    stored = store.read()
    with pytest.raises(StalePlan, match=r"both are stored|neither is stored"):
        store.rename(parse_address(before), parse_address(after), lease)
    assert store.read() == stored


# Leases


def test_a_held_lease_is_refused_with_holder_purpose_start_and_remedy(store: StateStore) -> None:
    held = store.acquire("job:daily", ELSEWHERE, "sync run 7f", NOW)
    with pytest.raises(Locked) as caught:
        lease_of(store, "job:daily", held.expires - timedelta(microseconds=1))
    text = str(caught.value)
    assert "'job:daily' is held by pid 7 on other-host (sync run 7f) since 2026-03-01 12:30 UTC" in text
    assert "--lock-timeout" in text
    assert text.endswith("olake-reconcile force-unlock job:daily")
    assert store.leases() == (held,)


def test_a_process_cannot_take_a_lease_twice(store: StateStore) -> None:
    lease_of(store)
    with pytest.raises(Locked):
        lease_of(store)


def test_leases_of_other_names_are_free(store: StateStore) -> None:
    first, second = lease_of(store, "job:b"), lease_of(store, "job:a")
    assert store.leases() == (second, first)


def test_a_lease_runs_out_after_sixty_seconds(store: StateStore) -> None:
    held = store.acquire(APPLY_LOCK, ELSEWHERE, "apply", NOW)
    assert held.expires == NOW + timedelta(seconds=LEASE_SECONDS)
    taken = lease_of(store, now=held.expires)
    assert taken.token > held.token
    assert store.leases() == (taken,)


def test_renewing_pushes_the_expiry_out(store: StateStore) -> None:
    held = store.acquire(APPLY_LOCK, ELSEWHERE, "apply", NOW)
    later = NOW + timedelta(seconds=LEASE_SECONDS - 1)
    renewed = store.renew(held, later)
    assert renewed == held.model_copy(update={"expires": later + timedelta(seconds=LEASE_SECONDS)})
    assert store.leases() == (renewed,)
    with pytest.raises(Locked):
        lease_of(store, now=held.expires)


def test_an_expired_lease_that_nobody_took_can_be_renewed_and_fences(store: StateStore) -> None:
    held = store.acquire(APPLY_LOCK, ELSEWHERE, "apply", NOW)
    renewed = store.renew(held, held.expires + timedelta(hours=1))
    store.save_job(job(), renewed)


def test_tokens_grow_through_release_and_force(store: StateStore) -> None:
    tokens = []
    for give_up in (store.release, lambda lease: store.force(lease.name), store.release):
        lease = lease_of(store)
        tokens.append(lease.token)
        give_up(lease)
        assert store.leases() == ()
    assert tokens == sorted(set(tokens))


def test_releasing_a_lease_that_was_taken_over_leaves_it_to_its_new_holder(store: StateStore) -> None:
    old = store.acquire(APPLY_LOCK, ELSEWHERE, "apply", NOW)
    new = lease_of(store, now=old.expires)
    store.release(old)
    assert store.leases() == (new,)


def test_forcing_returns_what_was_held(store: StateStore) -> None:
    held = lease_of(store)
    assert store.force(APPLY_LOCK) == held
    assert store.force(APPLY_LOCK) is None
    assert store.force("job:unknown") is None


def test_an_identity_takes_the_place_of_the_one_that_was_seen_and_of_no_other(store: StateStore) -> None:
    lease = lease_of(store)
    store.save_endpoint("source", endpoint(), lease)

    def recorded() -> tuple[str | None, int]:
        found = store.read().sources["shop"]
        return found.identity, found.serial

    store.record_identity("source", "shop", "one", lease)
    assert recorded() == ("one", 1)
    store.record_identity("source", "shop", "two", lease)
    store.record_identity("source", "shop", "two", lease, before="other")
    assert recorded() == ("one", 1)
    store.record_identity("source", "shop", "two", lease, before="one")
    assert recorded() == ("two", 1)


def fenced_writes(store: StateStore, lease: Lease) -> dict[str, Callable[[], object]]:
    return {
        "renew": lambda: store.renew(lease, NOW),
        "save_endpoint": lambda: store.save_endpoint("source", endpoint(), lease),
        "record_identity": lambda: store.record_identity("destination", "lake", "i", lease),
        "remove_endpoint": lambda: store.remove_endpoint("destination", "lake", lease),
        "save_job": lambda: store.save_job(job("daily", 1), lease),
        "remove_job": lambda: store.remove_job("daily", lease),
        "rename": lambda: store.rename(Address("job", "daily"), Address("job", "hourly"), lease),
        "save_progress": lambda: save_progress(store, lease),
        "begin_apply": lambda: store.begin_apply(apply_record("a2"), lease),
        "step": lambda: store.step(journal_step(1), lease),
        "end_apply": lambda: store.end_apply("a1", ApplyStatus.FAILED, NOW, "", lease),
        "save_incidents": lambda: store.save_incidents(Incidents(), lease),
    }


@pytest.mark.parametrize("lost", ["taken over", "forced", "released"])
def test_no_write_gets_past_a_lost_lease(store: StateStore, lost: str) -> None:
    lease = lease_of(store)
    store.save_endpoint("destination", endpoint("lake"), lease)
    store.save_job(job("daily", 0, stream()), lease)
    store.begin_apply(apply_record(), lease)
    match lost:
        case "taken over":
            store.acquire(APPLY_LOCK, ELSEWHERE, "apply", lease.expires)
        case "forced":
            store.force(APPLY_LOCK)
        case _:
            store.release(lease)
    before = store.read(), store.applies(), store.journal("a1"), store.leases()
    for write in fenced_writes(store, lease).values():
        with pytest.raises(Locked, match="was taken from this process"):
            write()
    assert (store.read(), store.applies(), store.journal("a1"), store.leases()) == before


def test_every_fenced_write_is_covered_above(store: StateStore) -> None:
    fenced = {
        name for name, member in vars(StateStore).items() if "fence" in getattr(member, "__annotations__", {})
    }
    assert fenced | {"renew"} == set(fenced_writes(store, lease_of(store)))


# Runs


def test_a_run_reads_back_with_its_streams(store: StateStore) -> None:
    outcome = StreamOutcome(stream=ORDERS, status=RunStatus.RUNNING)
    store.begin_run(run(streams=(outcome,)))
    ended = outcome.model_copy(
        update={
            "status": RunStatus.COMPLETED,
            "rows": 3,
            "position_to": {"lsn": 2**70},
            "policies": (
                PolicyCount(column="at", kind=TypeClass.TEMPORAL_RANGE, policy=TypePolicy.NULL, count=2),
            ),
        }
    )
    other = StreamOutcome(stream=StreamId("public", "customers"), status=RunStatus.FAILED, error="no")
    for saved in (other, ended):
        store.save_outcome("r1", saved)
    assert store.run("r1") == run(streams=(other, ended))
    done = store.end_run("r1", RunStatus.FAILED, NOW, "1 stream failed")
    assert done == run(streams=(other, ended), status=RunStatus.FAILED, ended=NOW, error="1 stream failed")
    assert store.runs() == (done,)


def test_the_first_to_end_a_run_names_its_status(store: StateStore) -> None:
    store.begin_run(run())
    first = store.end_run("r1", RunStatus.CANCELED, NOW)
    second = store.end_run("r1", RunStatus.COMPLETED, NOW + timedelta(seconds=1), "late")
    assert first == second == run(status=RunStatus.CANCELED, ended=NOW)


def test_a_cancel_is_seen_by_the_run_until_it_has_ended(store: StateStore) -> None:
    store.begin_run(run())
    assert store.cancel_requested("r1") is False
    assert store.request_cancel("r1") is True
    assert store.cancel_requested("r1") is True
    store.end_run("r1", RunStatus.COMPLETED, NOW)
    assert store.request_cancel("r1") is False
    assert store.run("r1") == run(status=RunStatus.COMPLETED, ended=NOW, cancel_requested=True)


def test_a_queued_run_begins_once_and_keeps_a_cancel_that_came_meanwhile(store: StateStore) -> None:
    store.begin_run(run(status=RunStatus.QUEUED, holder=None))
    assert store.request_cancel("r1") is True
    store.begin_run(run())
    assert store.run("r1") == run(cancel_requested=True)
    with pytest.raises(ReconcileError, match="has begun already"):
        store.begin_run(run())


def test_a_queued_run_that_was_cancelled_does_not_begin(store: StateStore) -> None:
    store.begin_run(run(status=RunStatus.QUEUED))
    store.end_run("r1", RunStatus.CANCELED, NOW)
    with pytest.raises(Interrupted):
        store.begin_run(run())
    found = store.run("r1")
    assert found is not None
    assert found.status is RunStatus.CANCELED


def test_a_run_that_waited_keeps_what_it_was_queued_with(store: StateStore) -> None:
    waited: dict[str, Any] = {
        "queued_at": NOW - timedelta(minutes=2),
        "due": NOW - timedelta(minutes=3),
        "attempt": 2,
    }
    waiting = run(status=RunStatus.QUEUED, holder=None, detail={"source": "shop"}, **waited)
    store.begin_run(waiting)
    assert store.run("r1") == waiting
    begun = NOW + timedelta(minutes=1)
    store.begin_run(run(started=begun, detail={"pid": 7}))
    assert store.run("r1") == run(started=begun, detail={"source": "shop", "pid": 7}, **waited)


def test_what_is_learnt_at_a_runs_end_is_added_to_what_is_known_of_it(store: StateStore) -> None:
    store.begin_run(run(detail={"source": "shop"}))
    store.end_run("r1", RunStatus.CANCELED, NOW, detail={"seconds": 3})
    store.end_run("r1", RunStatus.COMPLETED, NOW, detail={"seconds": 4})
    known = {"source": "shop", "seconds": 4}
    assert store.run("r1") == run(status=RunStatus.CANCELED, ended=NOW, detail=known)


def test_runs_are_listed_latest_first_by_job(store: StateStore) -> None:
    for number in (2, 0, 3, 1):
        store.begin_run(run(f"r{number}", started=NOW + timedelta(microseconds=number)))
    store.begin_run(run("x", job="nightly", started=NOW + timedelta(days=1)))
    assert [r.id for r in store.runs()] == ["x", "r3", "r2", "r1", "r0"]
    assert [r.id for r in store.runs("daily", limit=2)] == ["r3", "r2"]


def test_a_unique_beginning_finds_a_run(store: StateStore) -> None:
    for id_ in ("ab", "abc1", "abd2", "b%", "bx"):
        store.begin_run(run(id_))
    expected = {"ab": "ab", "abc": "abc1", "b%": "b%", "ABC": None, "c": None, "": None, "a%": None}
    found = {text: store.run(text) for text in expected}
    assert {text: r.id if r else None for text, r in found.items()} == expected
    with pytest.raises(UsageError, match="Several runs begin with 'a'"):
        store.run("a")


def test_ending_or_telling_of_an_unknown_run_is_refused(store: StateStore) -> None:
    store.create()
    with pytest.raises(ReconcileError, match="no run r9"):
        store.end_run("r9", RunStatus.FAILED, NOW)
    with pytest.raises(ReconcileError, match="no run r9"):
        store.save_outcome("r9", StreamOutcome(stream=ORDERS, status=RunStatus.RUNNING))


# The journal


def test_the_journal_reads_back_by_seq_with_each_step_once(store: StateStore) -> None:
    lease = lease_of(store)
    store.begin_apply(apply_record(), lease)
    done = journal_step(1, StepStatus.DONE, ticket={"metadata": "s3://x"})
    for step in (journal_step(2), journal_step(1, ticket={"metadata": None}), done):
        store.step(step, lease)
    assert store.journal("a1") == (done, journal_step(2))
    assert store.journal("a2") == ()


def test_applies_are_listed_latest_first_by_status(store: StateStore) -> None:
    lease = lease_of(store)
    records = [apply_record(f"a{n}", started=NOW + timedelta(seconds=n)) for n in range(3)]
    for record in records:
        store.begin_apply(record, lease)
    store.end_apply("a1", ApplyStatus.PARTLY, NOW, "job.daily failed", lease)
    ended = records[1].model_copy(
        update={"status": ApplyStatus.PARTLY, "ended": NOW, "error": "job.daily failed"}
    )
    assert store.applies() == (records[2], ended, records[0])
    assert store.applies(ApplyStatus.RUNNING, limit=1) == (records[2],)
    assert store.applies(ApplyStatus.PARTLY) == (ended,)
    store.end_apply("a2", ApplyStatus.COMPLETED, NOW, "", lease, {"trigger": "schedule"})
    assert store.applies(ApplyStatus.COMPLETED)[0].detail == {"trigger": "schedule"}
    store.end_apply("a2", ApplyStatus.FAILED, NOW, "", lease)
    assert store.applies(ApplyStatus.FAILED)[0].detail == {"trigger": "schedule"}
    with pytest.raises(ReconcileError, match="no apply a9"):
        store.end_apply("a9", ApplyStatus.FAILED, NOW, "", lease)


def test_moments_without_a_zone_are_a_bug_and_never_stored(store: StateStore) -> None:
    with pytest.raises(Exception, match="without a time zone"):
        store.begin_run(run(started=NOW.replace(tzinfo=None)))
    assert store.runs() == ()


# Several processes


@contextmanager
def worker(target: Callable[..., None], *args: object) -> Iterator[BaseProcess]:
    process = SPAWN.Process(target=target, args=args)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


def hold_lease(kind: str, folder: Path, told: Connection) -> None:
    lease = FACTORIES[kind](folder).acquire(APPLY_LOCK, this_process(), "apply", NOW)
    told.send(lease.model_dump_json())
    signal.pause()


def test_the_lease_of_a_killed_process_is_taken_over_at_once_and_fences_it(
    store: StateStore, kind: str, tmp_path: Path
) -> None:
    ours, theirs = SPAWN.Pipe()
    with ours, theirs, worker(hold_lease, kind, tmp_path, theirs) as process:
        held = Lease.model_validate_json(ours.recv())
        with pytest.raises(Locked, match=f"pid {process.pid} on"):
            lease_of(store)
        # Not collected yet, the process is a zombie: dead all the same.
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        taken = lease_of(store)
    assert taken.token > held.token
    with pytest.raises(Locked):
        store.save_job(job(), held)
    store.save_job(job(), taken)


def count_up(kind: str, folder: Path, number: int, times: int) -> None:
    store = FACTORIES[kind](folder)
    lease = lease_of(store, f"job:{number}")
    for _ in range(times):
        while True:
            seen = store.read().sources.get("shop", endpoint(count=0))
            try:
                store.save_endpoint(
                    "source", endpoint(serial=seen.serial, count=seen.spec["count"] + 1), lease
                )
            except StalePlan:
                continue
            break


def test_concurrent_writers_lose_no_update(store: StateStore, kind: str, tmp_path: Path) -> None:
    with (
        worker(count_up, kind, tmp_path, 1, 15) as one,
        worker(count_up, kind, tmp_path, 2, 15) as two,
        worker(count_up, kind, tmp_path, 3, 15) as three,
    ):
        for process in (one, two, three):
            process.join()
            assert process.exitcode == 0
    assert store.read().sources["shop"] == endpoint(serial=45, count=45)


def create_and_tell(kind: str, folder: Path, told: Connection, ready: Any, over: Any) -> None:
    store = FACTORIES[kind](folder)
    ready.wait()
    store.create()
    try:
        lease: Lease | None = lease_of(store)
    except Locked:
        lease = None
    told.send((store.key(), lease is not None))
    over.wait()  # a winner that ended would be dead, and its lease free


def test_of_processes_that_start_together_all_share_one_store_and_one_gets_the_lease(
    store: StateStore, kind: str, tmp_path: Path
) -> None:
    ready, over = SPAWN.Barrier(3), SPAWN.Event()
    ours, theirs = SPAWN.Pipe()
    arguments = kind, tmp_path, theirs, ready, over
    with (
        ours,
        theirs,
        worker(create_and_tell, *arguments),
        worker(create_and_tell, *arguments),
        worker(create_and_tell, *arguments),
    ):
        answers = [ours.recv() for _ in range(3)]
        over.set()
    assert {key for key, _ in answers} == {store.key()}
    assert sorted(won for _, won in answers) == [False, False, True]


def write_forever(kind: str, folder: Path, told: Connection) -> None:
    store = FACTORIES[kind](folder)
    lease = lease_of(store)
    store.begin_apply(apply_record(f"a{lease.token}"), lease)
    saved = store.read().jobs.get("daily")
    serial = saved.serial if saved else 0
    while True:
        streams = (stream(StreamId("public", f"t{n}"), spec={"n": serial}) for n in range(30))
        store.save_job(job("daily", serial, *streams, n=serial), lease)
        serial += 1
        told.send(serial)


def test_incidents_are_kept_as_they_were_saved_and_only_by_who_holds_the_lease(store: StateStore) -> None:
    assert store.incidents() == Incidents()
    lease = store.acquire(ALERTS_LOCK, this_process(), "alerts", NOW)
    told = Incident(
        kind=AlertKind.STALE, address="daily", since=NOW, text="old", remedy="x", told=("a",), over=NOW
    )
    found = Incidents(incidents=(told,), sendings={"a": Sending(tries=2, again=NOW)})
    store.save_incidents(found, lease)
    assert store.incidents() == found
    store.force(ALERTS_LOCK)
    with pytest.raises(Locked):
        store.save_incidents(Incidents(), lease)
    assert store.incidents() == found


@pytest.mark.crash
def test_a_store_whose_writer_is_killed_holds_what_was_confirmed_and_nothing_by_half(
    store: StateStore, kind: str, tmp_path: Path
) -> None:
    for wait_for in (1, 2, 7, 20):
        ours, theirs = SPAWN.Pipe()
        with ours, theirs, worker(write_forever, kind, tmp_path, theirs) as process:
            for _ in range(wait_for):
                confirmed = ours.recv()
            process.kill()
            process.join()
            while ours.poll():
                confirmed = ours.recv()
        saved = store.read().jobs["daily"]
        assert saved.serial in (confirmed, confirmed + 1)
        assert saved.spec == {"n": saved.serial - 1}
        assert len(saved.streams) == 30
        assert {s.spec["n"] for s in saved.streams.values()} == {saved.serial - 1}

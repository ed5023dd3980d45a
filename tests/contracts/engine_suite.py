"""What every engine promises (`engine/base.py`): a suite that each adapter's test class inherits.

An adapter brings a `Bench`: a source whose tables can be filled, a destination, and an engine between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest

from olake_reconcile.engine.base import (
    Engine,
    MaintenanceRequest,
    MaintenanceTask,
    OpenDestination,
    OpenSource,
    StreamTask,
    SyncRequest,
)
from olake_reconcile.errors import Blocked, ReconcileError, Unreachable
from olake_reconcile.model.event import (
    Event,
    Progress,
    StreamCancelled,
    StreamCheckpoint,
    StreamCommitted,
    StreamFailed,
    StreamStarted,
)
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.model.stream import SyncMode
from olake_reconcile.model.table import Owner, TableAbsent, TableFacts, TablePlace, TableStatus, TableUnknown
from tests.builders import a_stream

CANARY = "hunter2-canary-6f1d"
TERMINAL = (StreamCommitted, StreamFailed, StreamCancelled)
ONE, TWO, MISSING = "public.one", "public.two", "public.missing"


class Bench(Protocol):
    """A source and a destination to try an engine on."""

    engine: Engine
    source: OpenSource
    destination: OpenDestination
    folder: Path

    def fill(self, stream: str, rows: int) -> None:
        """Make the source's table exist, with so many rows."""

    def damage(self, place: TablePlace) -> None:
        """Make it impossible to read what the destination says of a table that is there."""

    def unreachable_source(self) -> OpenSource:
        """Return a source whose server does not answer, with CANARY for a password."""


def place(stream: str) -> TablePlace:
    return TablePlace(database="lake", table=StreamId.parse(stream).name)


def owner(stream: str, /, **changes: Any) -> Owner:
    given = {
        "project": "p1",
        "environment": "default",
        "job": "daily",
        "stream": f"u-{stream}",
        "generation": 1,
    }
    return Owner(**{**given, **changes})


def task(stream: str, /, **owned: Any) -> StreamTask:
    model = a_stream(stream, destination_database="lake")
    return StreamTask(stream=model, place=place(stream), owner=owner(stream, **owned))


def by_cursor(stream: str, position: dict[str, Any] | None = None) -> StreamTask:
    model = a_stream(
        stream, destination_database="lake", sync_mode=SyncMode.INCREMENTAL, cursor="id", write_mode="append"
    )
    return StreamTask(stream=model, place=place(stream), owner=owner(stream), position=position or {})


def never() -> bool:
    return False


class EngineContract:
    """Inherit, and give a `bench` fixture."""

    def sync(
        self,
        bench: Bench,
        tasks: Sequence[StreamTask],
        cancelled: Callable[[], bool] = never,
        watch: Callable[[Event], None] = lambda event: None,
        source: OpenSource | None = None,
    ) -> list[Event]:
        """Run the tasks; return every event."""
        events: list[Event] = []

        def emit(event: Event) -> None:
            events.append(event)
            watch(event)

        with TemporaryDirectory(dir=bench.folder) as scratch:
            request = SyncRequest(
                run_id="run1",
                source=source or bench.source,
                destination=bench.destination,
                tasks=tuple(tasks),
                threads=2,
                scratch=Path(scratch),
            )
            bench.engine.sync(request, emit, cancelled)
        return events

    def ends(self, events: Sequence[Event]) -> dict[str, type[Event]]:
        """Return how each stream ended; ending twice is an error."""
        found: dict[str, type[Event]] = {}
        for event in events:
            if isinstance(event, TERMINAL):
                assert str(event.stream) not in found, "one terminal event per task"
                found[str(event.stream)] = type(event)
        return found

    def load(self, bench: Bench, stream: str, rows: int) -> None:
        """Load a table of so many rows."""
        bench.fill(stream, rows)
        assert self.ends(self.sync(bench, [task(stream)])) == {stream: StreamCommitted}

    def status(self, bench: Bench, stream: str) -> TableStatus:
        return bench.engine.observe(bench.destination, [place(stream)])[place(stream)]

    def rows(self, bench: Bench, stream: str) -> int | None:
        """Return what the destination's metadata says; None when there is no table."""
        status = self.status(bench, stream)
        return status.rows if isinstance(status, TableFacts) else None

    # Looking

    def test_checking_says_what_the_endpoints_are_and_leaves_nothing_behind(self, bench: Bench) -> None:
        bench.fill(ONE, 1)
        for _ in range(2):
            assert bench.engine.check_source(bench.source).identity
            assert bench.engine.check_destination(bench.destination).identity
        assert bench.engine.check_source(bench.source) == bench.engine.check_source(bench.source)
        assert isinstance(self.status(bench, ONE), TableAbsent)

    def test_discovery_lists_the_sources_tables_and_its_identity(self, bench: Bench) -> None:
        bench.fill(ONE, 1)
        bench.fill(TWO, 0)
        catalogue = bench.engine.discover(bench.source)
        assert {StreamId.parse(ONE), StreamId.parse(TWO)} <= catalogue.streams.keys()
        assert catalogue.identity == bench.engine.check_source(bench.source).identity
        assert all(stream.columns for stream in catalogue.streams.values())

    def test_observing_tells_absent_from_present_from_unknown(self, bench: Bench) -> None:
        self.load(bench, ONE, 3)
        self.load(bench, TWO, 2)
        bench.damage(place(TWO))
        wanted = [place(ONE), place(TWO), place(MISSING)]
        found = bench.engine.observe(bench.destination, wanted)
        assert list(found) == wanted
        present = found[place(ONE)]
        assert isinstance(present, TableFacts)
        assert (present.rows, present.owner) == (3, owner(ONE))
        assert isinstance(found[place(TWO)], TableUnknown)
        assert isinstance(found[place(MISSING)], TableAbsent)

    def test_an_unreachable_source_raises_unreachable_without_its_secret(self, bench: Bench) -> None:
        source = bench.unreachable_source()
        for ask in (bench.engine.check_source, bench.engine.discover):
            with pytest.raises(Unreachable) as raised:
                ask(source)
            assert CANARY not in f"{raised.value} {raised.value!r} {raised.value.__cause__}"

    # Syncing

    def test_every_task_ends_in_exactly_one_event(self, bench: Bench) -> None:
        bench.fill(ONE, 3)
        bench.fill(TWO, 0)
        events = self.sync(bench, [task(ONE), task(MISSING), task(TWO)])
        assert self.ends(events) == {ONE: StreamCommitted, MISSING: StreamFailed, TWO: StreamCommitted}
        for stream in (ONE, TWO):
            own = [e for e in events if getattr(e, "stream", None) == StreamId.parse(stream)]
            assert isinstance(own[0], StreamStarted)
            assert isinstance(own[-1], StreamCommitted), "nothing comes after the end"

    def test_progress_never_goes_back_and_ends_at_what_was_committed(self, bench: Bench) -> None:
        bench.fill(ONE, 500)
        events = self.sync(bench, [task(ONE)])
        progress = [e for e in events if isinstance(e, Progress)]
        for a, b in pairwise(progress):
            assert a.bytes <= b.bytes
            assert a.rows <= b.rows
            assert a.chunks <= b.chunks
        last = events[-1]
        assert isinstance(last, StreamCommitted)
        assert last.rows == 500
        assert all(p.rows <= last.rows for p in progress)

    def test_one_streams_failure_does_not_stop_the_others(self, bench: Bench) -> None:
        bench.fill(TWO, 2)
        events = self.sync(bench, [task(MISSING), task(TWO)])
        assert self.ends(events) == {MISSING: StreamFailed, TWO: StreamCommitted}
        assert self.rows(bench, TWO) == 2
        failed = next(e for e in events if isinstance(e, StreamFailed))
        assert failed.summary

    def test_an_empty_table_is_loaded_as_an_empty_table(self, bench: Bench) -> None:
        self.load(bench, ONE, 0)
        assert self.rows(bench, ONE) == 0

    def test_another_load_replaces_the_table(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        self.load(bench, ONE, 3)
        self.load(bench, ONE, 3)
        assert self.rows(bench, ONE) == 3

    def test_a_table_of_another_owner_is_refused_and_left_as_it_is(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        bench.fill(ONE, 1)
        for theirs in ({"project": "p2"}, {"environment": "staging"}, {"stream": "another"}):
            assert self.ends(self.sync(bench, [task(ONE, **theirs)])) == {ONE: StreamFailed}
            status = self.status(bench, ONE)
            assert isinstance(status, TableFacts)
            assert (status.rows, status.owner) == (5, owner(ONE))

    def test_a_table_keeps_its_stream_through_a_renamed_job_and_a_new_generation(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        renamed = task(ONE, job="nightly", generation=2)
        assert self.ends(self.sync(bench, [renamed])) == {ONE: StreamCommitted}
        status = self.status(bench, ONE)
        assert isinstance(status, TableFacts)
        assert status.owner == renamed.owner

    def test_an_unreachable_source_fails_every_stream_and_raises_nothing(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        events = self.sync(bench, [task(ONE), task(TWO)], source=bench.unreachable_source())
        assert self.ends(events) == {ONE: StreamFailed, TWO: StreamFailed}
        assert CANARY not in str(events)
        assert self.rows(bench, ONE) == 5

    # Reading by a cursor

    def read_by_cursor(
        self, bench: Bench, stream: str, position: dict[str, Any] | None = None
    ) -> StreamCommitted:
        """Run one stream by its cursor, which must succeed."""
        events = self.sync(bench, [by_cursor(stream, position)])
        for event in events:
            assert not isinstance(event, StreamCheckpoint) or event.position
        last = events[-1]
        assert isinstance(last, StreamCommitted), last
        return last

    def test_by_cursor_only_what_is_new_is_read_and_the_table_keeps_the_position(self, bench: Bench) -> None:
        bench.fill(ONE, 5)
        first = self.read_by_cursor(bench, ONE)
        assert (first.rows, self.rows(bench, ONE)) == (5, 5)
        bench.fill(ONE, 8)
        second = self.read_by_cursor(bench, ONE, first.position)
        assert (second.rows, self.rows(bench, ONE)) == (3, 8)
        status = self.status(bench, ONE)
        assert isinstance(status, TableFacts)
        assert status.position == second.position != first.position

    def test_a_lost_position_is_found_in_the_table(self, bench: Bench) -> None:
        bench.fill(ONE, 5)
        self.read_by_cursor(bench, ONE)
        bench.fill(ONE, 8)
        assert self.read_by_cursor(bench, ONE).rows == 3
        assert self.rows(bench, ONE) == 8

    def test_by_cursor_a_run_without_news_commits_nothing(self, bench: Bench) -> None:
        bench.fill(ONE, 5)
        first = self.read_by_cursor(bench, ONE)
        before = self.status(bench, ONE)
        again = self.read_by_cursor(bench, ONE, first.position)
        assert (again.rows, again.bytes, again.files, again.snapshot) == (0, 0, 0, first.snapshot)
        assert self.status(bench, ONE) == before

    def test_an_empty_table_read_by_cursor_is_there_and_read_from_its_first_row(self, bench: Bench) -> None:
        bench.fill(ONE, 0)
        position = self.read_by_cursor(bench, ONE).position
        assert self.rows(bench, ONE) == 0
        bench.fill(ONE, 3)
        assert self.read_by_cursor(bench, ONE, position).rows == 3

    def test_a_cleared_stream_forgets_its_position(self, bench: Bench) -> None:
        bench.fill(ONE, 5)
        position = self.read_by_cursor(bench, ONE).position
        ticket = bench.engine.prepare_clear(bench.destination, place(ONE), owner(ONE))
        bench.engine.clear(bench.destination, ticket)
        # The caller forgets it with the clear. One who has not, and whose table is gone, is not started over.
        events = self.sync(bench, [by_cursor(ONE, position)])
        assert isinstance(events[-1], StreamFailed)
        assert events[-1].becomes is StreamPhase.NEEDS_RESYNC
        assert bench.engine.missing(bench.destination, [place(ONE)]) == {place(ONE)}
        assert self.read_by_cursor(bench, ONE).rows == 5
        assert not bench.engine.missing(bench.destination, [place(ONE)])

    # Cancelling

    def test_cancelled_before_it_begins_no_stream_is_touched(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        bench.fill(ONE, 1)
        bench.fill(TWO, 1)
        events = self.sync(bench, [task(ONE), task(TWO)], cancelled=lambda: True)
        assert self.ends(events) == {ONE: StreamCancelled, TWO: StreamCancelled}
        assert (self.rows(bench, ONE), self.rows(bench, TWO)) == (5, None)

    def test_cancelled_during_a_load_no_commit_follows_and_the_old_table_stays(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        bench.fill(ONE, 1)
        bench.fill(TWO, 1)
        seen: list[Event] = []
        events = self.sync(bench, [task(ONE), task(TWO)], cancelled=lambda: bool(seen), watch=seen.append)
        assert self.ends(events) == {ONE: StreamCancelled, TWO: StreamCancelled}
        assert (self.rows(bench, ONE), self.rows(bench, TWO)) == (5, None)

    def test_a_cancelled_load_can_be_done_again(self, bench: Bench) -> None:
        bench.fill(ONE, 4)
        self.sync(bench, [task(ONE)], cancelled=lambda: True)
        assert self.ends(self.sync(bench, [task(ONE)])) == {ONE: StreamCommitted}
        assert self.rows(bench, ONE) == 4

    # Maintaining

    def maintain(
        self, bench: Bench, *streams: str, cancelled: Callable[[], bool] = never, **owned: Any
    ) -> list[Event]:
        """Maintain the tables; return every event."""
        events: list[Event] = []
        tasks = tuple(
            MaintenanceTask(stream=StreamId.parse(s), place=place(s), owner=owner(s, **owned))
            for s in streams
        )
        with TemporaryDirectory(dir=bench.folder) as scratch:
            request = MaintenanceRequest(
                run_id="run2", destination=bench.destination, tasks=tasks, scratch=Path(scratch)
            )
            bench.engine.maintain(request, events.append, cancelled)
        return events

    def test_a_maintained_table_keeps_rows_position_and_owner_and_can_be_read_on(self, bench: Bench) -> None:
        for rows in (2, 4, 6, 8, 10):
            bench.fill(ONE, rows)
            position = self.read_by_cursor(bench, ONE).position
        before = self.status(bench, ONE)
        assert isinstance(before, TableFacts)
        for _ in range(2):
            assert self.ends(self.maintain(bench, ONE)) == {ONE: StreamCommitted}
            after = self.status(bench, ONE)
            assert isinstance(after, TableFacts)
            assert (after.rows, after.position, after.owner) == (10, position, owner(ONE))
            assert (after.files or 0) <= (before.files or 0)
        bench.fill(ONE, 12)
        assert self.read_by_cursor(bench, ONE, position).rows == 2

    def test_every_table_to_maintain_ends_in_one_event_and_a_missing_one_is_no_failure(
        self, bench: Bench
    ) -> None:
        self.load(bench, ONE, 3)
        ends = self.ends(self.maintain(bench, ONE, MISSING))
        assert ends == {ONE: StreamCommitted, MISSING: StreamCommitted}
        assert isinstance(self.status(bench, MISSING), TableAbsent)

    def test_anothers_table_is_not_maintained(self, bench: Bench) -> None:
        self.load(bench, ONE, 3)
        before = self.status(bench, ONE)
        assert self.ends(self.maintain(bench, ONE, project="p2")) == {ONE: StreamFailed}
        assert self.status(bench, ONE) == before

    def test_cancelled_before_it_begins_maintenance_touches_nothing(self, bench: Bench) -> None:
        self.load(bench, ONE, 3)
        before = self.status(bench, ONE)
        ends = self.ends(self.maintain(bench, ONE, TWO, cancelled=lambda: True))
        assert ends == {ONE: StreamCancelled, TWO: StreamCancelled}
        assert self.status(bench, ONE) == before

    # Adopting

    def test_an_adopted_table_has_a_new_owner_and_its_old_rows_and_can_be_loaded(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        new = owner(ONE, stream="u-new", job="nightly", stream_id=ONE, generation=1)
        before = self.status(bench, ONE)
        assert isinstance(before, TableFacts)
        for _ in range(2):
            bench.engine.adopt(bench.destination, place(ONE), new)
            assert self.status(bench, ONE) == before.model_copy(update={"owner": new})
        theirs = task(ONE, stream="u-new", job="nightly", stream_id=ONE)
        assert self.ends(self.sync(bench, [theirs])) == {ONE: StreamCommitted}
        assert self.ends(self.sync(bench, [task(ONE)])) == {ONE: StreamFailed}

    def test_adopting_where_there_is_no_table_is_refused(self, bench: Bench) -> None:
        with pytest.raises(ReconcileError, match="no table"):
            bench.engine.adopt(bench.destination, place(MISSING), owner(ONE))
        self.load(bench, ONE, 1)
        with pytest.raises(ReconcileError, match="no table"):
            bench.engine.adopt(bench.destination, place(MISSING), owner(ONE))

    # Healing

    def test_a_healed_table_is_as_it_was_and_healing_it_again_changes_nothing(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        before = self.status(bench, ONE)
        for _ in range(2):
            bench.engine.heal(bench.destination, place(ONE), owner(ONE))
            assert self.status(bench, ONE) == before

    def test_healing_takes_no_table_away_from_its_owner_and_makes_none(self, bench: Bench) -> None:
        with pytest.raises(ReconcileError, match="no table"):
            bench.engine.heal(bench.destination, place(MISSING), owner(ONE))
        self.load(bench, ONE, 5)
        before = self.status(bench, ONE)
        with pytest.raises(Blocked):
            bench.engine.heal(bench.destination, place(ONE), owner(ONE, stream="u-other"))
        assert self.status(bench, ONE) == before

    # Clearing

    def test_a_clear_removes_the_table_and_may_be_repeated(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        self.load(bench, TWO, 2)
        ticket = bench.engine.prepare_clear(bench.destination, place(ONE), owner(ONE))
        assert self.rows(bench, ONE) == 5, "preparing changes nothing"
        for _ in range(3):
            bench.engine.clear(bench.destination, ticket)
            assert isinstance(self.status(bench, ONE), TableAbsent)
        assert self.rows(bench, TWO) == 2

    def test_clearing_where_there_is_no_table_does_nothing(self, bench: Bench) -> None:
        ticket = bench.engine.prepare_clear(bench.destination, place(ONE), owner(ONE))
        assert ticket.metadata is None
        self.load(bench, ONE, 5)
        bench.engine.clear(bench.destination, ticket)
        assert self.rows(bench, ONE) == 5

    def test_a_table_that_took_the_place_since_is_left_alone(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        ticket = bench.engine.prepare_clear(bench.destination, place(ONE), owner(ONE))
        bench.engine.clear(bench.destination, ticket)
        self.load(bench, ONE, 7)
        bench.engine.clear(bench.destination, ticket)
        assert self.rows(bench, ONE) == 7

    def test_a_table_that_was_loaded_again_since_is_the_same_table(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        ticket = bench.engine.prepare_clear(bench.destination, place(ONE), owner(ONE))
        self.load(bench, ONE, 7)
        bench.engine.clear(bench.destination, ticket)
        assert isinstance(self.status(bench, ONE), TableAbsent)

    def test_preparing_to_clear_anothers_table_is_refused(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        for theirs in ({"project": "p2"}, {"environment": "staging"}, {"stream": "another"}):
            with pytest.raises(Blocked):
                bench.engine.prepare_clear(bench.destination, place(ONE), owner(ONE, **theirs))
        renamed = owner(ONE, job="nightly", generation=9)
        assert bench.engine.prepare_clear(bench.destination, place(ONE), renamed).metadata is not None

    def test_a_cleared_stream_can_be_loaded_again(self, bench: Bench) -> None:
        self.load(bench, ONE, 5)
        ticket = bench.engine.prepare_clear(bench.destination, place(ONE), owner(ONE))
        bench.engine.clear(bench.destination, ticket)
        self.load(bench, ONE, 2)
        assert self.rows(bench, ONE) == 2

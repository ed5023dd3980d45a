"""The blast radius: what a clear takes along, whom it touches, what it costs together with the others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from olake_reconcile.cli.view_impact import cost_words, impact_lines
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import LastLoad, Stored, StreamPhase
from olake_reconcile.model.table import Owner, TableFacts, TablePlace
from olake_reconcile.plan.actions import Consent, Loss, Rebuild, Remove, Update
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan, build_plan
from olake_reconcile.plan.radius import Cost, cost_of
from tests.builders import PROJECT_UID, a_desired, a_job, a_project, a_source, a_stream, stored_of

OURS = Owner(
    project=PROJECT_UID, environment="default", job="daily", stream="u-daily-public.orders", generation=1
)
CDC: dict[str, Any] = {"sync_mode": "cdc"}


def facts(rows: int | None = 1000, soft_deleted: int | None = None) -> TableFacts:
    size = None if rows is None else rows * 100
    return TableFacts(rows=rows, bytes=size, files=1, owner=OURS, snapshot=None, soft_deleted=soft_deleted)


def planned(
    before: Mapping[str, Any], after: Mapping[str, Any], table: TableFacts | None = None, **changes: Any
) -> Plan:
    """Plan an edit of the one stream `daily/public.orders`."""
    stored = stored_of(a_desired(a_job("daily", a_stream(**before))))
    observed = Observed(tables={("lake", TablePlace(database="sales", table="orders")): table or facts()})
    return build_plan(a_desired(a_job("daily", a_stream(**after)), **changes), stored, observed)


def rebuild(plan: Plan) -> Rebuild:
    [found] = [a for a in plan.actions if isinstance(a, Rebuild)]
    return found


@pytest.mark.parametrize(
    ("before", "after", "loses"),
    [
        ({}, {"filter": "id > 1"}, ()),
        ({"write_mode": "append"}, {"write_mode": "append", "filter": "id > 1"}, ()),
        (
            {"sync_mode": "incremental", "cursor": "id", "write_mode": "append"},
            {"sync_mode": "incremental", "cursor": "at", "write_mode": "append"},
            (Loss.ROW_VERSIONS,),
        ),
        (CDC, {**CDC, "filter": "id > 1"}, (Loss.SOFT_DELETED,)),
        ({**CDC, "delete_mode": "hard"}, {**CDC, "delete_mode": "hard", "filter": "id > 1"}, ()),
        (
            {**CDC, "delete_mode": "hard"},
            {"sync_mode": "strict_cdc", "delete_mode": "hard"},
            (Loss.BEFORE_THE_LOG,),
        ),
        (
            {**CDC, "write_mode": "append"},
            {**CDC, "write_mode": "append", "filter": "id > 1"},
            (Loss.ROW_VERSIONS, Loss.SOFT_DELETED),
        ),
    ],
)
def test_what_the_source_cannot_give_back_is_told_and_guarded(
    before: dict[str, Any], after: dict[str, Any], loses: tuple[Loss, ...]
) -> None:
    action = rebuild(planned(before, after))
    assert action.impact.loses == loses
    assert action.consent is (Consent.GUARDED if loses else Consent.DESTRUCTIVE)
    assert bool(action.blocked) is bool(loses)
    if loses:
        assert loses[0].words in action.blocked[0].message
        assert loses[0].words in "\n".join(impact_lines(action))


def test_consent_lets_a_loss_through() -> None:
    stored = stored_of(a_desired(a_job("daily", a_stream(**CDC))))
    desired = a_desired(a_job("daily", a_stream(**CDC, filter="id > 1")))
    plan = build_plan(desired, stored, Observed(), Options(allow_rebuild=("daily/public.orders",)))
    assert not plan.is_blocked


@pytest.mark.parametrize(("count", "says"), [(None, "an unknown number of"), (41, "41 soft-deleted rows")])
def test_soft_deleted_rows_are_counted_where_the_metadata_tells(count: int | None, says: str) -> None:
    action = rebuild(planned(CDC, {**CDC, "filter": "id > 1"}, facts(soft_deleted=count)))
    assert action.impact.soft_deleted == count
    assert says in "\n".join(impact_lines(action))


def test_a_table_without_soft_deletes_loses_none() -> None:
    action = rebuild(planned(CDC, {**CDC, "filter": "id > 1"}, facts(soft_deleted=0)))
    assert action.impact.loses == ()
    assert not action.blocked


def test_erasing_on_purpose_tells_the_loss_and_is_not_guarded_for_it() -> None:
    both = a_job("daily", a_stream(**CDC, on_remove="clear"), a_stream("public.items"))
    plan = build_plan(
        a_desired(a_job("daily", a_stream("public.items"))), stored_of(a_desired(both)), Observed()
    )
    [action] = [a for a in plan.actions if isinstance(a, Remove)]
    assert action.impact.loses == (Loss.SOFT_DELETED,)
    assert not action.blocked


def test_the_jobs_of_the_same_slot_are_named() -> None:
    method = {"type": "CDC", "replication_slot": "olake_slot"}
    config = {"host": "h", "database": "d", "update_method": method}
    sources = {"shop": a_source(config=config), "again": a_source("again", config=config)}
    before = [
        a_job("daily", a_stream(**CDC)),
        a_job("beside", a_stream("public.items", **CDC), source="again"),
        a_job("other", a_stream("public.late")),
    ]
    after = [a_job("daily", a_stream(**CDC, filter="id > 1")), *before[1:]]
    plan = build_plan(
        a_desired(*after, sources=sources), stored_of(a_desired(*before, sources=sources)), Observed()
    )
    action = rebuild(plan)
    assert action.impact.shared_with == ("beside",)
    assert "shared with beside" in list(impact_lines(action))


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        (CDC, "rows loaded before keep their values of card, email: only a rebuild takes them out"),
        ({}, "the table keeps card, email until the next load replaces it"),
    ],
)
def test_excluded_columns_whose_old_values_stay_are_named(mode: dict[str, Any], says: str) -> None:
    plan = planned(mode, {**mode, "columns": {"exclude": ("email", "card")}})
    [action] = [a for a in plan.actions if isinstance(a, Update)]
    assert says in action.notes


def test_a_stream_that_never_synced_keeps_nothing_of_an_excluded_column() -> None:
    stored = stored_of(a_desired(), StreamPhase.PENDING)
    plan = build_plan(a_desired(a_job("daily", a_stream(columns={"exclude": ("a",)}))), stored, Observed())
    [action] = [a for a in plan.actions if isinstance(a, Update)]
    assert not [note for note in action.notes if "a" in note.split()]


def loaded(stored: Stored, seconds: Mapping[str, float]) -> Stored:
    """Say how long the last load of 600 rows of each stream took."""
    job = stored.jobs["daily"]
    streams = {
        i: s.model_copy(update={"last_load": LastLoad(rows=600, bytes=1, seconds=seconds[i.name])})
        for i, s in job.streams.items()
    }
    return stored.model_copy(update={"jobs": {"daily": job.model_copy(update={"streams": streams})}})


@pytest.mark.parametrize(("at_once", "seconds"), [(1, 600), (2, 400), (3, 300), (8, 300)])
def test_the_last_table_is_full_when_the_paced_loads_have_ended(at_once: int, seconds: int) -> None:
    times = {"a": 100.0, "b": 200.0, "c": 300.0}
    before = a_job("daily", *(a_stream(f"public.{n}") for n in times))
    after = a_job("daily", *(a_stream(f"public.{n}", filter="id > 1") for n in times))
    stored = loaded(stored_of(a_desired(before)), times)
    tables = {("lake", s.place): facts(600) for s in stored.jobs["daily"].streams.values()}
    project = a_project(limits={"rebuilds": at_once})
    plan = build_plan(a_desired(after, project=project), stored, Observed(tables=tables))
    assert plan.cost == Cost(tables=3, rows=1800, bytes=180_000, seconds=seconds, rebuilds_at_once=at_once)


def test_sums_are_of_what_is_known_and_say_what_is_not() -> None:
    plan = planned({}, {"filter": "id > 1"}, facts(rows=None))
    assert cost_of(plan.actions, 2).rows_unknown == 1
    assert "unknown for 1" in cost_words(plan.cost)


def test_a_load_of_over_an_hour_is_a_warning() -> None:
    plan = planned({}, {"filter": "id > 1"}, facts(rows=3_601_000))
    assert plan.cost.long_loads == 1
    assert "holds a snapshot of the source for about 60 min" in "\n".join(impact_lines(rebuild(plan)))


def test_on_a_terminal_the_clock_is_told_and_nowhere_else() -> None:
    action = rebuild(planned({}, {"filter": "id > 1"}, facts(rows=1_200_000)))
    now = datetime(2026, 3, 1, 14, 0)  # noqa: DTZ001
    assert "until about 14:20 if applied now" in "\n".join(impact_lines(action, now))
    assert "14:" not in "\n".join(impact_lines(action))

"""Plans about more than one resource: thresholds, approvals, shared endpoints, jobs that nobody declares."""

from __future__ import annotations

from typing import Any

import pytest

from olake_reconcile.model.desired import Approval, Desired, Imported, Moved, Removed
from olake_reconcile.model.names import Address, StreamId, parse_address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.project import Safety
from olake_reconcile.model.stored import Stored, StreamPhase
from olake_reconcile.model.stream import Protect
from olake_reconcile.model.table import Owner, TableFacts, TablePlace
from olake_reconcile.plan.actions import Action, Create, Import, Rebuild, Remove, Update
from olake_reconcile.plan.consent import transition
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan, build_plan, summarise
from tests.builders import PROJECT_UID, a_desired, a_job, a_project, a_source, a_stream, stored_of


def of(plan: Plan, address: str) -> Action:
    return next(a for a in plan.actions if a.address.short == address)


def codes(action: Action) -> list[str]:
    return [b.code for b in action.blocked]


def jobs(count: int, start: int = 0, **settings: Any) -> list[Any]:
    """Jobs of one stream each, with a table each."""
    return [
        a_job(f"j{n}", a_stream("public.orders", destination_table=f"t{n}", **settings))
        for n in range(start, count)
    ]


def test_a_default_that_reaches_500_jobs_rebuilds_each_stream_and_waits_for_consent_by_name() -> None:
    stored = stored_of(a_desired(*jobs(500)))
    plan = build_plan(a_desired(*jobs(500, filter="id > 5")), stored, Observed())
    assert summarise(plan.actions).rebuild == len(plan.changes) == 500
    assert all(codes(a) == ["needs-consent"] for a in plan.changes)
    allowed = build_plan(
        a_desired(*jobs(500, filter="id > 5")), stored, Observed(), Options(allow_rebuild=("*",))
    )
    assert not allowed.is_blocked


@pytest.mark.parametrize(
    ("streams", "changed", "blocked"),
    [(9, 9, False), (10, 3, False), (10, 4, True), (11, 3, False), (20, 6, False), (20, 7, True)],
)
def test_rebuilds_may_be_as_many_as_the_threshold_says_and_no_more(
    streams: int, changed: int, blocked: bool
) -> None:
    after = a_desired(*jobs(changed, filter="id > 5"), *jobs(streams, changed))
    plan = build_plan(after, stored_of(a_desired(*jobs(streams))), Observed())
    assert len(plan.changes) == changed
    assert plan.is_blocked is blocked
    assert {a.consent.value for a in plan.changes} == {"guarded" if blocked else "destructive"}


@pytest.mark.parametrize(("streams", "gone", "blocked"), [(9, 3, False), (10, 1, False), (10, 2, True)])
def test_removals_may_be_as_many_as_the_threshold_says_and_no_more(
    streams: int, gone: int, blocked: bool
) -> None:
    every = [a_stream(f"public.s{n}", destination_table=f"t{n}") for n in range(streams)]
    plan = build_plan(
        a_desired(a_job("daily", *every[gone:])), stored_of(a_desired(a_job("daily", *every))), Observed()
    )
    assert len(plan.changes) == gone
    assert plan.is_blocked is blocked


def test_what_left_before_is_no_removal_of_a_job_that_goes() -> None:
    leaving = a_job("old", *(a_stream(f"public.s{n}", destination_table=f"o{n}") for n in range(6)))
    stored = stored_of(a_desired(leaving, *jobs(9)))
    old = stored.jobs["old"]
    remembered = {
        i: s if i.name == "s0" else s.model_copy(update={"phase": StreamPhase.REMOVED})
        for i, s in old.streams.items()
    }
    stored = stored.model_copy(
        update={"jobs": {**stored.jobs, "old": old.model_copy(update={"streams": remembered})}}
    )
    # One of the ten streams that are there goes: as many as 10 % let through.
    plan = build_plan(a_desired(*jobs(9)), stored, Observed(), Options(prune=True))
    assert not plan.is_blocked


def test_an_approval_of_another_change_has_expired() -> None:
    protected: dict[str, Any] = {"protect": Protect(rebuild=True)}
    stored = stored_of(a_desired(a_job("daily", a_stream(**protected))))

    def planned(filter_: str, *approvals: Approval) -> Action:
        desired = a_desired(a_job("daily", a_stream(filter=filter_, **protected)), approvals=approvals)
        return of(build_plan(desired, stored, Observed()), "daily/public.orders")

    first = planned("id > 5")
    assert isinstance(first, Rebuild)
    approval = Approval("daily/public.orders", "rebuild", transition(first))
    assert codes(planned("id > 5", approval)) == []
    assert codes(planned("id > 6", approval)) == ["needs-consent"]


def adopted(*, prune: bool, removals: tuple[Removed, ...] = ()) -> Action:
    """A new job imports the table of a job that is in no file any more."""
    stored = stored_of(a_desired(a_job("old")))
    owner = Owner(
        project=PROJECT_UID, environment="default", job="old", stream="u-old-public.orders", generation=1
    )
    place = TablePlace(database="sales", table="orders")
    tables = {("lake", place): TableFacts(rows=1, bytes=1, files=1, owner=owner, snapshot="s")}
    said = (Imported(parse_address("new/public.orders")),)
    desired = a_desired(a_job("new"), imports=said, removals=removals)
    return of(build_plan(desired, stored, Observed(tables=tables), Options(prune=prune)), "new/public.orders")


@pytest.mark.parametrize("prune", [True, False])
def test_the_table_of_a_job_that_goes_is_imported_by_no_other_in_the_same_plan(prune: bool) -> None:
    action = adopted(prune=prune)
    assert isinstance(action, Import)
    assert codes(action) == ["import-taken"]


def test_a_table_that_is_erased_with_its_job_is_not_imported() -> None:
    action = adopted(prune=False, removals=(Removed(parse_address("old"), "erase"),))
    assert codes(action) == ["import-taken"]


def elsewhere(before: str | None, seen: str | None) -> Plan:
    """The job's source is under another name now; `before` was recorded of the old one, `seen` is said by the new."""
    stored = stored_of(a_desired(a_job("daily")), identities={"shop": before} if before else {})
    identities = {Address("source", "store"): seen} if seen else {}
    desired = a_desired(a_job("daily", source="store"))
    return build_plan(desired, stored, Observed(identities=identities), Options(allow_rebuild=("*",)))


def test_a_source_under_another_name_is_the_one_that_its_server_says() -> None:
    same, other = elsewhere("one", "one"), elsewhere("one", "two")
    assert [a for a in same.changes if a.address.kind == "stream"] == []
    assert isinstance(of(same, "source.store"), Create)
    assert isinstance(of(same, "source.shop"), Remove)
    assert isinstance(of(other, "daily/public.orders"), Rebuild)
    assert not other.is_blocked


def test_a_source_under_another_name_that_nobody_could_ask_is_neither_the_same_nor_another() -> None:
    action = of(elsewhere("one", None), "daily")
    assert codes(action) == ["identity-unknown"]


def test_a_source_of_which_nothing_was_recorded_is_another_one_under_another_name() -> None:
    assert not elsewhere(None, "two").is_blocked
    assert isinstance(of(elsewhere(None, "two"), "daily/public.orders"), Rebuild)


def other_server(stored: Stored, desired: Desired, **options: Any) -> Action:
    seen = {Address("source", "shop"): "two"}
    plan = build_plan(desired, stored, Observed(identities=seen), Options(allow_rebuild=("*",), **options))
    return of(plan, "source.shop")


def test_another_server_is_refused_while_an_unmanaged_job_would_mix_its_rows_with_those_of_the_old_one() -> (
    None
):
    config = {**a_source().config, "host": "db2"}
    stored = stored_of(
        a_desired(a_job("daily"), a_job("old", a_stream(destination_table="o"))), identities={"shop": "one"}
    )
    desired = a_desired(a_job("daily"), sources={"shop": a_source(config=config)})
    refused = other_server(stored, desired)
    assert isinstance(refused, Update)
    assert codes(refused) == ["used-by-unmanaged"]
    assert "old" in refused.blocked[0].message
    assert codes(other_server(stored, desired, prune=True)) == []
    gone = a_desired(a_job("daily"), sources=desired.sources, removals=(Removed(parse_address("old")),))
    assert codes(other_server(stored, gone)) == []
    never = stored.jobs["old"].model_copy(update={"streams": {}})
    empty = stored.model_copy(update={"jobs": {**stored.jobs, "old": never}})
    assert codes(other_server(empty, desired)) == []


def test_a_name_that_is_given_on_keeps_the_data_of_both() -> None:
    """`orders` became `orders_old`, and another table is called `orders` now."""
    stored = stored_of(a_desired(a_job("daily", a_stream("public.orders"))))
    desired = a_desired(
        a_job(
            "daily",
            a_stream("public.orders_old", destination_table="orders"),
            a_stream("public.orders", destination_table="orders_new"),
        ),
        moves=(Moved(parse_address("daily/public.orders"), parse_address("daily/public.orders_old")),),
    )
    plan = build_plan(desired, stored, Observed())
    assert [type(a).__name__ for a in plan.changes] == ["Move", "Create"]
    assert plan.changes[1].address == Address.of_stream("daily", StreamId.parse("public.orders"))


def test_an_empty_workspace_prunes_nothing() -> None:
    safety = Safety(prune=True)
    desired = Desired(a_project(safety=safety), {}, {}, {})
    plan = build_plan(desired, stored_of(a_desired()), Observed(), Options(prune=True))
    assert not [a for a in plan.changes if a.address.kind in ("job", "stream")]

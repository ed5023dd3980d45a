"""Plans with `Moved`: names change, nothing else does, and other edits are planned on top."""

from __future__ import annotations

from typing import Any

import pytest

from olake_reconcile.model.desired import Desired, Moved
from olake_reconcile.model.names import StreamId, parse_address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.actions import Create, Move, Rebuild, Update
from olake_reconcile.plan.moves import planned_moves
from olake_reconcile.plan.plan import Plan, build_plan, summarise
from tests.builders import a_desired, a_destination, a_job, a_source, a_stream, stored_of


def moved(before: str, after: str) -> Moved:
    return Moved(parse_address(before), parse_address(after))


def planned(desired: Desired, stored: Stored) -> Plan:
    return build_plan(desired, stored, Observed())


def moves(plan: Plan) -> list[str]:
    return [f"{a.origin.short} -> {a.address.short}" for a in plan.actions if isinstance(a, Move)]


def test_a_renamed_job_keeps_everything_and_only_its_name_changes() -> None:
    before = a_desired(a_job("daily", a_stream("public.orders"), a_stream("public.items")))
    after = a_desired(
        a_job("nightly", a_stream("public.orders"), a_stream("public.items")),
        moves=(moved("daily", "nightly"),),
    )
    plan = planned(after, stored_of(before))
    assert moves(plan) == ["daily -> nightly"]
    assert len(plan.changes) == 1
    assert not plan.unmanaged
    assert summarise(plan.actions).move == 1


@pytest.mark.parametrize("kind", ["source", "destination"])
def test_a_renamed_endpoint_is_followed_by_the_jobs_that_use_it(kind: str) -> None:
    build = a_source if kind == "source" else a_destination
    old = "shop" if kind == "source" else "lake"
    changed: dict[str, Any] = {kind: "other", "name": "daily"}
    job = a_job(**changed)
    after = a_desired(job, moves=(moved(f"{kind}.{old}", f"{kind}.other"),))
    assert build("other") in (*after.sources.values(), *after.destinations.values())
    plan = planned(after, stored_of(a_desired(a_job())))
    assert moves(plan) == [f"{kind}.{old} -> {kind}.other"]
    assert len(plan.changes) == 1


def test_a_renamed_stream_with_a_pinned_table_keeps_it() -> None:
    before = a_desired(a_job("daily", a_stream("public.orders")))
    after = a_desired(
        a_job("daily", a_stream("public.sales_orders", destination_table="orders")),
        moves=(moved("daily/public.orders", "daily/public.sales_orders"),),
    )
    plan = planned(after, stored_of(before))
    assert [type(a) for a in plan.changes] == [Move]


def test_a_renamed_stream_whose_table_follows_its_name_says_how_to_keep_it() -> None:
    before = a_desired(a_job("daily", a_stream("public.orders")))
    after = a_desired(
        a_job("daily", a_stream("public.sales_orders")),
        moves=(moved("daily/public.orders", "daily/public.sales_orders"),),
    )
    [move, rebuild] = planned(after, stored_of(before)).changes
    assert isinstance(move, Move)
    assert isinstance(rebuild, Rebuild)
    assert "to keep sales.orders and its data, set destination_table: orders" in rebuild.notes[0]


def test_other_edits_of_a_renamed_job_are_planned_on_top() -> None:
    after = a_desired(
        a_job("nightly", a_stream(filter="id > 1"), schedule="@daily"), moves=(moved("daily", "nightly"),)
    )
    plan = planned(after, stored_of(a_desired(a_job("daily"))))
    assert [type(a) for a in plan.changes] == [Move, Update, Rebuild]
    assert {a.address.name for a in plan.changes} == {"nightly"}


def test_a_stream_moves_to_another_job_and_a_new_job_can_be_split_off() -> None:
    both = (a_stream("public.orders"), a_stream("public.items"))
    stored = stored_of(a_desired(a_job("daily", *both)))
    after = a_desired(
        a_job("daily", both[0]),
        a_job("hourly", both[1], schedule="@hourly"),
        moves=(moved("daily/public.items", "hourly/public.items"),),
    )
    plan = planned(after, stored)
    assert [type(a) for a in plan.changes] == [Move, Update]  # the job that is split off gets its schedule
    assert not [a for a in plan.changes if isinstance(a, Create | Rebuild)]


def test_a_stream_of_a_renamed_job_is_found_under_either_name() -> None:
    stored = stored_of(a_desired(a_job("daily", a_stream("public.orders"))))
    for job in ("daily", "nightly"):
        after = a_desired(
            a_job("nightly", a_stream("public.sales", destination_table="orders")),
            moves=(moved("daily", "nightly"), moved(f"{job}/public.orders", "nightly/public.sales")),
        )
        plan = planned(after, stored)
        assert [type(a) for a in plan.changes] == [Move, Move]


def test_a_chain_of_moves_ends_at_the_name_that_is_declared() -> None:
    chain = (moved("daily", "middle"), moved("middle", "last"))
    for stored_name in ("daily", "middle"):
        plan = planned(a_desired(a_job("last"), moves=chain), stored_of(a_desired(a_job(stored_name))))
        assert moves(plan) == [f"{stored_name} -> last"]
        assert len(plan.changes) == 1


def test_a_move_that_was_made_is_no_change() -> None:
    after = a_desired(a_job("nightly"), moves=(moved("daily", "nightly"),))
    assert not planned(after, stored_of(after)).changes


def test_a_move_onto_something_deployed_is_blocked() -> None:
    after = a_desired(a_job("nightly"), moves=(moved("daily", "nightly"),))
    stored = stored_of(a_desired(a_job("daily"), a_job("nightly")))
    plan = planned(after, stored)
    [move] = plan.changes
    assert move.blocked[0].code == "move-target-exists"
    assert [u.job for u in plan.unmanaged] == ["daily"]


def test_a_stream_does_not_move_to_a_job_with_another_destination() -> None:
    stored = stored_of(a_desired(a_job("daily"), a_job("other", a_stream("public.x"), destination="pond")))
    after = a_desired(
        a_job("other", a_stream("public.x"), a_stream("public.orders"), destination="pond"),
        a_job("daily", a_stream("public.y")),
        moves=(moved("daily/public.orders", "other/public.orders"),),
    )
    [move] = [a for a in planned(after, stored).changes if isinstance(a, Move)]
    assert move.blocked[0].code == "move-to-other-endpoint"


def test_moving_changes_no_serial_uid_or_phase() -> None:
    before = stored_of(a_desired(a_job("daily")))
    after = a_desired(a_job("nightly"), moves=(moved("daily", "nightly"),))
    stored, _ = planned_moves(after, before)
    assert stored.jobs["nightly"] == before.jobs["daily"].model_copy(update={"name": "nightly"})
    assert stored.jobs["nightly"].streams[StreamId("public", "orders")].uid == "u-daily-public.orders"

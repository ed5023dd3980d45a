"""What `--target`, `--exclude`, `--selector` and `--replace` leave of a plan."""

from __future__ import annotations

from typing import Any

import pytest

from olake_reconcile.errors import UsageError
from olake_reconcile.model.desired import Desired, Moved
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored, StreamPhase
from olake_reconcile.plan.actions import Rebuild
from olake_reconcile.plan.effects import Reason
from olake_reconcile.plan.options import Narrowing, Options
from olake_reconcile.plan.plan import Plan, build_plan
from tests.builders import a_desired, a_job, a_project, a_source, a_stream, stored_of

ORDERS = "daily/public.orders"


def narrowed(
    desired: Desired, stored: Stored | None = None, observed: Observed | None = None, **asked: Any
) -> Plan:
    options = {k: asked.pop(k) for k in list(asked) if k in ("prune", "replace")}
    return build_plan(
        desired, stored or Stored(), observed or Observed(), Options(narrowing=Narrowing(**asked), **options)
    )


def names(plan: Plan) -> list[str]:
    return [a.address.short for a in plan.changes]


def two_jobs(**changes: Any) -> Desired:
    daily = a_job(
        "daily", a_stream(**changes), a_stream("public.customers", **changes), labels={"team": "shop"}
    )
    return a_desired(
        daily, a_job("nightly", a_stream("public.items", **changes), source="crm", labels={"team": "crm"})
    )


@pytest.mark.parametrize("address", [ORDERS, 'job.daily.stream["public.orders"]', "da*/*.orders"])
def test_a_target_brings_along_what_it_needs_and_nothing_else(address: str) -> None:
    plan = narrowed(two_jobs(), target=(address,))
    assert names(plan) == ["source.shop", "destination.lake", "daily", ORDERS]
    assert plan.narrowed is not None
    assert plan.narrowed.pulled_in == ("source.shop", "destination.lake", "daily")
    assert plan.narrowed.left_out == (
        "source.crm",
        "daily/public.customers",
        "nightly",
        "nightly/public.items",
    )


def test_a_job_is_its_streams_too() -> None:
    assert "daily/public.customers" in names(narrowed(two_jobs(), target=("daily",)))


def test_what_is_excluded_takes_along_what_needs_it() -> None:
    assert names(narrowed(two_jobs(), exclude=("source.shop",))) == [
        "source.crm", "destination.lake", "nightly", "nightly/public.items",
    ]  # fmt: skip


def test_exclusion_beats_targets() -> None:
    plan = narrowed(two_jobs(), target=("*", "source.*", "destination.*"), exclude=("daily",))
    assert not [n for n in names(plan) if n.startswith("daily")]
    assert "nightly/public.items" in names(plan)


def test_a_selector_chooses_jobs_by_all_of_its_labels() -> None:
    assert "nightly" in names(narrowed(two_jobs(), selector=("team=crm",)))
    assert "daily" not in names(narrowed(two_jobs(), selector=("team=crm",)))
    with pytest.raises(UsageError, match="no job has the labels"):
        narrowed(two_jobs(), selector=("team=crm,tier=1",))
    with pytest.raises(UsageError, match="is no selector"):
        narrowed(two_jobs(), selector=("team",))


def test_targets_and_selectors_narrow_each_other() -> None:
    plan = narrowed(two_jobs(), selector=("team=shop",), target=("*/public.customers",))
    assert names(plan)[-1] == "daily/public.customers"
    assert ORDERS not in names(plan)


@pytest.mark.parametrize("option", ["target", "exclude", "replace"])
def test_an_address_that_fits_nothing_is_an_error_with_a_guess(option: str) -> None:
    with pytest.raises(
        UsageError, match=r"nothing is called 'daily/public.order' \(did you mean 'daily/public.orders'"
    ):
        narrowed(two_jobs(), None, None, **{option: ("daily/public.order",)})


def test_another_server_is_no_change_for_one_stream_alone() -> None:
    before = two_jobs()
    stored = stored_of(before, identities={"shop": "one"})
    moved = a_desired(
        *before.jobs.values(),
        sources={"shop": a_source(config={"host": "other", "database": "shop"}), "crm": a_source("crm")},
    )
    elsewhere = Observed(identities={Address("source", "shop"): "two"})
    plan = narrowed(moved, stored, elsewhere, target=(ORDERS,))
    assert {"source.shop", ORDERS, "daily/public.customers"} <= set(names(plan))
    left = narrowed(moved, stored, elsewhere, exclude=("daily/public.customers",))
    assert names(left) == []


def test_streams_that_swap_tables_go_together() -> None:
    before = a_desired(a_job("daily", a_stream(), a_stream("public.customers")))
    after = a_desired(
        a_job(
            "daily",
            a_stream(destination_table="customers"),
            a_stream("public.customers", destination_table="orders"),
        )
    )
    plan = narrowed(after, stored_of(before), target=(ORDERS,))
    assert names(plan) == ["daily/public.customers", ORDERS]


def test_a_rename_comes_along_with_what_has_the_new_name() -> None:
    stored = stored_of(a_desired(a_job("old")))
    move = Moved(Address("job", "old"), Address("job", "daily"))
    desired = a_desired(a_job("daily", a_stream(filter="id > 7")), moves=(move,))
    assert names(narrowed(desired, stored, target=(ORDERS,))) == ["daily", ORDERS]


def test_the_files_prune_nothing_in_a_narrowed_plan_and_the_flag_what_is_selected() -> None:
    stored = stored_of(a_desired(a_job("old"), a_job("older"), a_job("daily")))
    desired = a_desired(a_job("daily"), project=a_project(safety={"prune": True}))
    assert names(narrowed(desired, stored, target=("old",))) == []
    assert names(narrowed(desired, stored, target=("old",), prune=True)) == ["old", "old/public.orders"]


def test_a_replaced_stream_is_rebuilt_by_request() -> None:
    desired = two_jobs()
    plan = narrowed(desired, stored_of(desired), replace=(ORDERS,))
    (action,) = plan.changes
    assert isinstance(action, Rebuild)
    assert action.reasons == (Reason.BY_REQUEST,)
    assert plan.asked == f"--replace {ORDERS}"


def test_replacing_what_never_loaded_is_an_error() -> None:
    desired = two_jobs()
    with pytest.raises(UsageError, match="no declared stream of it has ever loaded"):
        narrowed(desired, stored_of(desired, StreamPhase.PENDING), replace=("daily",))


def test_the_line_to_paste_asks_for_the_same_narrowing() -> None:
    desired = two_jobs(protect={"rebuild": True})
    plan = narrowed(desired, stored_of(desired), replace=(ORDERS,), target=("daily",))
    (action,) = plan.changes
    assert action.blocked[0].remedy == (
        f"olake-reconcile apply --target daily --replace {ORDERS} --allow-rebuild {ORDERS}"
    )


def test_known_streams_are_those_of_files_and_state() -> None:
    stored = stored_of(a_desired(a_job("daily", a_stream(), a_stream("public.gone"))))
    plan = narrowed(a_desired(), stored, target=("daily/public.gone",))
    assert names(plan) == ["daily/public.gone"]
    assert StreamId.parse("public.gone") in stored.jobs["daily"].streams


def test_a_job_that_gives_up_a_table_comes_along_with_the_one_that_takes_it() -> None:
    before = a_desired(a_job("giver", a_stream()), a_job("taker", a_stream("public.items")))
    giver = a_job("giver", a_stream(destination_table="elsewhere"))
    after = a_desired(giver, a_job("taker", a_stream("public.items", destination_table="orders")))
    assert "giver/public.orders" in names(narrowed(after, stored_of(before), target=("taker",)))
    assert names(narrowed(after, stored_of(before), exclude=("giver",))) == []

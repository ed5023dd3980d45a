"""Hints at renames: a note with the document to paste, where one thing came and one that is like it went."""

from __future__ import annotations

from olake_reconcile.model.desired import Desired, Removed
from olake_reconcile.model.names import parse_address
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.plan import build_plan
from tests.builders import a_desired, a_job, a_source, a_stream, stored_of


def hints(before: Desired, after: Desired) -> list[str]:
    plan = build_plan(after, stored_of(before), Observed())
    return [note.split("commit ")[1] for a in plan.actions for note in a.notes if "kind: Moved" in note]


def test_a_new_job_with_the_streams_of_an_unmanaged_one_looks_like_it() -> None:
    before = a_desired(a_job("daily", a_stream("public.orders"), a_stream("public.items")))
    after = a_desired(a_job("nightly", a_stream("public.orders"), a_stream("public.items")))
    assert hints(before, after) == ['{kind: Moved, from: "daily", to: "nightly"}']


def test_a_job_that_left_on_purpose_is_no_candidate() -> None:
    after = a_desired(a_job("nightly"), removals=(Removed(parse_address("daily")),))
    assert hints(a_desired(a_job("daily")), after) == []


def test_a_new_stream_like_the_one_that_went_looks_like_it() -> None:
    before = a_desired(a_job("daily", a_stream("public.orders"), a_stream("public.items")))
    after = a_desired(a_job("daily", a_stream("public.sales_orders"), a_stream("public.items")))
    assert hints(before, after) == [
        '{kind: Moved, from: "daily/public.orders", to: "daily/public.sales_orders"}'
    ]


def test_other_settings_other_names_or_several_candidates_are_no_hint() -> None:
    before = a_desired(a_job("daily", a_stream("public.orders")))
    for stream in (a_stream("public.sales_orders", filter="id > 1"), a_stream("public.log")):
        assert hints(before, a_desired(a_job("daily", stream))) == []
    two = a_desired(a_job("daily", a_stream("public.orders_a"), a_stream("public.orders_b")))
    assert hints(before, two) == []
    jobs = a_desired(a_job("daily"), a_job("hourly", a_stream("public.orders", destination_table="o")))
    assert hints(jobs, a_desired(a_job("nightly"))) == []


def test_a_stream_that_writes_the_table_of_the_one_that_went_looks_like_it_whatever_its_name() -> None:
    before = a_desired(a_job("daily", a_stream("public.orders")))
    after = a_desired(a_job("daily", a_stream("public.xyz", destination_table="orders")))
    assert hints(before, after) == ['{kind: Moved, from: "daily/public.orders", to: "daily/public.xyz"}']


def test_a_new_endpoint_with_the_settings_of_a_removed_one_looks_like_it() -> None:
    job = a_job("daily", source="shop")
    before = a_desired(job)
    after = a_desired(a_job("daily", source="store"), sources={"store": a_source("store")})
    assert hints(before, after) == ['{kind: Moved, from: "source.shop", to: "source.store"}']


def test_a_new_state_has_no_hints() -> None:
    plan = build_plan(a_desired(), Stored(), Observed())
    assert not [note for a in plan.actions for note in a.notes if "Moved" in note]

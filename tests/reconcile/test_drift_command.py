"""The `drift` command over a scripted world: what it says, what it exits with, what it did not look at."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from olake_reconcile.model.stored import Hold
from tests.workspaces import CANARY, Lab, a_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = a_lab(tmp_path)
    lab.apply()
    lab.ok("sync", "daily")
    return lab


def drop(lab: Lab, *places: str) -> None:
    lab.world(tables={place: table for place, table in lab.tables.items() if place not in places})


def test_what_we_alone_touched_has_not_drifted(lab: Lab) -> None:
    shown = lab.ok("drift")
    assert "No drift." in shown.out
    assert "Looked at 2 tables by metadata, and at 2 streams" in shown.out
    assert "Not looked at" not in shown.out


def test_a_stream_that_never_synced_misses_no_table(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.apply()
    lab.ok("drift")


def test_a_dropped_table_is_a_difference_and_no_part_of_the_plan(lab: Lab) -> None:
    before = json.loads(lab.ok("plan", "--json").out)
    drop(lab, "sales.orders")
    shown = lab.run("drift")
    assert shown.code == 2
    assert "daily/public.orders: the table sales.orders is gone" in shown.out
    after = json.loads(lab.ok("plan", "--json").out)
    assert [(d["address"], d["kind"]) for d in after["drift"]] == [
        ('job.daily.stream["public.orders"]', "table_gone")
    ]
    assert after["plan_hash"] == before["plan_hash"]


def test_only_what_is_named_is_looked_at(lab: Lab) -> None:
    drop(lab, "sales.orders")
    assert "Looked at 1 table by" in lab.ok("drift", "daily/public.c*").out
    assert lab.run("drift", "daily/public.orders").code == 2
    assert lab.run("drift", "dai*").code == 2
    wrong = lab.run("drift", "dialy")
    assert wrong.code == 64
    assert "'dialy' is no job or stream that was applied" in wrong.err


def test_a_hold_is_listed_and_no_difference(lab: Lab) -> None:
    lab.store.set_hold("daily", Hold(who="ann", why="disk", since=datetime(2026, 3, 1, tzinfo=UTC)))
    assert "daily: held by ann since 2026-03-01 00:00 UTC: disk" in lab.ok("drift").out
    over = Hold(who="ann", since=datetime(2026, 3, 1, tzinfo=UTC), until=datetime(2026, 3, 2, tzinfo=UTC))
    lab.store.set_hold("daily", over)
    assert "ann" not in lab.ok("drift").out


def test_a_table_with_the_marks_of_another_is_taken_and_one_without_any_is_another(lab: Lab) -> None:
    orders = lab.tables["sales.orders"]
    other = orders["owner"] | {"project": "other"}
    lab.world(tables=lab.tables | {"sales.orders": orders | {"owner": other}})
    (found,) = json.loads(lab.run("drift", "--json").out)["drift"]
    assert (found["kind"], found["healing"]) == ("table_taken", "by_hand")
    lab.world(tables=lab.tables | {"sales.orders": orders | {"owner": None}})
    (found,) = json.loads(lab.run("drift", "--json").out)["drift"]
    assert found["kind"] == "table_replaced"


def test_a_source_table_that_is_gone_is_found_though_the_files_are_invalid_by_that(lab: Lab) -> None:
    lab.world(sources={"public.customers": 5})
    (lab.root / ".olake/cache/catalogue-shop.json").unlink()
    shown = lab.run("drift")
    assert shown.code == 2
    assert "the source has no public.orders any more" in shown.out


def test_what_does_not_answer_is_counted_as_not_looked_at(lab: Lab) -> None:
    lab.world(unreachable=["destination.lake"])
    shown = lab.ok("drift")
    assert "destination.lake: the server does not answer" in shown.err
    assert "Not looked at: 2 tables." in shown.out
    assert json.loads(lab.ok("drift", "--json").out)["not_looked_at"] == {"tables": 2, "streams": 0}


def test_drift_writes_nothing(lab: Lab) -> None:
    drop(lab, "sales.orders")
    before, world = lab.store.read(), lab.world()
    shown = lab.run("drift")
    assert (lab.store.read(), lab.world()) == (before, world)
    assert CANARY not in shown.text


def test_a_plan_without_connection_says_nothing_of_tables(lab: Lab) -> None:
    drop(lab, "sales.orders")
    assert json.loads(lab.ok("plan", "--no-refresh", "--json").out)["drift"] == []


def test_a_narrowed_plan_shows_the_drift_of_what_it_is_about(lab: Lab) -> None:
    drop(lab, "sales.orders", "sales.customers")
    text = (lab.root / "jobs/daily.yaml").read_text()
    lab.write({"jobs/daily.yaml": text.replace("orders:", "orders: {threads: 2}")})
    found = json.loads(lab.ok("plan", "--json", "--target", "daily/public.orders").out)["drift"]
    assert [d["address"] for d in found] == ['job.daily.stream["public.orders"]']

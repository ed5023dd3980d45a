"""First loads whose end is unsure: a table that may be there is never nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.reconcile.leases import SYNC, held
from tests.lifecycle.background import background
from tests.workspaces import DAILY_YAML, Lab, a_lab

ORDERS = StreamId("public", "orders")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = a_lab(tmp_path)
    lab.apply()
    return lab


def phase(lab: Lab) -> StreamPhase:
    return lab.store.read().jobs["daily"].streams[ORDERS].phase


def test_a_first_load_whose_commit_is_unsure_may_have_made_its_table(lab: Lab) -> None:
    lab.world(answers_lost=["public.orders"])
    assert lab.run("sync", "daily").code == 1
    assert phase(lab) is StreamPhase.LOADING
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7}")})
    assert "daily/public.orders must be rebuilt" in lab.ok("plan").out
    lab.world(answers_lost=[])
    lab.ok("sync", "daily")
    assert phase(lab) is StreamPhase.LIVE


def test_a_first_load_that_failed_for_sure_has_made_none(lab: Lab) -> None:
    lab.world(failures={"public.orders": "no"})
    assert lab.run("sync", "daily").code == 1
    assert phase(lab) is StreamPhase.PENDING


def test_a_stream_removed_before_the_running_sync_reaches_it_is_remembered(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("  public.orders:\n", "")})
    with held(lab.services(), "job:daily", SYNC):
        lab.apply()
    assert phase(lab) is StreamPhase.REMOVED
    assert "No changes." in lab.ok("plan").out


def test_a_stream_removed_while_nothing_runs_is_forgotten(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("  public.orders:\n", "")})
    lab.apply()
    assert ORDERS not in lab.store.read().jobs["daily"].streams


def test_a_table_that_a_running_sync_makes_of_a_removed_stream_is_owned(lab: Lab) -> None:
    lab.world(held_up=["public.customers", "public.orders"])
    with background(lab, "sync", "daily") as sync:
        sync.wait_for("public.")
        lab.write({"jobs/daily.yaml": DAILY_YAML.replace("  public.orders:\n", "")})
        lab.apply()
        lab.world(held_up=[])
        sync.end()
    assert (ORDERS in lab.store.read().jobs["daily"].streams) or "sales.orders" not in lab.tables
    lab.write({"jobs/daily.yaml": DAILY_YAML})
    lab.apply()
    lab.ok("sync", "daily")
    assert lab.tables["sales.orders"]["rows"] == 41_200

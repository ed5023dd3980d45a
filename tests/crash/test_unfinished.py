"""What waits for somebody keeps nothing else waiting, and what is owed stays owed."""

from __future__ import annotations

from pathlib import Path

import pytest

from olake_reconcile.model.journal import ApplyStatus
from tests.crash.applies import BASE, daily, weekly
from tests.lifecycle.background import background
from tests.workspaces import Lab, a_lab

MONTH = "{partition_by: [month(at)]}"


@pytest.fixture
def synced(tmp_path: Path) -> Lab:
    lab = a_lab(tmp_path, BASE)
    lab.apply()
    lab.ok("sync", "daily")
    lab.ok("sync", "weekly")
    return lab


def test_a_job_that_cannot_be_finished_keeps_no_other_job_from_syncing(synced: Lab) -> None:
    synced.write({**daily(orders=MONTH), **weekly(MONTH)})
    synced.world(failures={"other.items": "the catalog went away"})
    assert synced.run("apply", "--auto-approve").code == 6
    synced.ok("sync", "daily")
    refused = synced.run("sync", "weekly")
    assert refused.code == 1
    assert "the catalog went away" in refused.err
    passed = synced.run("reconcile")
    assert passed.code == 1
    assert "weekly: " in passed.err
    assert synced.store.applies(ApplyStatus.RUNNING), "it is still to be finished"
    synced.world(failures={})
    synced.ok("sync", "weekly")
    assert synced.run("plan", "--detailed-exitcode").code == 0
    assert not synced.store.applies(ApplyStatus.RUNNING)


def test_a_plan_beside_a_job_that_cannot_be_finished_is_not_applied(synced: Lab) -> None:
    synced.write(weekly(MONTH))
    synced.world(failures={"other.items": "the catalog went away"})
    synced.run("apply", "--auto-approve")
    synced.write(daily(orders=MONTH))
    refused = synced.run("apply", "--auto-approve")
    assert "the catalog went away" in refused.err
    assert "sales.orders" in synced.tables


def test_an_edit_in_place_waits_for_a_clear_that_is_going_on(synced: Lab) -> None:
    synced.world(held_up=["sales.customers"])
    with background(synced, "clear", "daily", "--auto-approve") as clearing:
        clearing.wait_for("clearing the destination")
        synced.write(daily("owner: team-shop"))
        refused = synced.run("apply", "--auto-approve")
        assert refused.code == 5
        assert f"pid {clearing.process.pid}" in refused.err
        synced.world(held_up=[])
        assert clearing.end()[0] == 0
    synced.apply()
    assert synced.store.read("daily").jobs["daily"].spec["owner"] == "team-shop"


def test_a_run_that_an_apply_owes_is_not_forgotten_by_the_next_clear(synced: Lab) -> None:
    synced.write(daily(orders=MONTH, customers="{on_remove: clear}"))
    synced.apply()
    synced.write(daily(orders=MONTH, customers="-"))
    synced.apply()
    assert synced.store.read("daily").jobs["daily"].due_reason == "apply"
    synced.ok("reconcile")
    assert "sales.orders" in synced.tables


def test_a_failed_rebuild_on_another_server_is_not_forgotten(synced: Lab) -> None:
    text = BASE["olake.yaml"].replace("db.internal", "db2.internal")
    synced.write({"olake.yaml": text})
    synced.world(failures={"sales.customers": "the catalog went away"})
    failed = synced.run("apply", "--auto-approve", "--allow-rebuild", "*")
    assert failed.code == 6
    synced.world(failures={})
    synced.ok("sync", "daily")
    streams = synced.store.read("daily").jobs["daily"].streams.values()
    assert {s.generation for s in streams} == {2}

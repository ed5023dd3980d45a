"""`state` and `force-unlock`: looking at what is stored, and mending it (design §9)."""

from __future__ import annotations

import json

import pytest

from olake_reconcile.model.names import StreamId
from tests.lifecycle.background import a_running_sync
from tests.workspaces import CANARY, Lab


@pytest.fixture
def synced(lab: Lab) -> Lab:
    lab.apply()
    lab.ok("sync", "daily")
    return lab


def test_state_list_names_every_stored_resource(synced: Lab) -> None:
    assert synced.ok("state", "list").out.splitlines() == [
        "source.shop",
        "destination.lake",
        "job.daily",
        'job.daily.stream["public.customers"]',
        'job.daily.stream["public.orders"]',
    ]
    assert synced.ok("state", "list", "daily/*orders").out.split() == ['job.daily.stream["public.orders"]']
    assert synced.run("state", "list", "nothing").code == 64


def test_state_show_and_export_hold_references_and_no_secret(synced: Lab) -> None:
    shown = json.loads(synced.ok("state", "show", "source.shop").out)
    assert shown["spec"]["config"]["password"] == "${env:SHOP_PASSWORD}"
    exported = synced.ok("state", "export").out
    assert CANARY not in exported
    assert json.loads(exported)["resources"].keys() >= {"job.daily", "destination.lake"}


def test_state_rm_forgets_and_leaves_the_table(synced: Lab) -> None:
    synced.ok("state", "rm", "daily/public.orders", "--auto-approve")
    assert StreamId("public", "orders") not in synced.store.read().jobs["daily"].streams
    assert "sales.orders" in synced.tables


def test_state_rm_asks_first(synced: Lab) -> None:
    assert synced.run("state", "rm", "job.daily", answer="no").code == 1
    assert "daily" in synced.store.read().jobs


def test_state_rm_refuses_an_endpoint_that_a_job_uses(synced: Lab) -> None:
    refused = synced.run("state", "rm", "source.shop", "--auto-approve")
    assert refused.code == 3
    assert "daily" in refused.text


def test_state_mv_renames_a_job_with_its_streams_and_history(synced: Lab) -> None:
    synced.ok("state", "mv", "job.daily", "job.nightly")
    assert synced.store.read().jobs["nightly"].streams.keys() == {
        StreamId("public", "orders"),
        StreamId("public", "customers"),
    }
    assert synced.run("state", "mv", "job.nightly", "source.nightly").code == 64


def test_the_state_of_a_running_job_is_not_mended_under_its_hands(synced: Lab) -> None:
    with a_running_sync(synced):
        assert synced.run("state", "rm", "job.daily", "--auto-approve").code == 5
        synced.ok("cancel", "daily")


def test_force_unlock_takes_a_lock_from_its_holder_and_says_from_whom(synced: Lab) -> None:
    with a_running_sync(synced) as running:
        pid = running.run_pid()
        assert f"pid {pid}" in synced.ok("state", "locks").out
        taken = synced.ok("force-unlock", "job:daily")
        assert f"pid {pid}" in taken.out
        synced.world(held_up=[])
        running.end()
    assert "not held" in synced.ok("force-unlock", "job:daily").out

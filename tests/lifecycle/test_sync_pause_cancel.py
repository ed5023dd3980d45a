"""Sections 1, 3 and 4 of OLake's job-level features: sync now, pause, cancel (docs/lifecycle.md)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import RunStatus
from tests.lifecycle.background import Background, a_running_sync, background
from tests.processes.conftest import wait_until
from tests.workspaces import DAILY_YAML, Lab


@pytest.fixture
def applied(lab: Lab) -> Lab:
    lab.apply()
    return lab


def last_run(lab: Lab) -> RunStatus:
    return lab.store.runs("daily", limit=1)[0].status


def test_sync_now_runs_the_job_without_waiting_for_its_schedule(applied: Lab) -> None:
    due = applied.store.read("daily").jobs["daily"].due
    assert due is not None
    assert due > applied.services().clock.now()
    applied.ok("sync", "daily")
    assert last_run(applied) is RunStatus.COMPLETED
    assert applied.tables.keys() == {"sales.orders", "sales.customers"}


def test_a_paused_job_does_not_run_until_resumed(applied: Lab) -> None:
    applied.ok("pause", "daily", "--reason", "index rebuild")
    refused = applied.run("sync", "daily")
    assert refused.code == 3
    assert "index rebuild" in refused.text
    assert "olake-reconcile resume daily" in refused.text
    applied.ok("resume", "daily")
    applied.ok("sync", "daily")


def test_a_job_that_its_file_makes_inactive_does_not_run(applied: Lab) -> None:
    file = applied.root / "jobs/daily.yaml"
    file.write_text(file.read_text() + "active: false\n")
    applied.apply()
    assert applied.run("sync", "daily").code == 3
    assert applied.store.read("daily").jobs["daily"].due is None


def test_paused_jobs_are_listed_as_such_and_resumed_from_there(applied: Lab) -> None:
    applied.ok("pause", "--all")
    jobs = json.loads(applied.ok("status", "--json").out)["jobs"]
    assert [job["state"] for job in jobs] == ["held"]
    applied.ok("resume", "--all")
    jobs = json.loads(applied.ok("status", "--json").out)["jobs"]
    assert [job["state"] for job in jobs] == ["active"]


def test_resume_of_a_job_that_its_file_makes_inactive_names_the_line(applied: Lab) -> None:
    file = applied.root / "jobs/daily.yaml"
    file.write_text(file.read_text() + "active: false\n")
    applied.apply()
    resumed = applied.run("resume", "daily")
    assert resumed.code == 3
    assert "jobs/daily.yaml:8" in resumed.text


def test_pause_lets_a_running_sync_go_on(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        applied.ok("pause", "daily")
        applied.world(held_up=[])
        assert running.end()[0] == 0
    assert last_run(applied) is RunStatus.COMPLETED


def test_pause_with_cancel_stops_a_running_sync(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        applied.ok("pause", "daily", "--cancel")
        assert running.end()[0] == 130
    assert last_run(applied) is RunStatus.CANCELED


def test_cancel_stops_a_running_sync_and_marks_the_run_canceled(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        cancelled = applied.ok("cancel", "daily")
        assert "canceled" in cancelled.text
        assert running.end()[0] == 130
    assert last_run(applied) is RunStatus.CANCELED


def test_cancel_keeps_what_was_committed_before_it(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        applied.world(held_up=["public.orders"])
        running.wait_for("public.orders: loading")
        applied.ok("cancel", "daily")
        running.end()
    assert applied.tables.keys() == {"sales.customers"}
    outcomes = {str(s.stream): s.status for s in applied.store.runs("daily", limit=1)[0].streams}
    assert outcomes == {"public.customers": RunStatus.COMPLETED, "public.orders": RunStatus.CANCELED}


def test_cancel_does_not_pause_the_job_and_releases_its_lease(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        applied.ok("cancel", "daily")
        running.end()
    assert not applied.store.leases()
    applied.world(held_up=[])
    applied.ok("sync", "daily")


def test_cancel_is_for_running_syncs_only(applied: Lab) -> None:
    outcome = applied.run("cancel", "daily")
    assert outcome.code == 0
    assert "nothing is running" in outcome.out


def test_a_sync_that_finishes_before_its_cancellation_stays_completed(applied: Lab) -> None:
    applied.ok("sync", "daily")
    run = applied.store.runs("daily", limit=1)[0]
    assert applied.store.request_cancel(run.id) is False
    late = applied.store.end_run(run.id, RunStatus.CANCELED, applied.services().clock.now())
    assert late.status is RunStatus.COMPLETED


def test_a_cancelled_full_refresh_starts_over_and_serves_the_old_rows_meanwhile(applied: Lab) -> None:
    applied.ok("sync", "daily")
    before = applied.tables["sales.customers"]
    with a_running_sync(applied) as running:
        applied.ok("cancel", "daily")
        running.end()
    assert applied.tables["sales.customers"] == before
    applied.world(held_up=[])
    applied.ok("sync", "daily")
    assert applied.tables["sales.customers"]["snapshot"] != before["snapshot"]


@contextmanager
def a_first_load_at_its_checkpoint(lab: Lab) -> Iterator[Background]:
    """A sync of an incremental stream that hangs when the first half of its rows is committed."""
    files = DAILY_YAML.replace("{sync_mode: full_refresh,", "{sync_mode: incremental, cursor: at,")
    lab.write({"jobs/daily.yaml": files.replace("  public.customers:\n", "")})
    lab.apply()
    lab.world(held_up=["public.orders after 20600"])
    with background(lab, "sync", "daily") as running:
        running.wait_for("public.orders: loading")
        wait_until(lambda: bool(position_of_orders(lab)))
        yield running


def position_of_orders(lab: Lab) -> dict[str, Any]:
    position: dict[str, Any] = (
        lab.store.read("daily").jobs["daily"].streams[StreamId.parse("public.orders")].position
    )
    return position


def test_a_cancelled_incremental_load_goes_on_from_its_last_checkpoint(lab: Lab) -> None:
    with a_first_load_at_its_checkpoint(lab) as running:
        lab.ok("cancel", "daily")
        assert running.end()[0] == 130
    assert lab.tables["sales.orders"]["rows"] == 20_600
    lab.world(held_up=[])
    lab.ok("sync", "daily")
    assert lab.store.runs("daily", limit=1)[0].rows == 20_600, "the first half is not read again"
    assert lab.tables["sales.orders"]["rows"] == 41_200


def test_a_killed_incremental_load_goes_on_from_its_last_checkpoint(lab: Lab) -> None:
    with a_first_load_at_its_checkpoint(lab) as running:
        os.killpg(running.run_pid(), signal.SIGKILL)
        assert running.end()[0] == 1
    lab.world(held_up=[])
    lab.ok("sync", "daily")
    assert lab.store.runs("daily", limit=1)[0].rows == 20_600
    assert lab.tables["sales.orders"]["rows"] == 41_200


def test_a_sync_is_queued_for_the_loop(applied: Lab) -> None:
    assert "is queued" in applied.ok("sync", "daily", "--detach").out
    assert "waits already" in applied.ok("sync", "daily", "--detach").out
    assert [run.status for run in applied.store.runs("daily")] == [RunStatus.QUEUED]
    applied.ok("pause", "daily")
    assert applied.run("sync", "daily", "--detach").code == 3


def test_ctrl_c_cancels_the_sync_in_the_foreground(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.end()[0] == 130
    assert last_run(applied) is RunStatus.CANCELED


def test_a_second_sync_of_a_running_job_names_its_holder(applied: Lab) -> None:
    with a_running_sync(applied) as running:
        second = applied.run("sync", "daily")
        assert second.code == 5
        assert f"pid {running.run_pid()}" in second.text
        applied.ok("cancel", "daily")


def test_a_run_records_the_identity_that_nobody_could_ask_for_when_the_job_was_applied(lab: Lab) -> None:
    lab.world(unreachable=["source.shop"])
    lab.apply()
    assert lab.store.read().sources["shop"].identity is None
    lab.world(unreachable=[])
    lab.ok("sync", "daily")
    assert lab.store.read().sources["shop"].identity == "db.internal/shop"
    lab.ok("plan", "--detailed-exitcode")


def test_a_run_refuses_a_source_that_became_another_server_behind_our_back(applied: Lab) -> None:
    applied.ok("sync", "daily")
    before = dict(applied.tables)
    applied.world(identities={"source.shop": "somebody else's server"})
    refused = applied.run("sync", "daily")
    assert refused.code == 1
    assert "another server" in refused.text
    assert applied.tables == before


def test_a_promoted_replica_is_the_same_source_where_its_file_says_so(lab: Lab) -> None:
    text = (lab.root / "olake.yaml").read_text()
    lab.write({"olake.yaml": text.replace("type: postgres\n", "type: postgres\nidentity: same\n")})
    lab.apply()
    lab.ok("sync", "daily")
    lab.world(identities={"source.shop": "the promoted one"})
    lab.ok("sync", "daily")
    assert lab.store.read().sources["shop"].identity == "the promoted one"
    lab.ok("plan", "--detailed-exitcode")
    lab.write({"olake.yaml": text})
    assert "1 to change, 0 to rebuild" in lab.ok("plan").out
    lab.apply()
    lab.world(identities={"source.shop": "db.internal/shop"})
    refused = lab.run("sync", "daily")
    assert (refused.code, "another server" in refused.text) == (1, True), "the licence went with its line"


def test_a_promotion_that_an_apply_meets_is_recorded_and_clears_nothing(lab: Lab) -> None:
    text = (lab.root / "olake.yaml").read_text()
    lab.apply()
    lab.ok("sync", "daily")
    before = dict(lab.tables)
    lab.world(identities={"source.shop": "the promoted one"})
    lab.write({"olake.yaml": text.replace("type: postgres\n", "type: postgres\nidentity: same\n")})
    lab.apply("--no-sync")
    assert lab.tables == before
    assert lab.store.read().sources["shop"].identity == "the promoted one"
    lab.ok("plan", "--detailed-exitcode")

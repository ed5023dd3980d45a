"""Section 5 of OLake's job-level features: clear destination (docs/lifecycle.md)."""

from __future__ import annotations

import json
import signal

import pytest

from olake_reconcile.model.run import RunStatus, RunType
from olake_reconcile.model.stored import StreamPhase
from tests.lifecycle.background import a_running_sync, background
from tests.workspaces import Lab

WEEKLY = """\
kind: Job
name: weekly
stream_defaults: {sync_mode: full_refresh, destination_database: other}
streams:
  public.items:
"""


@pytest.fixture
def synced(lab: Lab) -> Lab:
    lab.write({"jobs/weekly.yaml": WEEKLY})
    lab.apply()
    lab.ok("sync", "daily")
    lab.ok("sync", "weekly")
    return lab


def phases(lab: Lab) -> dict[str, StreamPhase]:
    return {str(i): s.phase for i, s in lab.store.read("daily").jobs["daily"].streams.items()}


def edit(lab: Lab, old: str, new: str) -> None:
    file = lab.root / "jobs/daily.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_clear_erases_the_jobs_enabled_streams_and_no_other_jobs(synced: Lab) -> None:
    synced.ok("clear", "daily", "--auto-approve")
    assert synced.tables.keys() == {"other.items"}


def test_clear_of_named_streams_leaves_the_others(synced: Lab) -> None:
    synced.ok("clear", "daily", "public.orders", "--auto-approve")
    assert synced.tables.keys() == {"sales.customers", "other.items"}
    assert phases(synced) == {
        "public.orders": StreamPhase.PENDING,
        "public.customers": StreamPhase.LIVE,
    }


def test_the_next_run_after_a_clear_rebuilds_with_the_latest_settings(synced: Lab) -> None:
    synced.ok("clear", "daily", "--auto-approve")
    synced.ok("sync", "daily")
    assert synced.tables.keys() == {"sales.orders", "sales.customers", "other.items"}


def test_clear_asks_before_it_starts(synced: Lab) -> None:
    declined = synced.run("clear", "daily", answer="no")
    assert declined.code == 1
    assert "will be cleared" in declined.out
    assert "sales.orders" in synced.tables
    assert synced.run("clear", "daily", answer="yes").code == 0
    assert "sales.orders" not in synced.tables


def test_clear_without_a_terminal_prints_the_line_to_paste(synced: Lab) -> None:
    refused = synced.run("clear", "daily")
    assert refused.code == 1
    assert "olake-reconcile clear daily --auto-approve" in refused.text
    assert "sales.orders" in synced.tables


@pytest.mark.parametrize("how", ["held", "inactive"])
def test_clear_is_for_active_jobs_only(synced: Lab, how: str) -> None:
    if how == "held":
        synced.ok("pause", "daily")
    else:
        edit(synced, 'schedule: "@hourly"', "active: false")
        synced.apply()
    refused = synced.run("clear", "daily", "--auto-approve")
    assert refused.code == 3
    assert "sales.orders" in synced.tables


def test_clear_refuses_while_a_sync_runs_and_says_how_to_cancel_it(synced: Lab) -> None:
    with a_running_sync(synced):
        refused = synced.run("clear", "daily", "--auto-approve")
        assert refused.code == 5
        assert "olake-reconcile cancel daily" in refused.text
        synced.ok("cancel", "daily")
    assert "sales.orders" in synced.tables


def test_a_clear_cannot_be_cancelled(synced: Lab) -> None:
    synced.world(held_up=["sales.customers"])
    with background(synced, "clear", "daily", "--auto-approve") as clearing:
        clearing.wait_for("clearing the destination")
        refused = synced.run("cancel", "daily")
        assert refused.code == 3
        assert "cannot be cancelled" in refused.text
        synced.world(held_up=[])
        assert clearing.end()[0] == 0
    assert synced.tables.keys() == {"other.items"}


def test_nothing_edits_a_job_while_it_clears(synced: Lab) -> None:
    synced.world(held_up=["sales.customers"])
    with background(synced, "clear", "daily", "--auto-approve") as clearing:
        clearing.wait_for("clearing the destination")
        edit(synced, "  public.orders:\n", "  public.orders: {partition_by: [month(at)]}\n")
        refused = synced.run("apply", "--auto-approve")
        assert refused.code == 5
        assert f"pid {clearing.process.pid}" in refused.text
        assert synced.run("sync", "daily").code == 5
        synced.world(held_up=[])
        assert clearing.end()[0] == 0


def test_several_jobs_may_clear_at_once_and_others_go_on(synced: Lab) -> None:
    synced.world(held_up=["sales.customers"])
    with background(synced, "clear", "daily", "--auto-approve") as clearing:
        clearing.wait_for("clearing the destination")
        synced.ok("sync", "weekly")
        synced.ok("clear", "weekly", "--auto-approve")
        synced.world(held_up=[])
        assert clearing.end()[0] == 0
    assert synced.tables == {}


def test_the_schedule_stops_for_the_clear_and_goes_on_after_it(synced: Lab) -> None:
    synced.world(held_up=["sales.customers"])
    with background(synced, "clear", "daily", "--auto-approve") as clearing:
        clearing.wait_for("clearing the destination")
        assert synced.store.read("daily").jobs["daily"].due is None
        synced.world(held_up=[])
        clearing.end()
    assert synced.store.read("daily").jobs["daily"].due is not None


def test_the_first_ctrl_c_finishes_the_streams_step_and_leaves_the_rest_journaled(synced: Lab) -> None:
    synced.world(held_up=["sales.customers"])
    with background(synced, "clear", "daily", "--auto-approve") as clearing:
        clearing.wait_for("clearing the destination")
        clearing.process.send_signal(signal.SIGINT)
        clearing.wait_for("Stopping")
        synced.world(held_up=[])
        assert clearing.end()[0] == 130
    assert synced.tables.keys() == {"sales.orders", "other.items"}
    synced.ok("sync", "daily")  # whatever comes next finishes the clear first
    assert phases(synced) == dict.fromkeys(("public.customers", "public.orders"), StreamPhase.LIVE)


def test_clear_drops_positions_with_the_data(synced: Lab) -> None:
    synced.ok("clear", "daily", "--auto-approve")
    streams = synced.store.read("daily").jobs["daily"].streams.values()
    assert all(s.position == {} and s.generation == 2 for s in streams)


def test_clear_respects_protect(synced: Lab) -> None:
    edit(synced, "  public.orders:\n", "  public.orders: {protect: {rebuild: true}}\n")
    synced.apply()
    refused = synced.run("clear", "daily", "--auto-approve")
    assert refused.code == 3
    assert "olake-reconcile clear daily --allow-rebuild daily/public.orders" in refused.text
    synced.ok("clear", "daily", "--auto-approve", "--allow-rebuild", "daily/public.orders")


def test_a_changed_setting_cancels_the_running_sync_and_clears_that_stream_only(synced: Lab) -> None:
    before = synced.tables["sales.customers"]
    edit(synced, "  public.orders:\n", "  public.orders: {partition_by: [month(at)]}\n")
    with a_running_sync(synced) as running:
        synced.apply()
        assert running.end()[0] == 130
    assert "sales.orders" not in synced.tables
    assert synced.tables["sales.customers"] == before
    types = [(r.type, r.status) for r in synced.store.runs("daily", limit=2)]
    assert types == [(RunType.CLEAR, RunStatus.COMPLETED), (RunType.SYNC, RunStatus.CANCELED)]


def test_new_streams_clear_nothing(synced: Lab) -> None:
    before = dict(synced.tables)
    synced.write({"jobs/weekly.yaml": WEEKLY})
    edit(synced, "  public.orders:\n", "  public.orders:\n  public.items: {destination_table: more}\n")
    synced.apply()
    assert synced.tables == before


def test_a_stream_that_was_removed_and_comes_back_is_cleared_and_rebuilt(synced: Lab) -> None:
    edit(synced, "  public.customers:\n", "")
    synced.apply()
    assert "sales.customers" in synced.tables
    edit(synced, "  public.orders:\n", "  public.orders:\n  public.customers:\n")
    assert "removed earlier and now back" in synced.ok("plan").out
    synced.apply()
    assert "sales.customers" not in synced.tables
    synced.ok("sync", "daily")
    assert "sales.customers" in synced.tables


def test_unselect_save_and_re_add_ends_in_the_same_rebuild_as_the_direct_edit(synced: Lab) -> None:
    edit(synced, "  public.customers:\n", "")
    synced.apply()
    edit(synced, "  public.orders:\n", "  public.orders:\n  public.customers: {partition_by: [day(at)]}\n")
    changes = json.loads(synced.ok("plan", "--json").out)["resource_changes"]
    assert changes[0]["reasons"] == [
        "rebuild_because_reenabled",
        "rebuild_because_partition_changed",
    ]
    synced.apply()
    synced.ok("sync", "daily")
    assert synced.tables["sales.customers"]["settings"]["partition_by"] == ["day(at)"]


def test_the_history_tells_syncs_from_clears(synced: Lab) -> None:
    synced.ok("clear", "daily", "--auto-approve")
    shown = synced.ok("history", "daily").out
    assert "Clear Destination" in shown
    assert "Sync" in shown
    assert "Clear Destination" in synced.ok("status").out


def test_a_clear_by_hand_respects_the_windows_for_rebuilds_unless_told_not_to(synced: Lab) -> None:
    edit(synced, "name: daily\n", 'name: daily\nwindows: {rebuilds: [{deny: "* * * * *", duration: 2h}]}\n')
    synced.apply()
    refused = synced.run("clear", "daily", "public.orders", "--auto-approve")
    assert refused.code == 3
    assert "daily may not be cleared now: denied by the window '* * * * *' (UTC)" in refused.err
    assert refused.err.strip().endswith("olake-reconcile clear daily public.orders --now")
    assert "sales.orders" in synced.tables
    synced.ok("clear", "daily", "public.orders", "--auto-approve", "--now")
    assert "sales.orders" not in synced.tables


def test_a_clear_that_loses_what_the_source_cannot_give_back_needs_its_own_consent(lab: Lab) -> None:
    lab.write(
        {"jobs/weekly.yaml": WEEKLY.replace("full_refresh,", "incremental, cursor: id, write_mode: append,")}
    )
    lab.apply()
    lab.ok("sync", "weekly")
    refused = lab.run("clear", "weekly", "--auto-approve")
    assert refused.code == 3
    assert "the source cannot give back" in refused.out
    assert "--allow-rebuild weekly/public.items" in refused.text
    lab.ok("clear", "weekly", "--auto-approve", "--allow-rebuild", "weekly/public.items")
    assert "other.items" not in lab.tables

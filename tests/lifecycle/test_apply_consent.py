"""Consent at the command line: what is blocked, what is left out, what a saved plan may do (design §5)."""

from __future__ import annotations

import pytest

from tests.workspaces import Lab

WEEKLY = """\
kind: Job
name: weekly
stream_defaults: {sync_mode: full_refresh, destination_database: other}
streams:
  public.items:
"""


@pytest.fixture
def edited(lab: Lab) -> Lab:
    """Two synced jobs, both edited so that a stream must be rebuilt; that of `daily` is protected."""
    lab.write({"jobs/weekly.yaml": WEEKLY})
    daily = lab.root / "jobs/daily.yaml"
    daily.write_text(
        daily.read_text().replace("  public.orders:\n", "  public.orders: {protect: {rebuild: true}}\n")
    )
    lab.apply()
    lab.ok("sync", "daily")
    lab.ok("sync", "weekly")
    daily.write_text(
        daily.read_text().replace(
            "{protect: {rebuild: true}}", "{protect: {rebuild: true}, partition_by: [day(at)]}"
        )
    )
    lab.write({"jobs/weekly.yaml": WEEKLY.replace("items:", "items: {partition_by: [day(at)]}")})
    return lab


def test_one_blocked_action_keeps_everything_from_being_applied(edited: Lab) -> None:
    refused = edited.run("apply", "--auto-approve")
    assert refused.code == 3
    assert edited.tables.keys() == {"sales.orders", "sales.customers", "other.items"}


def test_skip_blocked_leaves_out_whole_jobs_and_still_exits_3(edited: Lab) -> None:
    narrowed = edited.run("apply", "--auto-approve", "--skip-blocked")
    assert narrowed.code == 3
    assert "Left out" in narrowed.err
    assert edited.tables.keys() == {"sales.orders", "sales.customers"}


def test_the_line_that_a_refusal_prints_lets_it_through(edited: Lab) -> None:
    line = "olake-reconcile apply --allow-rebuild daily/public.orders"
    assert line in edited.run("apply", "--auto-approve").err
    edited.ok(*line.split()[1:], "--auto-approve")
    assert edited.tables.keys() == {"sales.customers"}


def test_a_saved_plan_needs_no_prompt_and_is_done_once(edited: Lab) -> None:
    edited.ok("plan", "--allow-rebuild", "daily/public.orders", "--out", "friday.plan")
    edited.ok("apply", "friday.plan")
    assert edited.tables.keys() == {"sales.customers"}
    again = edited.run("apply", "friday.plan")
    assert again.code == 4
    assert "changed since the plan was made" in again.err


def test_a_saved_plan_is_stale_when_what_it_touches_has_moved(edited: Lab) -> None:
    edited.ok("plan", "--allow-rebuild", "*", "--out", "friday.plan")
    edited.ok("clear", "weekly", "--auto-approve")
    stale = edited.run("apply", "friday.plan")
    assert stale.code == 4
    assert "sales.orders" in edited.tables


def test_a_saved_plan_of_another_version_of_the_program_is_refused(edited: Lab) -> None:
    edited.ok("plan", "--allow-rebuild", "*", "--out", "friday.plan")
    file = edited.root / "friday.plan"
    file.write_text(file.read_text().replace('"program_version": "', '"program_version": "9.'))
    refused = edited.run("apply", "friday.plan")
    assert refused.code == 4
    assert "made by version 9." in refused.err


def test_a_saved_plan_that_was_edited_is_refused(edited: Lab) -> None:
    edited.ok("plan", "--allow-rebuild", "*", "--out", "friday.plan")
    file = edited.root / "friday.plan"
    file.write_text(file.read_text().replace("day(at)", "year(at)"))
    assert edited.run("apply", "friday.plan").code == 4
    assert edited.tables.keys() == {"sales.orders", "sales.customers", "other.items"}


def test_show_prints_a_saved_plan_as_plan_printed_it(edited: Lab) -> None:
    planned = edited.ok("plan", "--out", "friday.plan")
    assert edited.ok("show", "friday.plan").out == planned.out


def test_a_saved_plan_holds_no_secret(edited: Lab) -> None:
    from tests.workspaces import CANARY

    edited.ok("plan", "--out", "friday.plan")
    assert CANARY not in (edited.root / "friday.plan").read_text()


def test_a_table_is_not_dropped_for_a_place_that_turns_out_to_be_taken(lab: Lab) -> None:
    lab.apply()
    lab.ok("sync", "daily")
    daily = lab.root / "jobs/daily.yaml"
    daily.write_text(
        daily.read_text().replace("  public.orders:\n", "  public.orders: {destination_table: taken}\n")
    )
    lab.world(
        tables=lab.tables | {"sales.taken": {"owner": None, "rows": 1, "snapshot": "9", "settings": {}}}
    )
    refused = lab.run("apply", "--auto-approve", "--no-refresh")
    assert refused.code == 3
    assert "somebody else's" in refused.err
    assert lab.tables.keys() == {"sales.orders", "sales.customers", "sales.taken"}
    assert lab.store.read().jobs["daily"].due is not None

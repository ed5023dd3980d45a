"""Jobs and streams that leave: pruned, or let go by `Removed` (job-level-features §7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from olake_reconcile.model.journal import ApplyStatus, StepKind
from olake_reconcile.model.names import StreamId
from olake_reconcile.plan.options import Options
from tests.reconcile.killing import kill_at
from tests.workspaces import DAILY_YAML, PROJECT_YAML, Lab, a_lab

ITEMS_YAML = """\
kind: Job
name: items
schedule: "@hourly"
stream_defaults: {sync_mode: full_refresh, destination_database: stock}
streams:
  public.items:
"""
NO_CHANGES = "No changes."


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Two jobs that were applied and synced; the file of `daily` is gone."""
    lab = a_lab(tmp_path)
    lab.write({"jobs/items.yaml": ITEMS_YAML})
    return lab


def synced(lab: Lab) -> Lab:
    lab.apply()
    lab.ok("sync", "daily")
    lab.ok("sync", "items")
    return lab


def without_daily(lab: Lab, said: str = "") -> Lab:
    lab.write({"jobs/daily.yaml": said})
    return lab


def removed(address: str, data: str = "keep") -> str:
    return f"kind: Removed\naddress: {address}\ndata: {data}\n"


def steps(lab: Lab) -> list[StepKind]:
    [record, *_] = lab.store.applies()
    return [step.kind for step in lab.store.journal(record.id)]


def test_without_prune_a_job_in_no_file_goes_on_syncing(lab: Lab) -> None:
    without_daily(synced(lab))
    assert "Unmanaged" in lab.ok("plan").out
    lab.apply()
    lab.ok("sync", "daily")


@pytest.mark.parametrize("by_file", [False, True])
def test_prune_deletes_the_job_and_keeps_its_tables_and_history(lab: Lab, by_file: bool) -> None:
    without_daily(synced(lab))
    if by_file:
        lab.write(
            {"olake.yaml": PROJECT_YAML.replace("name: analytics", "name: analytics\nsafety: {prune: true}")}
        )
    lab.apply(*([] if by_file else ["--prune"]))
    assert lab.store.read().jobs.keys() == {"items"}
    assert lab.tables.keys() == {"sales.orders", "sales.customers", "stock.items"}
    assert len(lab.store.runs("daily")) == 1
    assert steps(lab) == [StepKind.SCHEDULE_STOPPED, StepKind.JOB_REMOVED]
    assert NO_CHANGES in lab.ok("plan", "--prune").out


def test_prune_erases_the_streams_that_say_so(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {on_remove: clear}")})
    without_daily(synced(lab))
    assert "Destructive: 1 stream" in lab.ok("plan", "--prune").out
    lab.apply("--prune")
    assert lab.tables.keys() == {"sales.customers", "stock.items"}
    assert steps(lab)[1:] == [StepKind.STREAM_CLEARED, StepKind.JOB_REMOVED]


def test_an_empty_workspace_prunes_nothing_and_says_so(lab: Lab) -> None:
    without_daily(synced(lab))
    lab.remove("jobs/items.yaml")
    shown = lab.ok("plan", "--prune")
    assert "the files declare no job at all" in shown.err
    assert NO_CHANGES in shown.out
    lab.apply("--prune")
    assert lab.store.read().jobs.keys() == {"daily", "items"}


def test_prune_deletes_the_endpoints_that_only_it_used(lab: Lab) -> None:
    crm = PROJECT_YAML + "---\n" + PROJECT_YAML.split("---\n")[1].replace("name: shop", "name: crm")
    lab.write(
        {"olake.yaml": crm, "jobs/daily.yaml": DAILY_YAML.replace("name: daily", "name: daily\nsource: crm")}
    )
    synced(lab)
    without_daily(lab).write({"olake.yaml": PROJECT_YAML})
    assert "source.crm" not in lab.ok("plan").out  # an unmanaged job uses it
    lab.apply("--prune")
    assert lab.store.read().sources.keys() == {"shop"}


def test_endpoints_that_no_job_uses_become_inactive(lab: Lab) -> None:
    crm = PROJECT_YAML + "---\n" + PROJECT_YAML.split("---\n")[1].replace("name: shop", "name: crm")
    lab.write(
        {"olake.yaml": crm, "jobs/daily.yaml": DAILY_YAML.replace("name: daily", "name: daily\nsource: crm")}
    )
    synced(lab)

    def states() -> dict[str, Any]:
        found = json.loads(lab.ok("status", "--sources", "--json").out)["endpoints"]
        return {e["address"]: e["state"] for e in found}

    assert states() == {"source.crm": "active", "source.shop": "active", "destination.lake": "active"}
    without_daily(lab)
    lab.apply("--prune")
    assert states() == {"source.crm": "inactive", "source.shop": "active", "destination.lake": "active"}
    assert "inactive" in lab.ok("status", "--sources").out


def test_a_protected_job_is_not_pruned_without_consent(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML + "protect: {delete: true}\n"})
    without_daily(synced(lab))
    refused = lab.run("apply", "--prune", "--auto-approve")
    assert refused.code == 3
    assert "olake-reconcile apply --prune --allow-delete daily --allow-delete daily/" in refused.text
    lab.apply("--prune", "--allow-delete", "daily")
    assert lab.store.read().jobs.keys() == {"items"}


def test_a_held_job_is_not_pruned(lab: Lab) -> None:
    synced(lab).ok("pause", "daily")
    without_daily(lab)
    refused = lab.run("apply", "--prune", "--auto-approve")
    assert refused.code == 3
    assert "resume daily" in refused.text


def test_a_running_sync_is_cancelled_and_waited_for_before_its_job_is_deleted(lab: Lab) -> None:
    import threading

    lab.apply()
    lab.world(held_up=["public.customers"])
    syncing = threading.Thread(target=_sync, args=(lab,))
    syncing.start()
    while not any(
        lease.name == "job:daily" for lease in lab.store.leases() if lease.purpose == "sync"
    ) or not (lab.store.runs("daily")):
        threading.Event().wait(0.01)
    without_daily(lab)
    lab.apply("--prune")
    syncing.join()
    assert "daily" not in lab.store.read().jobs
    assert StepKind.RUN_CANCELLED in steps(lab)
    [run] = lab.store.runs("daily")
    assert run.status == "canceled"


def _sync(lab: Lab) -> None:
    from olake_reconcile.model.run import Trigger
    from olake_reconcile.reconcile.runs import sync_job
    from tests.builders import PROJECT_UID

    sync_job(lab.services(), PROJECT_UID, "daily", Trigger.MANUAL, lambda event: None, lambda: False)


def test_a_removed_job_is_forgotten_and_its_tables_stay(lab: Lab) -> None:
    without_daily(synced(lab), removed("daily"))
    plan = json.loads(lab.ok("plan", "--json").out)
    assert plan["summary"]["forget"] == 3
    assert {tuple(c["change"]["actions"]) for c in plan["resource_changes"]} == {("forget",)}
    lab.apply()
    assert lab.store.read().jobs.keys() == {"items"}
    assert "sales.orders" in lab.tables
    assert NO_CHANGES in lab.ok("plan").out


def test_a_removed_job_is_erased_when_the_document_says_so(lab: Lab) -> None:
    without_daily(synced(lab), removed("daily", "erase"))
    lab.apply()
    assert lab.tables.keys() == {"stock.items"}
    assert lab.store.read().jobs.keys() == {"items"}
    assert NO_CHANGES in lab.ok("plan").out


@pytest.mark.parametrize(("data", "left"), [("keep", True), ("erase", False)])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_removed_stream_is_forgotten_or_erased(lab: Lab, data: str, left: bool, earlier: bool) -> None:
    synced(lab)
    rest = DAILY_YAML.replace("  public.orders:\n", "")
    lab.write({"jobs/daily.yaml": rest})
    if earlier:
        lab.apply()
    lab.write({"jobs/daily.yaml": rest + "---\n" + removed("daily/public.orders", data)})
    lab.apply()
    assert ("sales.orders" in lab.tables) == left
    assert StreamId("public", "orders") not in lab.store.read().jobs["daily"].streams
    assert NO_CHANGES in lab.ok("plan").out


def test_a_stream_of_an_unmanaged_job_is_let_go_alone(lab: Lab) -> None:
    without_daily(synced(lab), removed("daily/public.orders"))
    lab.apply()
    assert [str(i) for i in lab.store.read().jobs["daily"].streams] == ["public.customers"]
    shown = lab.ok("plan").out
    assert NO_CHANGES in shown
    assert "daily (1 stream)" in shown


def test_removals_count_towards_the_threshold(lab: Lab) -> None:
    names = [f"public.t{i}" for i in range(10)]
    lab.world(sources=dict.fromkeys([*names, "public.items"], 1))
    lab.write({"jobs/daily.yaml": DAILY_YAML.split("  public")[0] + "".join(f"  {n}:\n" for n in names)})
    without_daily(synced(lab))
    refused = lab.run("apply", "--prune", "--auto-approve")
    assert refused.code == 3
    assert "safety.max_deletes_percent" in refused.text


@pytest.mark.parametrize("at", range(1, 7))
def test_a_removal_killed_at_any_step_is_finished_or_was_never_begun(lab: Lab, at: int) -> None:
    lab.write(
        {"jobs/daily.yaml": DAILY_YAML + "  public.items: {on_remove: clear, destination_table: copies}\n"}
    )
    synced(lab)
    without_daily(lab)
    kill_at(lab, at, Options(prune=True))
    lab.apply("--prune")
    assert lab.store.read().jobs.keys() == {"items"}
    assert lab.tables.keys() == {"sales.orders", "sales.customers", "stock.items"}
    assert not lab.store.applies(ApplyStatus.RUNNING)
    assert NO_CHANGES in lab.ok("plan", "--prune").out

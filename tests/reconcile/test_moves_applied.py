"""`Moved` from the command line: after the apply the plan is empty, and tables and history are where they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from olake_reconcile.model.journal import ApplyStatus
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StreamPhase
from tests.workspaces import DAILY_YAML, PROJECT_YAML, Lab, a_lab

NO_CHANGES = "No changes."


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A job that was applied and synced."""
    lab = a_lab(tmp_path)
    lab.apply()
    lab.ok("sync", "daily")
    return lab


def moved(before: str, after: str) -> str:
    return f"---\nkind: Moved\nfrom: {before}\nto: {after}\n"


def settle(lab: Lab) -> None:
    """Apply; the plan is empty afterwards, before and after the next sync, and no data was touched."""
    tables = lab.tables
    lab.apply()
    assert lab.tables == tables
    assert NO_CHANGES in lab.ok("plan").out
    assert not lab.store.applies(ApplyStatus.RUNNING)


def test_a_renamed_job_keeps_tables_history_and_schedule(lab: Lab) -> None:
    due = lab.store.read().jobs["daily"].due
    lab.write(
        {"jobs/daily.yaml": DAILY_YAML.replace("name: daily", "name: nightly") + moved("daily", "nightly")}
    )
    shown = lab.ok("plan").out
    assert "moved from job.daily" in shown
    settle(lab)
    stored = lab.store.read().jobs
    assert stored.keys() == {"nightly"}
    assert stored["nightly"].due == due
    assert {s.phase for s in stored["nightly"].streams.values()} == {StreamPhase.LIVE}
    assert len(lab.store.runs("nightly")) == 1
    lab.ok("sync", "nightly")
    assert NO_CHANGES in lab.ok("plan").out


def test_a_renamed_stream_is_loaded_into_its_table(lab: Lab) -> None:
    lab.world(sources={"public.sales": 50, "public.customers": 1_200})
    text = DAILY_YAML.replace("public.orders:", "public.sales: {destination_table: orders}")
    lab.write({"jobs/daily.yaml": text + moved("daily/public.orders", "daily/public.sales")})
    lab.ok("discover")
    settle(lab)
    lab.ok("sync", "daily")
    assert lab.tables["sales.orders"]["rows"] == 50
    assert NO_CHANGES in lab.ok("plan").out


def test_a_stream_is_split_off_into_a_job_of_its_own(lab: Lab) -> None:
    apart = DAILY_YAML.replace("  public.orders:\n", "")
    own = DAILY_YAML.replace("  public.customers:\n", "").replace("name: daily", "name: orders")
    lab.write(
        {
            "jobs/daily.yaml": apart,
            "jobs/orders.yaml": own + moved("daily/public.orders", "orders/public.orders"),
        }
    )
    settle(lab)
    stored = lab.store.read().jobs
    assert stored["orders"].due is not None
    assert stored["orders"].streams[StreamId("public", "orders")].phase is StreamPhase.LIVE
    lab.ok("sync", "orders")
    assert NO_CHANGES in lab.ok("plan").out


@pytest.mark.parametrize(("kind", "old"), [("source", "shop"), ("destination", "lake")])
def test_a_renamed_endpoint_rebuilds_nothing(lab: Lab, kind: str, old: str) -> None:
    text = PROJECT_YAML.replace(f"name: {old}", "name: other").replace(f"{kind}: {old}", f"{kind}: other")
    lab.write({"olake.yaml": text + moved(f"{kind}.{old}", f"{kind}.other")})
    settle(lab)
    stored = lab.store.read()
    assert stored.jobs["daily"].spec[kind] == "other"
    lab.ok("sync", "daily")


def test_a_saved_plan_of_a_move_is_applied_and_repeated_it_is_stale_or_nothing(lab: Lab) -> None:
    lab.write(
        {"jobs/daily.yaml": DAILY_YAML.replace("name: daily", "name: nightly") + moved("daily", "nightly")}
    )
    lab.ok("plan", "--out", "move.plan")
    lab.ok("apply", "move.plan")
    assert NO_CHANGES in lab.ok("plan").out


def test_a_plan_that_was_made_before_a_move_is_stale_after_it(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("@hourly", "@daily")})
    lab.ok("plan", "--out", "old.plan")
    lab.write(
        {"jobs/daily.yaml": DAILY_YAML.replace("name: daily", "name: nightly") + moved("daily", "nightly")}
    )
    lab.apply()
    assert lab.run("apply", "old.plan").code == 4


def test_a_job_that_syncs_is_not_renamed_under_its_run(lab: Lab) -> None:
    lab.write(
        {"jobs/daily.yaml": DAILY_YAML.replace("name: daily", "name: nightly") + moved("daily", "nightly")}
    )
    services = lab.services()
    lease = services.store.acquire("job:daily", services.holder, "sync", services.clock.now())
    refused = lab.run("apply", "--auto-approve")
    assert refused.code == 5
    assert lab.store.read().jobs.keys() == {"daily"}
    services.store.release(lease)
    lab.apply()
    assert lab.store.read().jobs.keys() == {"nightly"}

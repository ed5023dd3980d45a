"""Streams whose position relies on what is gone: noticed by a run or by a plan, rebuilt with consent, live again."""

from __future__ import annotations

import json

import pytest

from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import Run, RunStatus, Trigger
from olake_reconcile.model.stored import StoredStream, StreamPhase
from olake_reconcile.reconcile.runs import sync_job
from tests.builders import PROJECT_UID
from tests.workspaces import DAILY_YAML, Lab

BY_CURSOR = DAILY_YAML.replace("public.orders:", "public.orders: {sync_mode: incremental, cursor: at}")


def scheduled(lab: Lab) -> Run:
    return sync_job(lab.services(), PROJECT_UID, "daily", Trigger.SCHEDULE, lambda event: None, lambda: False)


def orders(lab: Lab) -> StoredStream:
    return lab.store.read("daily").jobs["daily"].streams[StreamId.parse("public.orders")]


def proposed(lab: Lab) -> dict[str, list[str]]:
    """The reasons of each rebuild that a plan proposes."""
    document = json.loads(lab.ok("plan", "--json").out)
    return {
        c["address"]: c["reasons"]
        for c in document["resource_changes"]
        if c["change"]["actions"] == ["delete", "create"]
    }


REBUILD = {'job.daily.stream["public.orders"]': ["rebuild_because_needs_resync"]}


@pytest.fixture
def bereft(lab: Lab) -> Lab:
    """A stream that went on by its cursor, and whose table somebody has dropped."""
    lab.write({"jobs/daily.yaml": BY_CURSOR})
    lab.apply()
    lab.ok("sync", "daily")
    assert orders(lab).phase is StreamPhase.LIVE
    lab.world(tables={k: v for k, v in lab.tables.items() if k != "sales.orders"})
    return lab


def test_a_plan_notices_by_itself_and_writes_nothing_down(bereft: Lab) -> None:
    assert proposed(bereft) == REBUILD
    assert orders(bereft).phase is StreamPhase.LIVE
    assert json.loads(bereft.ok("plan", "--json", "--no-refresh").out)["resource_changes"] == []


def test_a_run_notices_too_and_leaves_the_other_streams_alone(bereft: Lab) -> None:
    run = scheduled(bereft)
    assert {str(o.stream): o.status for o in run.streams} == {
        "public.orders": RunStatus.FAILED,
        "public.customers": RunStatus.COMPLETED,
    }
    stored = orders(bereft)
    assert (stored.phase, stored.phase_reason) == (
        StreamPhase.NEEDS_RESYNC,
        "the table sales.orders is gone",
    )
    assert "sales.orders" not in bereft.tables, "nothing is started over by itself"
    assert [str(o.stream) for o in scheduled(bereft).streams] == ["public.customers"]
    bereft.ok("sync", "daily")
    assert "sales.orders" not in bereft.tables
    assert proposed(bereft) == REBUILD


@pytest.mark.parametrize("noticed", ["by a run", "by the plan"])
def test_after_the_rebuild_the_stream_is_live_again_and_nothing_is_proposed(
    bereft: Lab, noticed: str
) -> None:
    if noticed == "by a run":
        scheduled(bereft)
    before = orders(bereft)
    bereft.apply()
    assert orders(bereft).phase is StreamPhase.PENDING
    assert orders(bereft).generation == before.generation + 1
    assert orders(bereft).position == {}
    bereft.ok("sync", "daily")
    assert (orders(bereft).phase, orders(bereft).phase_reason) == (StreamPhase.LIVE, "")
    assert bereft.tables["sales.orders"]["rows"] == 41_200
    assert "No changes" in bereft.ok("plan").out


def test_a_full_refresh_is_not_proposed_its_next_run_makes_the_table_again(bereft: Lab) -> None:
    bereft.world(tables={})
    assert proposed(bereft) == REBUILD
    scheduled(bereft)
    assert "sales.customers" in bereft.tables


def test_a_table_of_somebody_else_in_its_place_blocks_the_rebuild(bereft: Lab) -> None:
    scheduled(bereft)
    foreign = {"rows": 5, "snapshot": "9", "owner": None}
    bereft.world(tables={**bereft.tables, "sales.orders": foreign})
    assert "is another one than was loaded" in bereft.ok("plan").out
    assert bereft.run("apply", "--auto-approve").code == 3
    assert bereft.tables["sales.orders"] == foreign

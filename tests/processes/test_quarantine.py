"""Streams that fail each time until somebody settles it: what sets the state, what lifts it (design §7)."""

from __future__ import annotations

import json

import pytest

from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import Run, RunStatus, Trigger
from olake_reconcile.model.stored import StoredStream, StreamPhase
from olake_reconcile.reconcile.runs import sync_job
from tests.builders import PROJECT_UID
from tests.workspaces import DAILY_YAML, Lab

WHY = "column n cannot follow its source: it is text now"


def scheduled(lab: Lab) -> Run:
    return sync_job(lab.services(), PROJECT_UID, "daily", Trigger.SCHEDULE, lambda event: None, lambda: False)


def orders(lab: Lab) -> StoredStream:
    return lab.store.read("daily").jobs["daily"].streams[StreamId.parse("public.orders")]


@pytest.fixture
def broken(lab: Lab) -> Lab:
    """A job whose orders have been quarantined by a scheduled run."""
    lab.ok("sync", "daily")
    lab.world(broken={"public.orders": WHY})
    assert scheduled(lab).status is RunStatus.FAILED
    return lab


def test_a_stream_that_cannot_go_on_is_quarantined_with_its_reason(broken: Lab) -> None:
    assert (orders(broken).phase, orders(broken).phase_reason) == (StreamPhase.QUARANTINED, WHY)
    streams = json.loads(broken.ok("status", "--json").out)["jobs"][0]["streams"]
    assert "quarantined" in json.dumps(streams)
    assert "sales.orders" in broken.tables, "its table is served as it is"


def test_scheduled_runs_leave_a_quarantined_stream_out_and_complete(broken: Lab) -> None:
    run = scheduled(broken)
    assert run.status is RunStatus.COMPLETED
    assert [str(o.stream) for o in run.streams] == ["public.customers"]


def test_a_sync_by_hand_tries_it_and_lifts_the_quarantine_when_it_goes_well(broken: Lab) -> None:
    assert broken.run("sync", "daily").code == 1
    broken.world(broken={})
    broken.ok("sync", "daily")
    assert (orders(broken).phase, orders(broken).phase_reason) == (StreamPhase.LIVE, "")


def test_other_settings_lift_the_quarantine(broken: Lab) -> None:
    broken.write(
        {
            "jobs/daily.yaml": DAILY_YAML.replace(
                "public.orders:", "public.orders: {columns: {exclude: [name]}}"
            )
        }
    )
    broken.apply()
    assert orders(broken).phase is StreamPhase.LIVE
    broken.world(broken={})
    assert len(scheduled(broken).streams) == 2


def test_a_rebuild_lifts_the_quarantine(broken: Lab) -> None:
    broken.write({"jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 1}")})
    broken.apply()
    assert orders(broken).phase is StreamPhase.PENDING


def test_the_quarantine_keeps_the_position(broken: Lab) -> None:
    before = orders(broken)
    broken.run("sync", "daily")
    assert orders(broken).position == before.position

"""`maintain`: a run of its own, which keeps no sync waiting and shows in the history."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import Run, RunStatus, RunType
from olake_reconcile.reconcile.cancel import cancel_job
from olake_reconcile.reconcile.maintain import maintain_job
from tests.builders import PROJECT_UID
from tests.processes.conftest import wait_until
from tests.workspaces import Lab

ORDERS = "maintenance of sales.orders"


@pytest.fixture
def synced(lab: Lab) -> Lab:
    lab.apply()
    lab.ok("sync", "daily")
    return lab


def maintained(lab: Lab) -> dict[str, int]:
    return {place: table.get("maintained", 0) for place, table in lab.tables.items()}


def history(lab: Lab) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(lab.ok("history", "daily", "--json").out)["runs"]
    return runs


def test_all_tables_of_a_job_are_maintained_or_those_of_the_named_streams(synced: Lab) -> None:
    synced.ok("maintain", "daily")
    assert maintained(synced) == {"sales.orders": 1, "sales.customers": 1}
    synced.ok("maintain", "daily", "public.orders")
    assert maintained(synced) == {"sales.orders": 2, "sales.customers": 1}


def test_the_history_shows_it_as_maintenance(synced: Lab) -> None:
    synced.ok("maintain", "daily")
    assert [r["type"] for r in history(synced)] == ["maintenance", "sync"]
    assert "Maintenance" in synced.ok("history", "daily").out


def test_it_changes_no_plan_no_position_and_not_the_jobs_last_run(synced: Lab) -> None:
    before = synced.store.read("daily").jobs["daily"].streams
    synced.ok("maintain", "daily")
    assert synced.store.read("daily").jobs["daily"].streams == before
    assert synced.store.latest_runs()["daily"].type is RunType.SYNC
    assert "No changes" in synced.ok("plan").out


def test_one_table_that_fails_does_not_stop_the_others_and_fails_the_run(synced: Lab) -> None:
    world = synced.engine.read()
    synced.engine.write(world | {"failures": {ORDERS: "the disk is full"}})
    failed = synced.run("maintain", "daily")
    assert failed.code == 1
    assert "the disk is full" in failed.text
    assert maintained(synced) == {"sales.orders": 0, "sales.customers": 1}


def test_a_paused_job_is_not_maintained_and_unknown_streams_are_refused(synced: Lab) -> None:
    assert synced.run("maintain", "daily", "public.nothing").code == 64
    assert synced.run("maintain", "nothing").code == 1
    synced.ok("pause", "daily")
    assert synced.run("maintain", "daily").code == 3


class InBackground:
    """Maintenance that hangs at a table until somebody lets it go or stops it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.ended: list[Run] = []
        lab.engine.write(lab.engine.read() | {"held_up": [ORDERS]})
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()
        wait_until(lambda: any(r.type is RunType.MAINTENANCE for r in lab.store.unfinished_runs()))

    def _work(self) -> None:
        streams = [StreamId.parse("public.orders")]
        services = self.lab.services()
        self.ended.append(
            maintain_job(services, PROJECT_UID, "daily", streams, lambda event: None, lambda: False)
        )

    def let_go(self) -> None:
        self.lab.engine.write(self.lab.engine.read() | {"held_up": []})
        self.thread.join()


def test_syncs_go_on_beside_it_and_a_second_one_is_refused(synced: Lab) -> None:
    background = InBackground(synced)
    synced.ok("sync", "daily")
    assert synced.run("maintain", "daily").code == 5
    background.let_go()
    assert [r.status for r in background.ended] == [RunStatus.COMPLETED]


def test_it_can_be_cancelled(synced: Lab) -> None:
    background = InBackground(synced)
    run = cancel_job(synced.services(), "daily")
    assert run is not None
    assert run.status is RunStatus.CANCELED
    background.thread.join()
    assert background.ended[0].status is RunStatus.CANCELED
    assert maintained(synced)["sales.orders"] == 0

"""Healing by the loop: marks and properties written again, three rounds and no more, and never a rebuild unasked."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.reconcile.leases import held
from olake_reconcile.reconcile.ledger import read_ledger
from tests.reconcile.test_loop import Loop
from tests.reconcile.test_reload import daily
from tests.workspaces import PROJECT_YAML

SETTINGS = {"commit.retry.num-retries": ["0", "4"]}
ORDERS = "sales.orders"


def project(safety: str) -> dict[str, str]:
    return {"olake.yaml": PROJECT_YAML.replace("job_defaults", f"safety: {{{safety}}}\njob_defaults")}


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """A job that has loaded its table, in a project that heals itself."""
    loop = Loop(tmp_path, {})
    loop.lab.write(daily() | project("self_heal: true"))
    loop.once()
    loop.go_to("13:00")
    assert loop.once() == ["daily"]
    return loop


def tamper(loop: Loop, **changes: Any) -> dict[str, Any]:
    """Change the table as somebody else would; return its owner's marks."""
    table = loop.lab.tables[ORDERS]
    run = loop.lab.store.runs()[0].id
    before: dict[str, Any] = table["owner"]
    loop.lab.world(tables=loop.lab.tables | {ORDERS: table | {"trace": {"runs": [run]}} | changes})
    return before


def settings_changed(loop: Loop) -> None:
    tamper(loop, trace={"runs": [loop.lab.store.runs()[0].id], "settings": SETTINGS})


def test_lost_marks_are_written_again_said_and_recorded(loop: Loop) -> None:
    marks = tamper(loop, owner=None)
    assert loop.lab.run("drift").code == 2
    rows = loop.lab.tables[ORDERS]["rows"]
    loop.once()
    assert loop.fine
    (told,) = loop.told("healed")
    assert "daily/public.orders is healed" in told
    assert loop.lab.tables[ORDERS]["owner"] == marks
    assert loop.lab.tables[ORDERS]["rows"] == rows
    loop.lab.ok("drift")
    record = loop.lab.store.applies()[0]
    assert record.detail["by"] == "safety.self_heal"
    assert [d["kind"] for d in record.plan["drift"]] == ["marks_lost"]
    assert record.id in loop.lab.ok("history", "--applies").out
    assert "marks on sales.orders" in loop.lab.ok("show", record.id).out
    loop.once()
    assert loop.told("healed") == []
    assert loop.lab.store.applies()[0].id == record.id


def test_nothing_is_healed_in_a_project_that_did_not_ask(loop: Loop) -> None:
    loop.lab.write(project("self_heal: false"))
    tamper(loop, owner=None)
    loop.once()
    assert loop.lab.tables[ORDERS]["owner"] is None
    (found,) = json.loads(loop.lab.run("drift", "--json").out)["drift"]
    assert found["healing"] == "by_hand"


def test_after_three_rounds_the_fight_is_over_and_that_is_said_once(loop: Loop) -> None:
    for _ in range(3):
        settings_changed(loop)
        loop.once()
        assert loop.told("healed")
        assert loop.told("healing_stopped") == []
    settings_changed(loop)
    loop.once()
    (told,) = loop.told("healing_stopped")
    assert "daily/public.orders is healed no more: it came back after 3 rounds" in told
    assert loop.told("healed") == []
    loop.once()
    assert loop.told("healing_stopped") == []
    shown = loop.lab.run("drift")
    assert shown.code == 2
    assert "find out who else manages the table" in shown.out
    (found,) = json.loads(loop.lab.run("drift", "--json").out)["drift"]
    assert found["healing"] == "stopped"
    assert json.loads(loop.lab.ok("plan", "--json").out)["drift"] == [found]


def test_rounds_are_counted_by_kind_and_anew_a_week_later(loop: Loop) -> None:
    settings_changed(loop)
    loop.once()
    tamper(loop, owner=None)
    loop.once()
    assert sorted(r.healed for r in read_ledger(loop.lab.store).rounds.values()) == [1, 1]
    loop.clock.advance(timedelta(days=8))
    loop.once()
    assert read_ledger(loop.lab.store).rounds == {}


def test_a_table_without_a_run_of_ours_is_not_given_our_marks(loop: Loop) -> None:
    tamper(loop, owner=None, trace={"runs": ["20200101-000000-00000000"]})
    loop.once()
    (told,) = loop.told("healing_failed")
    assert "nothing shows that the table sales.orders is the one" in told
    assert loop.lab.tables[ORDERS]["owner"] is None


def test_whole_marks_of_another_are_left_alone(loop: Loop) -> None:
    theirs = loop.lab.tables[ORDERS]["owner"] | {"project": "other"}
    tamper(loop, owner=theirs)
    loop.once()
    assert loop.told("healed") == []
    assert loop.lab.tables[ORDERS]["owner"] == theirs


def test_a_busy_job_is_healed_another_time(loop: Loop) -> None:
    tamper(loop, owner=None)
    with held(loop.services, "job:daily", "sync"):
        loop.once()
        assert loop.lab.tables[ORDERS]["owner"] is None
    loop.once()
    assert loop.lab.tables[ORDERS]["owner"] is not None


def needs_resync(loop: Loop) -> None:
    store = loop.lab.store
    stream = StreamId.parse("public.orders")
    stored = store.read("daily").jobs["daily"].streams[stream]
    with held(loop.services, "job:daily", "test") as lease:
        store.save_progress(
            "daily",
            stream,
            generation=stored.generation,
            phase=StreamPhase.NEEDS_RESYNC,
            position={},
            fence=lease.lease,
        )


def generation(loop: Loop) -> int:
    return loop.lab.store.read().jobs["daily"].streams[StreamId.parse("public.orders")].generation


def test_healing_is_never_a_rebuild(loop: Loop) -> None:
    needs_resync(loop)
    loop.once()
    assert loop.told("consent_pending")
    assert generation(loop) == 1


def test_with_self_heal_rebuild_what_needs_resync_is_rebuilt_and_nothing_else(loop: Loop) -> None:
    loop.lab.write(project("self_heal_rebuild: true") | daily(orders=", partition_by: [day(at)]"))
    loop.once()
    assert loop.told("consent_pending"), "an edit is no healing"
    assert generation(loop) == 1
    loop.lab.write(daily())
    needs_resync(loop)
    loop.once()
    assert generation(loop) == 2


def test_a_rebuild_that_does_not_help_three_times_needs_somebody(loop: Loop) -> None:
    loop.lab.write(project("self_heal_rebuild: true"))
    told = []
    for _ in range(3):
        needs_resync(loop)
        loop.once()
        told += loop.told("healing_stopped")
    assert generation(loop) == 4
    assert len(told) == 1
    needs_resync(loop)
    loop.once()
    assert loop.told("consent_pending")
    assert generation(loop) == 4

"""Adopting tables from the command line: no row is touched, and the plan is empty afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from olake_reconcile.model.journal import StepKind
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StreamPhase
from tests.workspaces import DAILY_YAML, Lab, a_lab

ORDERS = StreamId("public", "orders")
IMPORT = "---\nkind: Import\naddress: daily/public.orders\ntable: sales.orders\n"
NO_CHANGES = "No changes."


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A workspace at whose destination somebody else's `sales.orders` stands."""
    lab = a_lab(tmp_path)
    lab.world(tables={"sales.orders": {"owner": None, "rows": 9, "snapshot": "7", "settings": {}}})
    return lab


def test_a_foreign_table_blocks_until_it_is_imported(lab: Lab) -> None:
    refused = lab.run("apply", "--auto-approve")
    assert refused.code == 3
    assert "kind: Import" in refused.text
    lab.write({"jobs/daily.yaml": DAILY_YAML + IMPORT})
    assert "1 to import" in lab.ok("plan").out
    assert json.loads(lab.ok("plan", "--json").out)["summary"]["import"] == 1
    lab.apply()
    table = lab.tables["sales.orders"]
    assert (table["rows"], table["snapshot"]) == (9, "7")
    stream = lab.store.read().jobs["daily"].streams[ORDERS]
    assert (stream.phase, stream.generation, stream.uid) == (StreamPhase.LIVE, 1, table["owner"]["stream"])
    assert NO_CHANGES in lab.ok("plan").out
    lab.ok("sync", "daily")
    assert lab.tables["sales.orders"]["rows"] == 41_200
    assert NO_CHANGES in lab.ok("plan").out


def test_the_marks_are_journaled_before_the_settings(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML + IMPORT})
    lab.apply()
    [record] = lab.store.applies()
    kinds = [step.kind for step in lab.store.journal(record.id)]
    assert kinds.index(StepKind.TABLE_ADOPTED) < kinds.index(StepKind.SETTINGS_STORED)


def test_a_lost_state_is_rebuilt_from_the_marks_of_the_tables(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.apply()
    lab.ok("sync", "daily")
    tables, before = lab.tables, lab.store.read().jobs["daily"]
    shutil.rmtree(lab.root / ".olake")
    shown = lab.ok("plan").out
    assert "NEW STATE" in shown
    assert "2 to import" in shown
    lab.apply()
    assert lab.tables == tables
    after = lab.store.read().jobs["daily"]
    assert {i: (s.uid, s.generation, s.phase) for i, s in after.streams.items()} == {
        i: (s.uid, s.generation, s.phase) for i, s in before.streams.items()
    }
    assert NO_CHANGES in lab.ok("plan").out
    lab.ok("sync", "daily")
    assert NO_CHANGES in lab.ok("plan").out


def test_a_saved_plan_imports(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML + IMPORT})
    lab.ok("plan", "--out", "import.plan")
    assert "will be imported" in lab.ok("show", "import.plan").out
    lab.ok("apply", "import.plan")
    assert NO_CHANGES in lab.ok("plan").out


def test_without_a_connection_an_import_is_blocked(lab: Lab) -> None:
    lab.write({"jobs/daily.yaml": DAILY_YAML + IMPORT})
    refused = lab.run("apply", "--auto-approve", "--no-refresh")
    assert refused.code == 3
    assert "nobody could look" in refused.text

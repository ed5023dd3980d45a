"""Moves, imports and removals killed at every step: another apply ends as the one that was not killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from olake_reconcile.model.journal import ApplyStatus
from olake_reconcile.plan.options import Options
from tests.reconcile.killing import every_point, kill_at
from tests.workspaces import DAILY_YAML, PROJECT_YAML, Lab, a_lab

PRUNE = Options(prune=True)
FOREIGN: dict[str, Any] = {"sales.orders": {"owner": None, "rows": 9, "snapshot": "7", "settings": {}}}


def moved(*pairs: tuple[str, str]) -> str:
    return "".join(f"---\nkind: Moved\nfrom: {a}\nto: {b}\n" for a, b in pairs)


RENAMED = DAILY_YAML.replace("name: daily", "name: nightly").replace(
    "public.orders:", "public.orders: {filter: id > 7}"
)
ITEMS = """\
kind: Job
name: items
stream_defaults: {sync_mode: full_refresh, destination_database: stock}
streams:
  public.items:
"""
APART = DAILY_YAML.replace("  public.orders:\n", "")
ORDERS = DAILY_YAML.replace("  public.customers:\n", "").replace("name: daily", "name: orders")

CASES: dict[str, dict[str, str]] = {
    "job moved and a stream rebuilt": {"jobs/daily.yaml": RENAMED + moved(("daily", "nightly"))},
    "everything moved at once": {
        "olake.yaml": PROJECT_YAML.replace("shop, dest", "store, dest").replace("name: shop", "name: store")
        + moved(("source.shop", "source.store")),
        "jobs/daily.yaml": RENAMED.replace(
            "public.customers:", "public.items: {destination_table: customers}"
        )
        + moved(("daily", "nightly"), ("daily/public.customers", "nightly/public.items")),
    },
    "stream split off": {
        "jobs/daily.yaml": APART,
        "jobs/orders.yaml": ORDERS + moved(("daily/public.orders", "orders/public.orders")),
    },
    "job pruned, another made": {"jobs/daily.yaml": "", "jobs/items.yaml": ITEMS},
    "job erased by its document": {
        "jobs/daily.yaml": "kind: Removed\naddress: daily\ndata: erase\n",
        "jobs/items.yaml": ITEMS,
    },
    "stream forgotten": {"jobs/daily.yaml": APART + "---\nkind: Removed\naddress: daily/public.orders\n"},
}


def view(lab: Lab) -> dict[str, Any]:
    """Return what must not depend on a kill: records without what is random or of the moment, and tables."""
    stored = lab.store.read()
    return {
        "jobs": {name: (job.spec, job.serial, job.due is not None) for name, job in stored.jobs.items()},
        "streams": {
            f"{name}/{i}": (s.spec, s.generation, s.phase, str(s.place))
            for name, job in stored.jobs.items()
            for i, s in job.streams.items()
        },
        "endpoints": (sorted(stored.sources), sorted(stored.destinations)),
        "tables": {place: table["rows"] for place, table in lab.tables.items()},
    }


# Every third point in every run of the suite, all of them behind `make soak`.
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("case", CASES)
def test_killed_anywhere_another_apply_ends_the_same(tmp_path: Path, case: str, step: int) -> None:
    def ready(name: str) -> Lab:
        (tmp_path / name).mkdir()
        lab = a_lab(tmp_path / name)
        lab.apply()
        lab.ok("sync", "daily")
        lab.write(CASES[case])
        return lab

    whole = ready("whole")
    whole.apply("--prune")
    expected = view(whole)

    def check(at: int) -> bool:
        lab = ready(f"at{at}")
        killed = kill_at(lab, at, PRUNE)
        lab.run("apply", "--auto-approve", "--prune")
        assert "No changes." in lab.ok("plan", "--prune").out, at
        assert view(lab) == expected, at
        assert not lab.store.applies(ApplyStatus.RUNNING), at
        return killed

    every_point(check, step)


def test_an_import_killed_anywhere_adopts_the_table_once(tmp_path: Path) -> None:
    def check(at: int) -> bool:
        (tmp_path / str(at)).mkdir()
        lab = a_lab(tmp_path / str(at))
        lab.world(tables=FOREIGN)
        lab.write({"jobs/daily.yaml": DAILY_YAML + "---\nkind: Import\naddress: daily/public.orders\n"})
        killed = kill_at(lab, at)
        lab.run("apply", "--auto-approve")
        assert "No changes." in lab.ok("plan").out, at
        [orders] = [s for i, s in lab.store.read().jobs["daily"].streams.items() if i.name == "orders"]
        assert lab.tables["sales.orders"]["owner"]["stream"] == orders.uid, at
        assert (orders.phase, orders.generation, lab.tables["sales.orders"]["rows"]) == ("live", 1, 9), at
        return killed

    every_point(check)


def test_a_saved_plan_of_a_move_is_resumed_where_it_was_killed(tmp_path: Path) -> None:
    def check(at: int) -> bool:
        (tmp_path / str(at)).mkdir()
        lab = a_lab(tmp_path / str(at))
        lab.apply()
        lab.ok("sync", "daily")
        lab.write(CASES["job moved and a stream rebuilt"])
        lab.ok("plan", "--out", "move.plan")
        killed = kill_at(lab, at)
        outcome = lab.run("apply", "move.plan")
        assert outcome.code in ((0,) if killed else (4,)), (at, outcome.text)
        assert "No changes." in lab.ok("plan").out, at
        return killed

    every_point(check, 2)

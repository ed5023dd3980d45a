"""A table that somebody put in the place of ours: the plan says that it cannot be cleared, before anything is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workspaces import DAILY_YAML, PROJECT_YAML, Lab, a_lab

REBUILT = DAILY_YAML.replace("public.orders:", "public.orders: {filter: id > 7}")
ERASED = DAILY_YAML.replace("  public.orders:\n", "")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    text = DAILY_YAML.replace("public.orders:", "public.orders: {on_remove: clear}")
    lab = a_lab(tmp_path, {"olake.yaml": PROJECT_YAML, "jobs/daily.yaml": text})
    lab.apply()
    lab.ok("sync", "daily")
    return lab


@pytest.mark.parametrize("text", [REBUILT, ERASED])
@pytest.mark.parametrize(
    "owner",
    [None, {"job": "x", "stream": "u", "project": "other", "environment": "default", "generation": 1}],
)
def test_a_table_in_the_place_of_ours_blocks_its_clear(lab: Lab, text: str, owner: object) -> None:
    tables = lab.tables
    lab.world(tables=tables | {"sales.orders": tables["sales.orders"] | {"owner": owner}})
    lab.write({"jobs/daily.yaml": text})
    due = lab.store.read().jobs["daily"].due
    refused = lab.run("apply", "--auto-approve")
    assert refused.code == 3
    assert "another one than was loaded" in refused.text
    assert lab.tables["sales.orders"]["owner"] == owner
    assert lab.store.read().jobs["daily"].due == due
    lab.world(tables={"sales.customers": tables["sales.customers"]})
    lab.apply()
    assert "No changes." in lab.ok("plan").out


def test_streams_that_left_do_not_water_a_percentage_down(tmp_path: Path) -> None:
    def job(streams: range, rebuilt: int = 0) -> str:
        head = "kind: Job\nname: t\nstream_defaults: {sync_mode: full_refresh, destination_database: d}\nstreams:\n"
        return head + "".join(f"  public.s{i}: {{filter: id > {int(i < rebuilt)}}}\n" for i in streams)

    lab = a_lab(tmp_path, {"olake.yaml": PROJECT_YAML, "jobs/t.yaml": job(range(20))})
    lab.world(sources={f"public.s{i}": 10 for i in range(20)})
    lab.apply()
    lab.ok("sync", "t")
    lab.write({"jobs/t.yaml": job(range(10))})
    lab.apply("--allow-delete", "t")
    lab.write({"jobs/t.yaml": job(range(10), rebuilt=3)})
    assert lab.run("plan", "--detailed-exitcode").code == 2
    lab.write({"jobs/t.yaml": job(range(10), rebuilt=4)})
    assert lab.run("plan", "--detailed-exitcode").code == 3, "4 of the 10 that are left, not of 20"

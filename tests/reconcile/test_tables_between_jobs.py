"""Tables and streams that go from one job to another in one apply: who gives up goes first, killed anywhere it is safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workspaces import DAILY_YAML, PROJECT_YAML, Lab, a_lab

#: Writes `table`; the job comes before or after `daily` by name.
TAKER = """\
kind: Job
name: {name}
stream_defaults: {{sync_mode: full_refresh, destination_database: sales}}
streams:
  public.items: {{destination_table: {table}}}
"""
ORDERS_ELSEWHERE = DAILY_YAML.replace("public.orders:", "public.orders: {destination_table: orders2}")


def synced(folder: Path, **files: str) -> Lab:
    lab = a_lab(folder)
    lab.write({f"jobs/{name}.yaml": text for name, text in files.items()})
    lab.apply()
    for job in sorted(lab.store.read().jobs):
        lab.ok("sync", job)
    return lab


def settle(lab: Lab) -> None:
    lab.apply()
    assert "No changes." in lab.ok("plan").out
    for job in sorted(lab.store.read().jobs):
        lab.ok("sync", job)
    assert "No changes." in lab.ok("plan").out


@pytest.mark.parametrize("name", ["a_first", "z_last"])
def test_a_new_job_takes_the_table_that_another_moves_away_from(tmp_path: Path, name: str) -> None:
    lab = synced(tmp_path)
    lab.write({"jobs/daily.yaml": ORDERS_ELSEWHERE, "jobs/t.yaml": TAKER.format(name=name, table="orders")})
    assert "daily/public.orders's now, is cleared first" in lab.ok("plan").out
    settle(lab)
    assert (lab.tables["sales.orders"]["rows"], lab.tables["sales.orders2"]["rows"]) == (7, 41_200)


@pytest.mark.parametrize("name", ["a_first", "z_last"])
def test_a_table_moves_onto_one_that_another_job_erases(tmp_path: Path, name: str) -> None:
    lab = synced(tmp_path, t=TAKER.format(name=name, table="items"))
    text = (
        DAILY_YAML.replace("  public.orders:\n", "")
        + "---\n{kind: Removed, address: daily/public.orders, data: erase}\n"
    )
    lab.write({"jobs/daily.yaml": text, "jobs/t.yaml": TAKER.format(name=name, table="orders")})
    settle(lab)
    assert lab.tables["sales.orders"]["rows"] == 7
    assert "sales.items" not in lab.tables


def test_a_table_of_a_job_that_is_deleted_is_taken(tmp_path: Path) -> None:
    lab = synced(tmp_path, z=TAKER.format(name="z", table="items"))
    lab.write({
        "jobs/z.yaml": "{kind: Removed, address: job.z, data: erase}\n",
        "jobs/a.yaml": TAKER.format(name="a", table="items"),
    })  # fmt: skip
    settle(lab)
    assert lab.tables["sales.items"]["rows"] == 7


def test_jobs_that_swap_tables_are_blocked_and_keep_both(tmp_path: Path) -> None:
    lab = synced(tmp_path, t=TAKER.format(name="t", table="items"))
    tables = lab.tables
    lab.write({
        "jobs/daily.yaml": DAILY_YAML.replace("public.orders:", "public.orders: {destination_table: items}"),
        "jobs/t.yaml": TAKER.format(name="t", table="orders"),
    })  # fmt: skip
    assert lab.run("apply", "--auto-approve").code == 3
    for again in ("plan", "apply"):  # nobody looked: nothing is dropped for a place that is taken
        lab.run(again, "--no-refresh", *(["--auto-approve"] if again == "apply" else []))
    assert lab.tables == tables


def test_who_waits_for_a_table_is_left_out_with_the_job_that_keeps_it(tmp_path: Path) -> None:
    lab = synced(tmp_path)
    tables = lab.tables
    protected = DAILY_YAML.replace("public.orders:", "public.orders: {protect: {rebuild: true}}")
    lab.write({"jobs/daily.yaml": protected})
    lab.apply()
    moved = DAILY_YAML.replace(
        "public.orders:", "public.orders: {protect: {rebuild: true}, destination_table: orders2}"
    )
    lab.write({"jobs/daily.yaml": moved, "jobs/t.yaml": TAKER.format(name="a_first", table="orders")})
    assert lab.run("apply", "--auto-approve", "--skip-blocked").code == 3
    assert lab.store.read().jobs.keys() == {"daily"}
    assert lab.tables == tables


def test_a_target_brings_the_job_along_that_frees_its_table(tmp_path: Path) -> None:
    lab = synced(tmp_path)
    lab.write(
        {"jobs/daily.yaml": ORDERS_ELSEWHERE, "jobs/t.yaml": TAKER.format(name="a_first", table="orders")}
    )
    assert "daily/public.orders" in lab.ok("plan", "--target", "a_first").out


TWO_NAMES = (
    PROJECT_YAML
    + """\
---
kind: Source
name: shop_too
type: postgres
config: {host: db.internal, database: shop, username: other, password: "${env:SHOP_PASSWORD}"}
---
kind: Destination
name: lake_too
type: iceberg
config: {catalog_type: jdbc, jdbc_url: "jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path: warehouse}
"""
)
OTHER = TAKER.format(name="nightly", table="items") + "source: shop_too\ndestination: lake_too\n"


@pytest.mark.parametrize("stored_before", [True, False])
def test_a_stream_moves_to_a_job_that_calls_the_same_servers_otherwise(
    tmp_path: Path, stored_before: bool
) -> None:
    lab = a_lab(tmp_path)
    lab.write({"olake.yaml": TWO_NAMES} | ({"jobs/n.yaml": OTHER} if stored_before else {}))
    lab.apply()
    lab.ok("sync", "daily")
    tables = lab.tables
    lab.write({
        "jobs/daily.yaml": DAILY_YAML.replace("  public.customers:\n", "")
        + "---\n{kind: Moved, from: daily/public.customers, to: nightly/public.customers}\n",
        "jobs/n.yaml": OTHER.replace("streams:\n", "streams:\n  public.customers:\n"),
    })  # fmt: skip
    assert "0 to rebuild" in lab.ok("plan").out
    lab.apply()
    assert lab.tables == tables
    assert "No changes." in lab.ok("plan").out
    lab.ok("sync", "nightly")
    assert lab.tables["sales.customers"]["rows"] == 1_200
    assert "No changes." in lab.ok("plan").out


def test_a_stream_does_not_move_to_another_server(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.write({"olake.yaml": TWO_NAMES.replace("host: db.internal, ", "host: elsewhere, ")})
    lab.apply()
    lab.ok("sync", "daily")
    lab.write({
        "jobs/daily.yaml": DAILY_YAML.replace("  public.customers:\n", "")
        + "---\n{kind: Moved, from: daily/public.customers, to: nightly/public.customers}\n",
        "jobs/n.yaml": OTHER.replace("streams:\n", "streams:\n  public.customers:\n"),
    })  # fmt: skip
    assert lab.run("apply", "--auto-approve").code == 3

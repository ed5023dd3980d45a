"""Tables that change hands within a job: what one stream gives up in an apply, another may take in it."""

from __future__ import annotations

from pathlib import Path

from tests.workspaces import DAILY_YAML, Lab, a_lab


def synced(folder: Path) -> Lab:
    lab = a_lab(folder)
    lab.apply()
    lab.ok("sync", "daily")
    return lab


def settled(lab: Lab) -> Lab:
    lab.apply()
    assert "No changes." in lab.ok("plan").out
    lab.ok("sync", "daily")
    assert "No changes." in lab.ok("plan").out
    return lab


def test_two_streams_swap_their_tables(tmp_path: Path) -> None:
    lab = synced(tmp_path)
    swapped = DAILY_YAML.replace("public.orders:", "public.orders: {destination_table: customers}")
    lab.write(
        {
            "jobs/daily.yaml": swapped.replace(
                "public.customers:", "public.customers: {destination_table: orders}"
            )
        }
    )
    assert "is cleared first" in lab.ok("plan").out
    settled(lab)
    assert {p: t["rows"] for p, t in lab.tables.items()} == {"sales.orders": 1_200, "sales.customers": 41_200}


def test_a_new_stream_takes_the_table_of_one_that_is_erased(tmp_path: Path) -> None:
    lab = synced(tmp_path)
    text = DAILY_YAML.replace("public.customers:", "public.items: {destination_table: customers}")
    lab.write(
        {"jobs/daily.yaml": text + "---\nkind: Removed\naddress: daily/public.customers\ndata: erase\n"}
    )
    settled(lab)
    assert lab.tables["sales.customers"]["rows"] == 7


def test_a_table_that_is_kept_is_nobody_elses(tmp_path: Path) -> None:
    lab = synced(tmp_path)
    lab.write(
        {
            "jobs/daily.yaml": DAILY_YAML.replace(
                "public.customers:", "public.items: {destination_table: customers}"
            )
        }
    )
    assert lab.run("apply", "--auto-approve").code == 3

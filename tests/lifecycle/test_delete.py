"""Job settings, and deleting a job (job-level-features §7)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.workspaces import DAILY_YAML, PROJECT_YAML, Lab, a_lab

OTHER_YAML = """\
kind: Job
name: other
stream_defaults: {sync_mode: full_refresh, destination_database: stock}
streams:
  public.items:
"""
CRM = PROJECT_YAML.split("---\n")[1].replace("name: shop", "name: crm")


def states(lab: Lab) -> dict[str, str]:
    found = json.loads(lab.ok("status", "--sources", "--json").out)["endpoints"]
    return {e["address"]: e["state"] for e in found}


def two_jobs(folder: Path, source: str) -> Lab:
    """Return a workspace where `daily` reads `source`, and `other` reads the shop."""
    lab = a_lab(folder)
    lab.write(
        {
            "olake.yaml": PROJECT_YAML + "---\n" + CRM,
            "jobs/daily.yaml": DAILY_YAML.replace("name: daily", f"name: daily\nsource: {source}"),
            "jobs/other.yaml": OTHER_YAML,
        }
    )
    lab.apply()
    lab.ok("sync", "daily")
    return lab


def test_the_frequency_is_edited_in_place(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    lab.apply()
    due = lab.store.read().jobs["daily"].due
    lab.write({"jobs/daily.yaml": DAILY_YAML.replace("@hourly", "@monthly")})
    lab.apply()
    assert lab.store.read().jobs["daily"].due != due


def test_a_deleted_jobs_endpoints_become_inactive_when_no_other_job_uses_them(tmp_path: Path) -> None:
    lab = two_jobs(tmp_path, "crm")
    assert states(lab)["source.crm"] == "active"
    lab.remove("jobs/daily.yaml")
    lab.apply("--prune")
    assert states(lab) == {"source.crm": "inactive", "source.shop": "active", "destination.lake": "active"}


def test_endpoints_that_another_job_uses_stay_active(tmp_path: Path) -> None:
    lab = two_jobs(tmp_path, "shop")
    lab.remove("jobs/daily.yaml")
    lab.apply("--prune")
    assert states(lab)["source.shop"] == "active"


def test_a_deleted_job_keeps_its_tables_and_its_history(tmp_path: Path) -> None:
    lab = two_jobs(tmp_path, "shop")
    tables = lab.tables
    lab.write({"jobs/daily.yaml": "kind: Removed\naddress: daily\n"})
    lab.apply()
    assert lab.tables == tables
    assert "daily" not in lab.ok("status").out
    assert "daily" in lab.ok("history", "daily").out


def test_an_endpoint_is_not_removed_while_a_job_uses_it(tmp_path: Path) -> None:
    lab = two_jobs(tmp_path, "crm")
    lab.remove("jobs/daily.yaml")
    lab.write({"olake.yaml": PROJECT_YAML})
    lab.apply()  # daily is unmanaged, and goes on syncing from crm
    assert "source.crm" in states(lab)
    lab.apply("--prune")
    assert "source.crm" not in states(lab)

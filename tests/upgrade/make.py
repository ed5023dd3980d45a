"""Make the fixture of this release: a workspace, and a state in which much has happened. Run once per release.

python -m tests.upgrade.make        writes tests/upgrade/<version>/, which is committed and never made again
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from olake_reconcile import __version__
from tests.workspaces import PROJECT_YAML, WORLD, Lab, a_lab

HERE = Path(__file__).parent

PROJECT = (
    PROJECT_YAML.replace("job_defaults:", "safety: {max_rebuilds_percent: 50}\njob_defaults:")
    + """\
---
kind: Source
name: crm
type: postgres
config: {host: "${env:CRM_HOST:-crm.internal}", database: crm, username: olake, password: "${env:SHOP_PASSWORD}"}
"""
)

FIRST = {
    "olake.yaml": PROJECT,
    "jobs/daily.yaml": """\
kind: Job
name: daily
owner: team-shop
labels: {tier: gold}
schedule: "@hourly"
stream_defaults: {sync_mode: full_refresh, destination_database: sales}
streams:
  public.orders: {partition_by: [day(at)], filter: id > 5 and name is not null, protect: {rebuild: true}}
  public.customers: {columns: {exclude: [name]}}
  public.items: {destination_table: things}
""",
    "jobs/weekly.yaml": """\
kind: Job
name: weekly
source: crm
schedule: "0 30 6 * * 1 *"
timezone: Europe/Berlin
streams:
  public.items: {sync_mode: full_refresh, on_remove: clear, threads: 2}
""",
    "jobs/by_hand.yaml": """\
kind: Job
name: by_hand
description: Runs when somebody says so.
streams:
  public.orders: {sync_mode: full_refresh, destination_database: archive}
""",
    "jobs/paused.yaml": """\
kind: Job
name: paused
active: false
schedule: every 15m
streams:
  public.orders: {sync_mode: full_refresh, destination_database: paused}
""",
}


def make(lab: Lab) -> None:
    """Live through a release: loads, a failure, a rebuild, a removal, a clear by hand, a hold."""
    lab.write(FIRST)
    lab.apply()
    lab.ok("sync", "daily")
    lab.ok("sync", "weekly")
    lab.world(failures={"public.orders": "bad page"})
    assert lab.run("sync", "by_hand").code == 1
    lab.world(failures={})
    lab.ok("sync", "by_hand")
    daily = lab.root / "jobs/daily.yaml"
    text = daily.read_text().replace("  public.items: {destination_table: things}\n", "")
    daily.write_text(text.replace("columns: {exclude: [name]}", "partition_by: [month(at)]"))
    lab.apply()
    lab.ok("sync", "daily")
    lab.ok("clear", "by_hand", "--auto-approve")
    lab.ok("pause", "weekly", "--reason", "the source is being moved")


def main() -> None:
    """Write the fixture."""
    target = HERE / __version__
    if target.exists():
        sys.exit(f"{target} is there: the state of a release is made once")
    with tempfile.TemporaryDirectory() as folder:
        lab = a_lab(Path(folder), {})
        make(lab)
        state = lab.root / ".olake" / "state.db"
        with closing(sqlite3.connect(state)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        target.mkdir()
        shutil.copy(state, target / "state.db")
        shutil.rmtree(lab.root / ".olake")
        shutil.copytree(lab.root, target / "workspace")
        world = {key: value for key, value in lab.world().items() if key in {*WORLD, "tables"}}
        (target / "world.json").write_text(json.dumps(world, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

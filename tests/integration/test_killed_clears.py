"""kill -9 inside real clears: what comes next removes every file of the old table, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lab import Lab

from olake_reconcile.model.journal import ApplyStatus
from tests.crash.forks import Child, Driver
from tests.workspaces import Lab as Workspace

pytestmark = [pytest.mark.integration, pytest.mark.crash]

PROJECT = """\
kind: Project
name: analytics
uid: 7f3c0d9e
job_defaults: {source: shop, destination: lake}
---
kind: Source
name: shop
type: postgres
config:
  host: ${env:SHOP_HOST}
  port: ${env:SHOP_PORT}
  database: ${env:SHOP_DATABASE}
  username: ${env:SHOP_USER}
  password: ${env:SHOP_PASSWORD}
---
kind: Destination
name: lake
type: iceberg
config: {catalog_type: jdbc, jdbc_url: "jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path: warehouse}
"""

JOB = """\
kind: Job
name: %s
stream_defaults: {sync_mode: full_refresh, destination_database: lake}
streams:
"""


def job(name: str, **streams: str) -> dict[str, str]:
    lines = "".join(f"  public.{stream}: {settings}\n" for stream, settings in streams.items())
    return {f"jobs/{name}.yaml": JOB % name + lines}


ERASE = "{on_remove: clear}"
MONTH = "{partition_by: [month(d)]}"
BASE = {"olake.yaml": PROJECT, **job("daily", orders=ERASE, customers=""), **job("weekly", items="")}


@dataclass(frozen=True)
class Edit:
    """An apply that clears: the files, the tables that it clears, and those that are there once jobs have synced."""

    files: dict[str, str]
    cleared: tuple[str, ...]
    after: tuple[str, ...] = ("customers", "items", "orders")
    command: tuple[str, ...] = ("apply", "--auto-approve")


EDITS = {
    "partition": Edit(job("daily", orders=ERASE, customers=MONTH), ("customers",)),
    "several jobs": Edit(
        {**job("daily", orders=ERASE, customers=MONTH), **job("weekly", items=MONTH)}, ("customers", "items")
    ),
    "moved": Edit(
        job("daily", orders=ERASE, customers="{destination_table: clients}"),
        ("customers",),
        ("clients", "items", "orders"),
    ),
    "erased": Edit(job("daily", customers=""), ("orders",), ("customers", "items")),
    "by hand": Edit({}, ("customers", "orders"), command=("clear", "daily", "--auto-approve")),
}


@dataclass
class Rig:
    """A workspace over a real server and a real warehouse, put back to `base` before every kill."""

    driver: Driver
    lab: Lab
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        server = self.lab.server
        self.environment = {
            "SHOP_HOST": str(server.host),
            "SHOP_PORT": str(server.port),
            "SHOP_DATABASE": self.lab.database,
            "SHOP_USER": server.user,
            "SHOP_PASSWORD": server.password,
        }
        self.live = Workspace(self.folder)
        self.tables = Lab(server, self.lab.database, self.live.root)

    def run(self, *commands: tuple[str, ...], kill: tuple[int, str] | None = None) -> Child:
        child = self.driver.run(self.folder, *commands, environment=self.environment, kill=kill, real=True)
        assert all(o.code == 0 for o in child.outcomes), [o.text for o in child.outcomes]
        return child

    def put_back(self, base: Path) -> None:
        # Iceberg's metadata holds absolute paths: the place must stay the same.
        shutil.rmtree(self.folder)
        shutil.copytree(base, self.folder)

    def files(self) -> dict[str, int]:
        """Every file of the warehouse but the catalog, with when it was written."""
        found = (Path(top) / name for top, _, names in os.walk(self.tables.warehouse) for name in names)
        return {str(p): p.stat().st_mtime_ns for p in found if not p.name.startswith("catalog.db")}

    def files_of(self, table: str) -> set[str]:
        """The files below a table's own folder."""
        location = self.tables.table(table).location().removeprefix("file://")
        return {path for path in self.files() if path.startswith(location + "/")}


@pytest.fixture
def rig(lab: Lab, driver: Driver, tmp_path: Path) -> Rig:
    for table in ("orders", "customers", "items"):
        lab.sql(
            f"CREATE TABLE {table} (id int PRIMARY KEY, d date)",
            f"INSERT INTO {table} SELECT g, date '2024-01-01' + g FROM generate_series(1, 90) g",
        )
    folder = tmp_path / "live"
    folder.mkdir()
    rig = Rig(driver, lab, folder)
    rig.live.write(BASE)
    rig.run(("apply", "--auto-approve"), ("sync", "daily"), ("sync", "weekly"))
    return rig


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    running = Driver()
    yield running
    running.close()


def points(calls: tuple[str, ...]) -> list[tuple[int, str]]:
    """A handful: the table out of the catalog with all its files there, some files gone, and all cleared."""
    return [
        (calls.index("drop_table") + 1, "after"),
        (calls.index("delete_files") + 1, "after"),
        (calls.index("delete_files") + 3, "after"),
        (calls.index("save_job") + 1, "before"),
    ]


@pytest.mark.parametrize("name", EDITS)
def test_a_clear_killed_anywhere_is_finished_to_the_last_file_and_touches_nothing_else(
    rig: Rig, tmp_path: Path, name: str
) -> None:
    edit = EDITS[name]
    old = {path for table in edit.cleared for path in rig.files_of(table)}
    weekly = rig.files_of("items")
    rig.live.write(edit.files)
    base = tmp_path / "base"
    shutil.copytree(rig.folder, base)
    calls = rig.run(edit.command).calls
    assert not old & rig.files().keys()
    for number, point in enumerate(points(calls)):
        where = f"killed {point[1]} call {point[0]} ({calls[point[0] - 1]})"
        rig.put_back(base)
        kept = {path: when for path, when in rig.files().items() if path not in old}
        assert rig.run(edit.command, kill=point).killed
        rig.run(*([("sync", "weekly")] if number % 2 else []), ("apply", "--auto-approve"))
        found = rig.files()
        assert not old & found.keys(), f"{where}: files of the cleared generation are left"
        untouched = kept if number % 2 == 0 else {p: t for p, t in kept.items() if p not in weekly}
        assert untouched.items() <= found.items(), f"{where}: another table was touched"
        assert not rig.live.store.applies(ApplyStatus.RUNNING), where
    rig.run(
        ("apply", "--auto-approve"), ("sync", "daily"), ("sync", "weekly"), ("plan", "--detailed-exitcode")
    )
    catalog = rig.tables.catalog()
    assert sorted(table for _, table in catalog.list_tables("lake")) == list(edit.after)
    catalog.close()
    for table in edit.after:
        assert rig.tables.duck(table).num_rows == rig.tables.read(table).num_rows == 90
    if MONTH in edit.files.get("jobs/daily.yaml", ""):
        assert [f.name for f in rig.tables.table("customers").spec().fields] == ["d_month"]

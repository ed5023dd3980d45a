"""A workspace in a folder with a scripted world, and the real command line over it, in this process."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from olake_reconcile.cli.main import run
from olake_reconcile.engine.scripted import ScriptedEngine
from olake_reconcile.secrets import SystemSecrets
from olake_reconcile.state.store import SqlStore
from olake_reconcile.wiring import services_for
from tests.builders import PROJECT_UID, a_project

#: The secret behind the source's password: it may turn up nowhere.
CANARY = "hunter2-canary-6f1d"

PROJECT_YAML = f"""\
kind: Project
name: analytics
uid: {PROJECT_UID}
job_defaults: {{source: shop, destination: lake}}
---
kind: Source
name: shop
type: postgres
config:
  host: db.internal
  database: shop
  username: olake
  password: ${{env:SHOP_PASSWORD}}
---
kind: Destination
name: lake
type: iceberg
config: {{catalog_type: jdbc, jdbc_url: "jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path: warehouse}}
"""

DAILY_YAML = """\
kind: Job
name: daily
schedule: "@hourly"
stream_defaults: {sync_mode: full_refresh, destination_database: sales}
streams:
  public.orders:
  public.customers:
"""

WORLD: dict[str, Any] = {"sources": {"public.orders": 41_200, "public.customers": 1_200, "public.items": 7}}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command line left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self.out + self.err


class Terminal(io.StringIO):
    """A stream that somebody sits at."""

    def isatty(self) -> bool:
        return True


class Lab:
    """A workspace at `root`, its scripted world beside it, and the environment that commands see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "workspace"
        self.world_folder = folder / "world"
        self.root.mkdir(exist_ok=True)
        self.world_folder.mkdir(exist_ok=True)
        self.engine = ScriptedEngine(self.world_folder)
        self.environment = {
            "OLAKE_RECONCILE_SCRIPTED_WORLD": str(self.world_folder),
            "SHOP_PASSWORD": CANARY,
            "CI": "",  # a pipeline may run these tests: what they ask for is what somebody at a terminal gets
        }

    def write(self, files: Mapping[str, str]) -> None:
        """Write workspace files, by their path in the workspace."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def remove(self, name: str) -> None:
        """Remove a workspace file."""
        (self.root / name).unlink()

    def world(self, **changes: Any) -> dict[str, Any]:
        """Change parts of the world, if any are given, and return it."""
        if not changes:
            return self.engine.read()
        with self.engine.changing() as world:
            world.update(changes)
            return world

    @property
    def tables(self) -> dict[str, Any]:
        """The destination's tables, by place."""
        tables: dict[str, Any] = self.engine.read()["tables"]
        return tables

    @property
    def store(self) -> SqlStore:
        """The workspace's state."""
        return SqlStore("sqlite:///.olake/state.db", self.root)

    def services(self, **changes: Any) -> Any:
        """Return the ports that a command of this workspace gets."""
        from dataclasses import replace

        with self.surroundings():
            secrets = SystemSecrets(dict(self.environment), self.root)
            return replace(services_for(self.root, a_project(), secrets), **changes)

    def surroundings(self) -> Any:
        """The environment of this lab, for as long as the context lasts."""
        return mock.patch.dict(os.environ, self.environment)

    def run(self, *arguments: str, answer: str | None = None) -> Outcome:
        """Run a command line in the workspace. With `answer` there is a terminal, and somebody types that."""
        out = io.StringIO()
        err = io.StringIO() if answer is None else Terminal()
        stdin = io.StringIO() if answer is None else Terminal(answer + "\n")
        before = Path.cwd()
        os.chdir(self.root)
        try:
            with (
                self.surroundings(),
                mock.patch.object(sys, "argv", ["olake-reconcile", *arguments]),
                mock.patch.object(sys, "stdin", stdin),
                redirect_stdout(out),
                redirect_stderr(err),
            ):
                code = run(list(arguments))
        finally:
            os.chdir(before)
        return Outcome(code, out.getvalue(), err.getvalue())

    def ok(self, *arguments: str) -> Outcome:
        """Run a command line that must succeed."""
        outcome = self.run(*arguments)
        assert outcome.code == 0, outcome.text
        return outcome

    def apply(self, *arguments: str) -> Outcome:
        """Apply what the files say; it must succeed."""
        return self.ok("apply", "--auto-approve", *arguments)


def a_lab(folder: Path, files: Mapping[str, str] | None = None) -> Lab:
    """Return a workspace of one job `daily` with two streams, unless `files` says otherwise."""
    lab = Lab(folder)
    lab.write({"olake.yaml": PROJECT_YAML, "jobs/daily.yaml": DAILY_YAML} if files is None else files)
    lab.world(**WORLD)
    return lab

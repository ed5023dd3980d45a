"""Runs over a real server that are cancelled, or that lose what they need: a clear report, no damage, the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from lab import Lab
from local_postgres import LocalPostgres
from test_killed_clears import PROJECT, job

from olake_reconcile import wiring
from olake_reconcile.model.run import Run, RunStatus, StreamOutcome
from olake_reconcile.reconcile import watch
from tests.builders import a_project
from tests.processes.conftest import Starter, Watched, wait_until
from tests.workspaces import Lab as Workspace

pytestmark = pytest.mark.integration

HOLDING = 4711  # the advisory lock that rows of `slow` wait for


class Site:
    """A workspace with a job over a database of its own: `slow`, whose rows wait while somebody holds a lock, and `calm`."""

    def __init__(self, server: LocalPostgres, lab: Lab, folder: Path) -> None:
        self.server = server
        self.lab = lab
        folder.mkdir()
        self.workspace = Workspace(folder)
        self.tables = Lab(server, lab.database, self.workspace.root)
        self.workspace.environment = {
            "SHOP_HOST": str(server.host),
            "SHOP_PORT": str(server.port),
            "SHOP_DATABASE": lab.database,
            "SHOP_USER": "reader",
            "SHOP_PASSWORD": server.password,
        }
        lab.sql(
            "CREATE TABLE slow_rows (id int PRIMARY KEY, n int)",
            "INSERT INTO slow_rows SELECT g, g % 100 FROM generate_series(1, 3000) g",
            "CREATE TABLE calm (id int PRIMARY KEY, n int)",
            "INSERT INTO calm SELECT g, g % 100 FROM generate_series(1, 3000) g",
            # Waits at its 1,000th row for as long as somebody holds the lock.
            f"""CREATE FUNCTION hold(id int) RETURNS int LANGUAGE plpgsql AS $$
            BEGIN
                IF id = 1000 THEN PERFORM pg_advisory_lock_shared({HOLDING}); END IF;
                RETURN id;
            END $$""",
            "CREATE VIEW slow AS SELECT hold(id) AS id, n FROM slow_rows",
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN "
            f"CREATE ROLE reader LOGIN PASSWORD '{server.password}'; END IF; END $$",
            "GRANT SELECT ON slow, calm, slow_rows TO reader",
        )
        self.workspace.write({"olake.yaml": PROJECT, **job("daily", slow="", calm="")})
        self.workspace.apply()
        self.starter = Starter(self.workspace, wiring.warm_launcher(self.workspace.root, a_project()))

    @contextmanager
    def held(self) -> Iterator[Watched]:
        """A run that waits in the middle of reading `slow`."""
        with self.lab.connect() as holder:
            holder.execute("SELECT pg_advisory_lock(%s)", (HOLDING,))
            started = self.starter.start()
            started.until(lambda: bool(self.backends("wait_event_type = 'Lock'")))
            yield started

    def backends(self, which: str = "true") -> list[int]:
        """The server's processes that work for us."""
        query = f"SELECT pid FROM pg_stat_activity WHERE application_name = 'olake-reconcile' AND {which}"
        return [pid for (pid,) in self.lab.sql(query)]

    def load(self) -> None:
        """A run that must complete."""
        run = self.starter.start().run()
        assert run.status is RunStatus.COMPLETED, run
        assert self.rows() == {"slow": 3000, "calm": 3000}

    def rows(self) -> dict[str, int]:
        """How many rows the tables hold, by a reader that shares no code with us."""
        counts = {name: self.tables.duck(name, "SELECT count(*) AS n FROM t") for name in ("slow", "calm")}
        return {name: table.column("n")[0].as_py() for name, table in counts.items()}

    def is_clean(self) -> None:
        """Assert that nothing of a run is left: no connection, lease or temporary file, and the tables as they were."""
        wait_until(lambda: not self.backends())
        assert not self.workspace.store.leases()
        assert not list((self.workspace.root / ".olake/tmp").iterdir())
        assert self.rows() == {"slow": 3000, "calm": 3000}


@pytest.fixture
def site(postgres_server: LocalPostgres, lab: Lab, tmp_path: Path) -> Iterator[Site]:
    site = Site(postgres_server, lab, tmp_path / "site")
    yield site
    site.starter.close()


@pytest.fixture(scope="module")
def doomed_server() -> Iterator[LocalPostgres]:
    """A server that tests may kill."""
    with LocalPostgres() as server:
        yield server


def outcome(run: Run, stream: str) -> StreamOutcome:
    return next(o for o in run.streams if str(o.stream) == f"public.{stream}")


def test_a_cancelled_load_releases_everything_and_the_old_rows_are_served(site: Site) -> None:
    site.load()
    before = site.tables.files()
    with site.held() as started:
        site.workspace.store.request_cancel(started.order.run_id)
        run = started.run()
        # The server was asked to stop what it did for us: the lock is still held.
        assert run.status is RunStatus.CANCELED
        site.is_clean()
    assert outcome(run, "slow").status is RunStatus.CANCELED
    new = set(site.tables.files()) - set(before)
    assert all("slow" not in name for name in new), "the cancelled load left no file"
    site.load()


def test_a_cancel_does_not_wait_for_a_table_that_somebody_has_locked(site: Site) -> None:
    site.load()
    with site.lab.connect() as other:
        other.execute("BEGIN; LOCK TABLE calm IN ACCESS EXCLUSIVE MODE")
        started = site.starter.start()
        started.until(lambda: bool(site.backends("wait_event_type = 'Lock'")))
        site.workspace.store.request_cancel(started.order.run_id)
        run = started.run()
        assert run.status is RunStatus.CANCELED
        other.execute("ROLLBACK")
    site.is_clean()
    site.load()


def test_a_cancel_does_not_wait_for_a_frozen_server(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.load()
    monkeypatch.setattr(watch, "GRACE_SECONDS", 1.0)
    with site.held() as started:
        frozen = site.backends()
        for backend in frozen:
            os.kill(backend, signal.SIGSTOP)
        try:
            site.workspace.store.request_cancel(started.order.run_id)
            run = started.run()
        finally:
            for backend in frozen:
                os.kill(backend, signal.SIGCONT)
    assert run.status is RunStatus.CANCELED
    assert outcome(run, "slow").status is RunStatus.CANCELED
    site.is_clean()
    site.load()


def test_a_connection_that_is_lost_fails_its_stream_and_may_be_tried_again(site: Site) -> None:
    site.load()
    with site.held() as started:
        site.lab.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'olake-reconcile'"
        )
        run = started.run()
    assert run.status is RunStatus.FAILED
    failed = outcome(run, "slow")
    assert failed.retryable, failed.error
    assert "went away" in failed.error
    assert outcome(run, "calm").status is RunStatus.COMPLETED
    site.is_clean()
    site.load()


def test_a_server_that_crashes_fails_the_run_and_the_next_one_goes_on(
    doomed_server: LocalPostgres, tmp_path: Path
) -> None:
    with psycopg.connect(doomed_server.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE doomed")
    site = Site(doomed_server, Lab(doomed_server, "doomed", tmp_path), tmp_path / "site")
    site.load()
    # The server of the tests does not wait for its disk.
    site.lab.sql("CHECKPOINT")
    with site.lab.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (HOLDING,))
        started = site.starter.start()
        started.until(lambda: bool(site.backends("wait_event_type = 'Lock'")))
        os.kill(doomed_server.pid, signal.SIGKILL)
        for backend in children_of(doomed_server.pid):
            os.kill(backend, signal.SIGKILL)
        run = started.run()
    assert run.status is RunStatus.FAILED
    assert all(o.retryable and o.status is RunStatus.FAILED for o in run.streams if "slow" in str(o.stream))
    doomed_server.crash()
    doomed_server.restart()
    site.is_clean()
    site.load()


def children_of(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def test_permission_that_is_withdrawn_fails_that_stream_with_what_to_grant(site: Site) -> None:
    site.load()
    site.lab.sql("REVOKE SELECT ON slow FROM reader")
    run = site.starter.start().run()
    failed = outcome(run, "slow")
    assert (run.status, failed.status, failed.retryable) == (RunStatus.FAILED, RunStatus.FAILED, False)
    assert "Grant SELECT" in failed.error
    assert outcome(run, "calm").status is RunStatus.COMPLETED
    site.is_clean()
    site.lab.sql("GRANT SELECT ON slow TO reader")
    site.load()


def test_a_table_that_was_dropped_fails_that_stream_and_its_copy_stays(site: Site) -> None:
    site.load()
    site.lab.sql("DROP TABLE calm")
    run = site.starter.start().run()
    failed = outcome(run, "calm")
    assert (failed.status, failed.retryable) == (RunStatus.FAILED, False)
    assert "or remove the stream" in failed.error
    assert outcome(run, "slow").status is RunStatus.COMPLETED
    site.is_clean()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted for it, which takes root")
def test_a_full_disk_fails_the_load_and_leaves_nothing_of_it(site: Site) -> None:
    warehouse = site.workspace.root / "warehouse"
    warehouse.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(warehouse)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk could not be mounted: {mounted.stderr}")
    try:
        site.load()
        before = site.tables.files()
        site.lab.sql(
            "INSERT INTO calm SELECT g, hashint4(g) FROM generate_series(3001, 400000) g",
        )
        run = site.starter.start().run()
        failed = outcome(run, "calm")
        assert failed.status is RunStatus.FAILED
        assert "is full" in failed.error, failed.error
        assert failed.retryable
        assert [f for f in set(site.tables.files()) - set(before) if "calm" in f] == []
        site.is_clean()
        site.lab.sql("DELETE FROM calm WHERE id > 3000")
        site.load()
    finally:
        subprocess.run(["umount", str(warehouse)], check=True)

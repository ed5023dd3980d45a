"""What is SQLite's own: the file, its folder, forks, and what its errors become."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from olake_reconcile.errors import ReconcileError, StateUnusable, Unreachable
from olake_reconcile.model.stored import Stored, StoredEndpoint, StoredJob
from olake_reconcile.state import filesystem, sqlite
from olake_reconcile.state.base import APPLY_LOCK, Lease
from olake_reconcile.state.filesystem import file_system
from olake_reconcile.state.holder import this_process
from olake_reconcile.state.migrations import FORMAT
from olake_reconcile.state.store import SqlStore
from olake_reconcile.state.tables import metadata

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
URL = "sqlite:///.olake/state.db"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".olake" / "state.db"


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return SqlStore(URL, tmp_path)


def lease(store: SqlStore, name: str = APPLY_LOCK) -> Lease:
    return store.acquire(name, this_process(), "test", NOW)


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def test_a_relative_url_starts_at_the_workspace(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    store.create()
    assert path.is_file()


def test_an_absolute_url_is_taken_as_it_is(tmp_path: Path) -> None:
    SqlStore(f"sqlite:///{tmp_path}/with space#1.db", Path("/nowhere")).create()
    assert [p.name for p in tmp_path.iterdir()] == ["with space#1.db"]


def test_only_the_owner_may_look_and_nothing_else_is_left_in_the_folder(store: SqlStore, path: Path) -> None:
    store.create()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["state.db"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql+psycopg://ann:hunter2@db/state", "not supported yet"),
        ("mysql://ann:hunter2@db/state", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///state.db?mode=ro", "has options"),
        ("sqlite:///:memory:", "names no file"),
        ("ann:hunter2@db", "not a database URL"),
    ],
)
def test_other_urls_are_refused_without_showing_a_password(tmp_path: Path, url: str, says: str) -> None:
    with pytest.raises(ReconcileError, match=says) as caught:
        SqlStore(url, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_writes_are_in_the_log_that_readers_do_not_wait_for(store: SqlStore, path: Path) -> None:
    store.create()
    assert execute(path, "PRAGMA journal_mode") == [("wal",)]


def test_migrated_tables_are_the_tables_of_the_code(store: SqlStore, path: Path) -> None:
    store.create()
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        keys = {t.name: sa.inspect(connection).get_pk_constraint(t.name) for t in metadata.tables.values()}
    assert {name: key["constrained_columns"] for name, key in keys.items()} == {
        t.name: [c.name for c in t.primary_key] for t in metadata.tables.values()
    }


# Formats


def attempts(store: SqlStore) -> list[Callable[[], object]]:
    return [
        store.read,
        store.key,
        store.leases,
        store.create,
        lambda: lease(store),
        lambda: store.force("apply"),
    ]


def test_a_newer_format_is_refused_untouched(store: SqlStore, path: Path, tmp_path: Path) -> None:
    store.create()
    execute(path, f"UPDATE meta SET value = '{FORMAT + 1}' WHERE name = 'format'")
    before = path.read_bytes()
    for opened in (store, SqlStore(URL, tmp_path)):
        for attempt in attempts(opened):
            with pytest.raises(StateUnusable, match="newer format") as caught:
                attempt()
            assert "Upgrade" in caught.value.remedy
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_untouched(store: SqlStore, path: Path) -> None:
    path.parent.mkdir()
    execute(path, "CREATE TABLE meta (other INTEGER)")
    execute(path, "CREATE TABLE theirs (x INTEGER)")
    before = path.read_bytes()
    for attempt in attempts(store):
        with pytest.raises(StateUnusable):
            attempt()
    execute(path, "DROP TABLE meta")
    for attempt in attempts(store):
        with pytest.raises(StateUnusable, match="another program"):
            attempt()
    assert len(path.read_bytes()) == len(before)


def test_an_empty_file_reads_as_no_store_and_becomes_one(store: SqlStore, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert store.read() == Stored()
    assert path.read_bytes() == b""
    store.create()
    store.save_job(StoredJob(name="daily", uid="u", spec={}, fingerprint="f"), lease(store))
    assert set(store.read().jobs) == {"daily"}


# Damage


@pytest.mark.parametrize(
    "damage", ["other bytes", "first page", "middle", "cut", "record", "time", "no table"]
)
def test_a_damaged_store_is_an_error_that_says_so(store: SqlStore, path: Path, damage: str) -> None:
    held = lease(store)
    for number in range(200):
        store.save_endpoint(
            "source", StoredEndpoint(name=f"s{number}", uid="u", spec={"x": "y" * 200}, fingerprint="f"), held
        )
    store.save_job(StoredJob(name="daily", uid="u", spec={}, fingerprint="f"), held)
    whole = path.read_bytes()
    match damage:
        case "other bytes":
            path.write_bytes(b"not a database, but as long as one" * 500)
        case "first page":
            path.write_bytes(whole[:100] + b"\xff" * 3996 + whole[4096:])
        case "middle":
            path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 8192) + whole[-4096:])
        case "cut":
            path.write_bytes(whole[:6000])
        case "record":
            execute(path, "UPDATE endpoints SET record = '{\"name\": 1' WHERE name = 's7'")
        case "time":
            execute(path, "UPDATE jobs SET due = 'yesterday'")
        case _:
            execute(path, "DROP TABLE endpoints")
    with pytest.raises(StateUnusable, match="damaged") as caught:
        store.read()
    assert str(path) in str(caught.value)
    assert caught.value.remedy


def test_a_folder_in_its_place_and_a_file_for_a_folder_are_errors(store: SqlStore, path: Path) -> None:
    path.mkdir(parents=True)
    for attempt in attempts(store):
        with pytest.raises(StateUnusable):
            attempt()
    path.rmdir()
    path.parent.rmdir()
    path.parent.touch()
    with pytest.raises(StateUnusable, match=r"state\.db"):
        store.create()


def test_a_store_that_stays_busy_is_worth_another_try(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.0)
    store.create()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unreachable, match="busy"):
            lease(store)
        assert store.leases() == ()
    lease(store)


# Network file systems


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("ext4", False),
        ("tmpfs", False),
        ("overlay", False),
        ("fuse.encfs", False),
        ("nfs", True),
        ("nfs4", True),
        ("cifs", True),
        ("smb3", True),
        ("9p", True),
        ("fuse.sshfs", True),
        ("fuse.s3fs", True),
    ],
)
def test_a_store_on_a_network_file_system_is_refused_before_it_is_made(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool
) -> None:
    monkeypatch.setattr(filesystem, "file_system", lambda path: kind)
    if refused:
        with pytest.raises(StateUnusable, match=rf"network file system \({kind}\)") as caught:
            store.create()
        assert "local disk" in caught.value.remedy
        assert list(tmp_path.iterdir()) == []
    else:
        store.create()


def test_the_file_system_is_that_of_the_innermost_latest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/a / ext4 rw 0 0\n"
        "server:/x /srv/data nfs4 rw 0 0\n"
        "/dev/b /srv/data xfs rw 0 0\n"
        "//nas/y /srv/my\\040files cifs rw 0 0\n"
    )
    found = {
        path: file_system(Path(path), mounts)
        for path in (
            "/etc",
            "/srv",
            "/srv/data",
            "/srv/data/new/state.db",
            "/srv/database",
            "/srv/my files/a",
        )
    }
    assert list(found.values()) == ["ext4", "ext4", "xfs", "xfs", "ext4", "cifs"]
    assert file_system(Path("/"), tmp_path / "absent") == ""


# Threads and forks


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_children_forked_while_threads_write_can_write_too(store: SqlStore, path: Path) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def heartbeat(name: str) -> None:
        try:
            held = lease(store, name)
            while not stop.is_set():
                held = store.renew(held, NOW)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=heartbeat, args=(f"job:{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        codes = [_forked(partial(lease, store, f"child:{number}")) for number in range(8)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert codes == [0] * 8
    assert {held.name for held in store.leases()} >= {f"child:{n}" for n in range(8)}
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]


def _forked(work: Callable[[], object]) -> int:
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

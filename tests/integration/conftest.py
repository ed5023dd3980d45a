"""A database and a warehouse for each test, on the server that all share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from lab import Lab
from local_postgres import LocalPostgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[LocalPostgres]:
    """One private server per test process."""
    # A run waits until the source's log is on disk; nothing here waits for a disk, so commits may do it at once.
    settings = {"synchronous_commit": "on", "max_prepared_transactions": "10"}
    with LocalPostgres(settings=settings) as server:
        yield server


@contextmanager
def _lab(server: LocalPostgres, folder: Path) -> Iterator[Lab]:
    database = f"db_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.conninfo(), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{database}"')
    yield Lab(server, database, folder)
    with psycopg.connect(server.conninfo(), autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')


@pytest.fixture
def lab(postgres_server: LocalPostgres, tmp_path: Path) -> Iterator[Lab]:
    with _lab(postgres_server, tmp_path) as lab:
        yield lab


@pytest.fixture(scope="module")
def module_lab(postgres_server: LocalPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with _lab(postgres_server, tmp_path_factory.mktemp("lab")) as lab:
        yield lab

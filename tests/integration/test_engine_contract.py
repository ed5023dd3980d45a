"""The embedded engine keeps the contract of engines, from a real PostgreSQL into real Iceberg tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import Lab

from olake_reconcile.engine.base import OpenDestination, OpenSource
from olake_reconcile.model.config import IcebergConfig
from olake_reconcile.model.table import TablePlace
from tests.contracts.engine_suite import CANARY, EngineContract

pytestmark = pytest.mark.integration


class EmbeddedBench:
    """A database and a warehouse of their own."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.folder = lab.folder
        self.engine = lab.engine
        self.source = lab.source
        config = IcebergConfig(
            catalog_type="jdbc", jdbc_url="jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path="warehouse"
        )
        self.destination = OpenDestination(name="lake", config=config, base=lab.folder)

    def fill(self, stream: str, rows: int) -> None:
        self._lab.sql(
            f"CREATE TABLE IF NOT EXISTS {stream} (id bigint PRIMARY KEY, name text)",
            f"TRUNCATE {stream}",
            f"INSERT INTO {stream} SELECT i, 'row ' || i FROM generate_series(1, {rows}) i",
        )

    def damage(self, place: TablePlace) -> None:
        Path(self._lab.table(place.table).metadata_location.removeprefix("file://")).write_text("{")

    def unreachable_source(self) -> OpenSource:
        return self._lab.source_with(host="127.0.0.1", port=1, password=CANARY)


class TestEmbeddedEngine(EngineContract):
    @pytest.fixture
    def bench(self, lab: Lab) -> EmbeddedBench:
        return EmbeddedBench(lab)

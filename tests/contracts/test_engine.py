"""The scripted engine keeps the contract; the embedded one is held to it in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from olake_reconcile.engine.base import OpenDestination, OpenSource
from olake_reconcile.engine.scripted import ScriptedEngine
from olake_reconcile.model.config import IcebergConfig, PostgresConfig
from olake_reconcile.model.table import TablePlace
from tests.contracts.engine_suite import CANARY, EngineContract


class ScriptedBench:
    """A world in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = ScriptedEngine(folder)
        config = PostgresConfig(host="db", database="shop", username="olake", password=CANARY)
        self.source = OpenSource(name="shop", config=config)
        house = IcebergConfig(
            catalog_type="jdbc", jdbc_url="jdbc:sqlite:catalog.db", iceberg_s3_path="warehouse"
        )
        self.destination = OpenDestination(name="lake", config=house, base=folder)

    def fill(self, stream: str, rows: int) -> None:
        world = self.engine.read()
        self.engine.write(world | {"sources": world["sources"] | {stream: rows}})

    def damage(self, place: TablePlace) -> None:
        world = self.engine.read()
        world["tables"][str(place)]["damaged"] = True
        self.engine.write(world)

    def unreachable_source(self) -> OpenSource:
        self.engine.write(self.engine.read() | {"unreachable": ["source.shop"]})
        return self.source


class TestScriptedEngine(EngineContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> ScriptedBench:
        return ScriptedBench(tmp_path)

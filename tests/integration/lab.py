"""A source database and a warehouse of their own for one test, and the engine between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from local_postgres import LocalPostgres
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from olake_reconcile.engine.base import OpenDestination, OpenSource, StreamTask, SyncRequest
from olake_reconcile.engine.embedded import EmbeddedEngine
from olake_reconcile.model.config import IcebergConfig, PostgresConfig
from olake_reconcile.model.event import Event, StreamCheckpoint, StreamCommitted
from olake_reconcile.model.filter import parse_filter
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.partition import parse_partition
from olake_reconcile.model.stream import Stream, SyncMode
from olake_reconcile.model.table import Owner, TablePlace
from olake_reconcile.sources.postgres.extension import load_extension

PLACE_DATABASE = "lake"


def owner(stream: StreamId, generation: int = 1, project: str = "p1") -> Owner:
    return Owner(
        project=project, environment="test", job="job", stream=f"uid-{stream}", generation=generation
    )


@cache
def _reader() -> duckdb.DuckDBPyConnection:
    """One DuckDB for all reading back: loading its extensions takes longer than most queries."""
    connection = duckdb.connect(config={"arrow_lossless_conversion": "true"})
    for extension in ("avro", "icu", "iceberg"):
        load_extension(connection, extension)
    return connection


@dataclass
class Lab:
    server: LocalPostgres
    database: str
    folder: Path
    engine: EmbeddedEngine = field(default_factory=EmbeddedEngine)
    positions: dict[StreamId, dict[str, Any]] = field(default_factory=dict)  # as a state would keep them

    # -- the source ------------------------------------------------------------------------------

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.server.conninfo(self.database), autocommit=True)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements; return the rows of the last."""
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @property
    def source(self) -> OpenSource:
        return self.source_with()

    def source_with(self, **config: Any) -> OpenSource:
        settings = {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.database,
            "username": self.server.user,
            "password": self.server.password,
            **config,
        }
        return OpenSource(name="shop", config=PostgresConfig.model_validate(settings))

    # -- the destination -------------------------------------------------------------------------

    @property
    def destination(self) -> OpenDestination:
        config = IcebergConfig(
            catalog_type="jdbc", jdbc_url="jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path="warehouse"
        )
        return OpenDestination(name="lake", config=config, base=self.folder)

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    def files(self) -> list[str]:
        """Every file and folder of the warehouse but the catalog and the folder of the database."""
        paths = self.warehouse.rglob("*") if self.warehouse.exists() else []
        found = sorted(str(p.relative_to(self.warehouse)) for p in paths)
        return [f for f in found if f not in ("catalog.db", PLACE_DATABASE)]

    def catalog(self) -> SqlCatalog:
        return SqlCatalog(
            "olake_iceberg",
            uri=f"sqlite:///{self.warehouse / 'catalog.db'}",
            warehouse=f"file://{self.warehouse}",
        )

    def table(self, name: str) -> Table:
        """The table as pyiceberg sees it."""
        catalog = self.catalog()
        try:
            return catalog.load_table((PLACE_DATABASE, name))
        finally:
            catalog.close()

    def read(self, name: str, order: str = "id") -> pa.Table:
        """The table's rows as pyiceberg reads them."""
        return self.table(name).scan().to_arrow().sort_by(order)

    def duck(self, name: str, query: str = "SELECT * FROM t ORDER BY id") -> pa.Table:
        """The result of `query` over the table `t`, as DuckDB reads it: a reader that shares no code with us."""
        location = self.table(name).metadata_location
        with _reader().cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute(f"CREATE OR REPLACE TEMP VIEW t AS SELECT * FROM iceberg_scan('{location}')")
            return cursor.execute(query).to_arrow_table()

    # -- between them ----------------------------------------------------------------------------

    def stream(self, stream_id: str, **settings: Any) -> Stream:
        parsed = StreamId.parse(stream_id)
        if isinstance(settings.get("filter"), str):
            settings["filter"] = parse_filter(settings["filter"])
        settings["partition_by"] = tuple(parse_partition(p) for p in settings.get("partition_by", ()))
        settings.setdefault("destination_table", parsed.name)
        settings.setdefault("sync_mode", SyncMode.FULL_REFRESH)
        return Stream(id=parsed, destination_database=PLACE_DATABASE, **settings)

    def incremental(self, stream_id: str, cursor: str, **settings: Any) -> Stream:
        return self.stream(stream_id, sync_mode=SyncMode.INCREMENTAL, cursor=cursor, **settings)

    def place(self, name: str) -> TablePlace:
        return TablePlace(database=PLACE_DATABASE, table=name)

    def run(
        self,
        *streams: Stream,
        cancelled: Callable[[], bool] = lambda: False,
        watch: Callable[[Event], None] = lambda event: None,
        owners: Sequence[Owner] = (),
        threads: int = 2,
        source: OpenSource | None = None,
        run_id: str = "run1",
    ) -> list[Event]:
        """Sync `streams` and return every event."""
        events: list[Event] = []
        main = threading.get_ident()

        def emit(event: Event) -> None:
            assert threading.get_ident() == main, "events come from the caller's thread"
            events.append(event)
            if isinstance(event, StreamCheckpoint | StreamCommitted):
                self.positions[event.stream] = event.position
            watch(event)

        tasks = tuple(
            StreamTask(
                stream=s,
                place=self.place(s.destination_table),
                owner=owners[i] if owners else owner(s.id),
                position=self.positions.get(s.id, {}),
            )
            for i, s in enumerate(streams)
        )
        with TemporaryDirectory(dir=self.folder) as scratch:
            request = SyncRequest(
                run_id=run_id,
                source=source or self.source,
                destination=self.destination,
                tasks=tasks,
                threads=threads,
                scratch=Path(scratch),
            )
            self.engine.sync(request, emit, cancelled)
        return events

    def load(self, stream: Stream, **settings: Any) -> StreamCommitted:
        """Sync one stream, which must succeed."""
        last = self.run(stream, **settings)[-1]
        assert isinstance(last, StreamCommitted), last
        return last

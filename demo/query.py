"""Ask DuckDB about the demo's Iceberg tables: `python demo/query.py "SELECT …"`.

An independent reader: it finds each table's metadata in the catalog and lets DuckDB's own Iceberg
reader do the rest.
"""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import duckdb

WORKSPACE = Path(__file__).parent / "workspace"


def load_extensions(connection: duckdb.DuckDBPyConnection) -> None:
    """Load what reads Iceberg: from the installed wheels, else DuckDB's own download. `avro` comes first."""
    for name in ("avro", "iceberg"):
        spec = importlib.util.find_spec(f"duckdb_extension_{name}")
        folder = Path(spec.origin).parent if spec and spec.origin else None
        found = sorted(folder.rglob("*.duckdb_extension")) if folder else []
        if found:
            connection.load_extension(str(found[0]))
        else:
            connection.install_extension(name)
            connection.load_extension(name)


def main(sql: str) -> None:
    with closing(sqlite3.connect(WORKSPACE / "warehouse" / "catalog.db")) as catalog:
        tables = catalog.execute(
            "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables"
        ).fetchall()
    with duckdb.connect() as connection:
        load_extensions(connection)
        for namespace, table, metadata in tables:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{namespace}"')
            path = metadata.removeprefix("file://")
            connection.execute(f'CREATE VIEW "{namespace}"."{table}" AS FROM iceberg_scan(\'{path}\')')
        print(connection.sql(sql))


if __name__ == "__main__":
    main(sys.argv[1])

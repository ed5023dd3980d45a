"""Merging changed keys into an Iceberg table, beside `pyiceberg.Table.upsert`.

    .venv/bin/python benchmarks/upsert.py [--rows 10000000] [--changes 100000] [--times 3] [--beside]

Each measurement is one merge in a fresh process upon a fresh copy of the table, timed from opening the change to the end
of the commit, the writing of the new rows included; imports are not timed. Memory is the whole process's peak. Reads are
DuckDB's full scan (`sum` over two columns) of the table as it is then.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, lakehouse, open_catalog
from olake_reconcile.destinations.iceberg.change import Change, append, open_change
from olake_reconcile.destinations.iceberg.files import DataWriter
from olake_reconcile.destinations.iceberg.maintain import maintain
from olake_reconcile.destinations.iceberg.merge import merge
from olake_reconcile.destinations.iceberg.schema import conform
from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.column_type import ColumnType, DestinationColumn
from olake_reconcile.model.config import IcebergConfig
from olake_reconcile.model.maintenance import Maintenance
from olake_reconcile.model.partition import parse_partition
from olake_reconcile.model.table import Owner, TablePlace
from olake_reconcile.sources.postgres.extension import load_extension

PLACE = TablePlace(database="lake", table="t")
OWNER = Owner(project="p", environment="bench", job="j", stream="s", generation=1)
KINDS = {
    "id": Kind.LONG, "part": Kind.INT, "quantity": Kind.INT, "price": Kind.DOUBLE, "name": Kind.STRING, "changed": Kind.TIMESTAMPTZ,
}  # fmt: skip


def house(folder: Path) -> Lakehouse:
    config = IcebergConfig(catalog_type="jdbc", jdbc_url="jdbc:sqlite:catalog.db", iceberg_s3_path="lake")
    return lakehouse(config, folder)


def opened(catalog: Any, folder: Path, key: str, partitions: int) -> Change:
    kinds = {**KINDS, "id": Kind.UUID if key == "uuid" else Kind.LONG}
    columns = [DestinationColumn(n, ColumnType(k)) for n, k in kinds.items()]
    by = [parse_partition("part")] if partitions else []
    return open_change(
        catalog, house(folder), PLACE, OWNER, columns, by, {n: n for n in kinds}, scratch=folder
    )


def rows_of(change: Change, ids: str, partitions: int, mark: int) -> Iterator[pa.RecordBatch]:
    """Rows of `ids`, a query of one column `i`; everything in them follows from i and mark."""
    arrow = change.format.arrow()
    key = "md5(i::VARCHAR)::UUID" if arrow.field("id").type == pa.uuid() else "i::BIGINT"
    with duckdb.connect(config={"arrow_lossless_conversion": "true", "threads": 1}) as connection:
        load_extension(connection, "icu")
        connection.execute("SET TimeZone = 'UTC'; SET arrow_large_buffer_size = true")
        yield from connection.execute(
            f"SELECT {key}, (i * 31 % {max(partitions, 1)})::INT, ((i + {mark}) % 1000)::INT, i * 0.37::DOUBLE, "
            f"'customer ' || (i * 7919 % 1000003), make_timestamptz(i * 1000000 + {mark}) FROM ({ids})"
        ).to_arrow_reader(100_000)


def chosen(rows: int, changes: int, seed: int) -> str:
    """A query for `changes` of the ids below `rows` that look like chance: none twice, since the step is a prime."""
    return f"SELECT (n * 7368787 + {seed * 104729}) % {rows} AS i FROM range({changes}) t(n) ORDER BY i"


def build(folder: Path, rows: int, key: str, partitions: int) -> None:
    """Make the table of `rows`."""
    with open_catalog(house(folder)) as catalog:
        change = opened(catalog, folder, key, partitions)
        writer = DataWriter(change.io, change.format, "base")
        for batch in rows_of(change, f"SELECT i FROM range({rows}) t(i)", partitions, 0):
            writer.write(batch)
        append(catalog, change, writer.finish(), "base", {"at": 0})


def change_once(
    folder: Path, rows: int, changes: int, key: str, partitions: int, what: str, seed: int
) -> None:
    """Merge `changes` random keys."""
    ids = chosen(rows, changes, seed)
    with open_catalog(house(folder)) as catalog:
        change = opened(catalog, folder, key, partitions)
        batches = rows_of(change, ids, partitions, seed)
        if what == "delete":
            names = change.format.arrow().names
            gone = pa.table({"id": pa.chunked_array([b.rename_columns(names).column("id") for b in batches])})
            merge(catalog, change, [], ["id"], "run", {"at": seed}, deletes=gone)
            return
        writer = DataWriter(change.io, change.format, f"change-{seed}")
        for batch in batches:
            writer.write(batch)
        merge(catalog, change, writer.finish(), ["id"], "run", {"at": seed})


def pyiceberg_once(folder: Path, rows: int, changes: int, key: str, partitions: int, seed: int) -> None:
    """Do the same by pyiceberg's own upsert."""
    ids = chosen(rows, changes, seed)
    with open_catalog(house(folder)) as catalog:
        change = opened(catalog, folder, key, partitions)
        table = catalog.load_table((PLACE.database, PLACE.table))
        batches = [conform(b, change.format.arrow()) for b in rows_of(change, ids, partitions, seed)]
        table.upsert(pa.Table.from_batches(batches).cast(table.schema().as_arrow()), ["id"])


def read_seconds(folder: Path, times: int = 5) -> float:
    """Return the median of DuckDB's full scans."""
    with open_catalog(house(folder)) as catalog:
        location = catalog.load_table((PLACE.database, PLACE.table)).metadata_location
    found = []
    with duckdb.connect(config={"threads": 2}) as connection:
        for extension in ("avro", "iceberg"):
            load_extension(connection, extension)
        for _ in range(times):
            began = time.perf_counter()
            connection.execute(f"SELECT sum(price), sum(quantity) FROM iceberg_scan('{location}')").fetchall()
            found.append(time.perf_counter() - began)
    return statistics.median(found)


def work(task: dict[str, Any]) -> None:
    """In a process of its own: do one measurement and print it."""
    folder = Path(task["folder"])
    arguments = (folder, task["rows"], task["changes"], task["key"], task["partitions"])
    began = time.perf_counter()
    if task["what"] == "pyiceberg":
        pyiceberg_once(*arguments, task["seed"])
    else:
        change_once(*arguments, task["what"], task["seed"])
    seconds = time.perf_counter() - began
    # Not ru_maxrss: that starts with the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(json.dumps({"seconds": seconds, "mb": peak}))


def measured(folder: Path, times: int, **task: Any) -> str:
    """Run `task` on copies of the table; return a row of the report."""
    found = []
    for seed in range(1, times + 1):
        with TemporaryDirectory(dir=folder.parent) as copy:
            # Metadata name their files by whole paths: the copy has to stand where the table was made.
            shutil.copytree(folder, Path(copy) / "saved")
            line = run(folder, **task, seed=seed)
            shutil.rmtree(folder)
            shutil.move(Path(copy) / "saved", folder)
        found.append(line)
    seconds = [f["seconds"] for f in found]
    spread = f"{statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"
    return f"| {task['what']} | {task['changes']:,} | {task['rows']:,} | {task['key']} | {task['partitions']} | {spread} | {max(f['mb'] for f in found):.0f} |"


def run(folder: Path, **task: Any) -> dict[str, float]:
    argument = json.dumps({**task, "folder": str(folder)})
    done = subprocess.run(
        [sys.executable, __file__, "--work", argument], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def many(folder: Path, rows: int, changes: int, times: int) -> Iterator[str]:
    """Reads after a number of merges and after maintenance, as ratios to the fresh table's."""
    fresh = read_seconds(folder)
    for seed in range(1, times + 1):
        run(folder, rows=rows, changes=changes, key="bigint", partitions=0, what="update", seed=seed)
        if seed in {1, 10, 25, times}:
            found = read_seconds(folder)
            yield f"| {seed} | {found:.3f} | {found / fresh:.2f} |"
    began = time.perf_counter()
    settings = Maintenance(keep_days=0, keep_snapshots=1, grace_hours=0)
    maintain(house(folder), PLACE, OWNER, settings, "run", folder, lambda: datetime.now(UTC), lambda: False)
    seconds, found = time.perf_counter() - began, read_seconds(folder)
    yield f"| {times}, maintained in {seconds:.1f} s | {found:.3f} | {found / fresh:.2f} |"


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument(
        "--beside", action="store_true", help="also pyiceberg's upsert, 10,000 keys into a million rows"
    )
    parser.add_argument("--merges", type=int, default=50, help="after how many merges reads are timed")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(json.loads(options.work))
        return
    few, small = max(options.changes // 100, 1), options.rows // 10
    print(
        "| what | keys | rows | key | partitions | seconds: median (range) | peak MB |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    with TemporaryDirectory() as place:
        for key, partitions, rows, tasks in (
            (
                "bigint",
                0,
                options.rows,
                [("update", options.changes), ("delete", options.changes), ("update", few)],
            ),
            ("bigint", 200, options.rows, [("update", options.changes)]),
            ("bigint", 0, small, [("update", few)]),
            ("uuid", 0, options.rows, [("update", options.changes), ("update", few)]),
            ("uuid", 0, small, [("update", few)]),
        ):
            folder = Path(place) / "table"
            folder.mkdir()
            build(folder, rows, key, partitions)
            for what, changes in tasks:
                print(
                    measured(
                        folder,
                        options.times,
                        rows=rows,
                        changes=changes,
                        key=key,
                        partitions=partitions,
                        what=what,
                    ),
                    flush=True,
                )
            if (key, partitions, rows) == ("bigint", 0, small) and options.beside:
                for what in ("update", "pyiceberg"):
                    print(
                        measured(
                            folder,
                            1,
                            rows=rows,
                            changes=min(10_000, rows // 10),
                            key=key,
                            partitions=0,
                            what=what,
                        ),
                        flush=True,
                    )
            if (key, partitions, rows) == ("bigint", 0, options.rows):
                reads = list(many(folder, rows, few, options.merges))
            shutil.rmtree(folder)
    print(
        "\n| merges | seconds of a full read | ratio to the fresh table |\n| --- | --- | --- |",
        *reads,
        sep="\n",
    )


if __name__ == "__main__":
    main()

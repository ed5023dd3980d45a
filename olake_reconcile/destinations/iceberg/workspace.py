"""Joining rows of data files with keys: DuckDB in bounded memory, what is too much goes to disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb
import pyarrow as pa

_MEMORY: Final = "256MB"
_THREADS: Final = 2


class Workspace:
    """Tables of Arrow batches, for the length of one change; made by `workspace`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    def run(self, sql: str, streams: Mapping[str, tuple[pa.Schema, Iterable[pa.RecordBatch]]]) -> None:
        """Run `sql` over `streams`, each of which is read once; what reading one raises is raised as it is."""
        failures: list[BaseException] = []

        def guarded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except BaseException as error:
                failures.append(error)
                raise

        for name, (schema, batches) in streams.items():
            self._connection.register(name, pa.RecordBatchReader.from_batches(schema, guarded(batches)))
        try:
            self._connection.execute(sql)
        except duckdb.Error:
            if failures:
                raise failures[0] from None
            raise
        finally:
            for name in streams:
                self._connection.unregister(name)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the few rows of `sql`."""
        return self._connection.execute(sql).fetchall()

    def arrow(self, sql: str) -> pa.Table:
        """Return the result of `sql`, whole."""
        return self._connection.execute(sql).to_arrow_table()

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Give the result of `sql` batch by batch; nothing else may run meanwhile."""
        yield from self._connection.execute(sql).to_arrow_reader(131_072)

    def spool(self, name: str) -> Spool:
        """Return an empty spool."""
        return Spool(self._folder / f"{name}.arrow")


class Spool:
    """Batches of one schema that wait on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pa.RecordBatchFileWriter | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep `batch`."""
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_file(str(self._path), batch.schema, options=options)
        self._writer.write_batch(batch)

    def read(self) -> Iterator[pa.RecordBatch]:
        """Give every batch in order; nothing may be added any more."""
        if self._writer is None:
            return
        self._writer.close()
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)


@contextmanager
def workspace(scratch: Path | None) -> Iterator[Workspace]:
    """Open a workspace below `scratch`, or below the system's temporary folder; nothing of it is left."""
    with TemporaryDirectory(prefix="merge-", dir=scratch) as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": _THREADS,
            "temp_directory": f"{folder}/spill",
            # The keys are few and the rows many: the hash table is to be made of the right side, always.
            "disabled_optimizers": "join_order,build_side_probe_side",
        }
        with closing(duckdb.connect(config=config)) as connection:
            connection.execute("SET arrow_large_buffer_size = true")
            yield Workspace(connection, Path(folder))

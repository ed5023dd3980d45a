"""Writing data files: bounded memory however many partitions there are, and nothing left behind by a failed load.

Rows wait in one buffer per partition. A full buffer becomes a row group; when all buffers together exceed the budget,
the largest is written first. A file ends at its target size, or when too many are open. One writer serves one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema

from olake_reconcile.destinations.iceberg.partition import Key, Splitter
from olake_reconcile.destinations.iceberg.schema import arrow_schema, conform
from olake_reconcile.destinations.iceberg.statistics import FileStatistics, file_statistics

log = logging.getLogger(__name__)

#: Arrow bytes of a row group; compressed it is about a quarter of that.
ROW_GROUP_BYTES = 32 << 20
#: Arrow bytes that all of a writer's buffers may hold together.
BUDGET_BYTES = 64 << 20
#: Where a file ends. Row groups are not cut, so a file is a little larger.
FILE_BYTES = 256 << 20
MAX_OPEN_FILES = 64
_COMPRESSION_LEVEL = 3
_PAGE_BYTES = 1 << 20
#: A column with at most this share of distinct values in its first rows gets a dictionary.
_DICTIONARY_SHARE = 0.2
_SAMPLE_ROWS = 50_000
#: A column with a longer value in a file's first rows has no statistics there.
_HUGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFormat:
    """What every file of one load has in common."""

    schema: Schema  # what a file holds; columns of the table that it lacks are NULL
    spec: PartitionSpec
    folder: str  # where data files go

    def arrow(self) -> pa.Schema:
        """Return the Arrow schema of the files."""
        return arrow_schema(self.schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A finished data file."""

    location: str
    spec_id: int
    key: Key
    size: int
    statistics: FileStatistics


@dataclass(slots=True)
class _Buffer:
    batches: list[pa.RecordBatch] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class _OpenFile:
    location: str
    stream: pa.NativeFile
    writer: pq.ParquetWriter


class DataWriter:
    """Writes the rows of one thread. Either `finish` or `abandon` ends it."""

    def __init__(self, io: FileIO, format_: TableFormat, prefix: str, file_bytes: int = FILE_BYTES) -> None:
        self._io = io
        self._format = format_
        self._file_bytes = file_bytes
        self._arrow = format_.arrow()
        self._prefix = prefix
        self._splitter = Splitter(format_.spec, format_.schema)
        self._buffers: dict[Key, _Buffer] = {}
        self._buffered = 0
        self._open: dict[Key, _OpenFile] = {}  # the longest unused first
        self._locations: list[str] = []
        self._finished: list[WrittenFile] = []

    @property
    def bytes_written(self) -> int:
        """Bytes in files so far; never goes back."""
        growing = sum(int(f.stream.tell()) for f in list(self._open.values()))
        return sum(f.size for f in self._finished) + growing

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the rows of `batch`; columns beyond the table's are ignored."""
        for key, part in self._splitter.split(conform(batch, self._arrow)):
            buffer = self._buffers.setdefault(key, _Buffer())
            buffer.batches.append(part)
            buffer.size += part.nbytes
            self._buffered += part.nbytes
            if buffer.size >= ROW_GROUP_BYTES:
                self._flush(key)
        while self._buffered > BUDGET_BYTES:
            self._flush(max(self._buffers, key=lambda k: self._buffers[k].size))

    def finish(self) -> list[WrittenFile]:
        """Write what is left and return every file."""
        for key in list(self._buffers):
            self._flush(key)
            # Nothing more comes for this partition: closing now keeps few files open.
            self._close(key)
        for key in list(self._open):
            self._close(key)
        return self._finished

    def abandon(self) -> None:
        """Delete every file of this writer; a failed load leaves nothing."""
        for file in self._open.values():
            with suppress(OSError):  # on a full disk even closing fails, and the file must go all the more
                file.stream.close()
            # Else it writes a footer when it is collected, and complains on stderr that it cannot.
            file.writer.is_open = False
        self._open.clear()
        delete_files(self._io, self._locations)

    def _flush(self, key: Key) -> None:
        buffer = self._buffers.pop(key)
        self._buffered -= buffer.size
        table = pa.Table.from_batches(buffer.batches, schema=self._arrow)
        file = self._open.pop(key, None) or self._start(table)
        self._open[key] = file
        file.writer.write_table(table, row_group_size=max(table.num_rows, 1))
        if file.stream.tell() >= self._file_bytes:
            self._close(key)

    def _start(self, first: pa.Table) -> _OpenFile:
        if len(self._open) >= MAX_OPEN_FILES:
            self._close(next(iter(self._open)))
        location = f"{self._format.folder}/{self._prefix}-{len(self._locations):05d}.parquet"
        self._locations.append(location)
        stream = self._io.new_output(location).create(overwrite=False)
        modest = _without_huge(first)
        writer = pq.ParquetWriter(
            stream,
            self._arrow,
            version="2.6",
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            # A page ends after whole batches only: of wide rows a batch must be few.
            write_batch_size=max(1, min(1024, _PAGE_BYTES * first.num_rows // max(first.nbytes, 1))),
            data_page_size=_PAGE_BYTES,
            use_dictionary=_repetitive(modest),
            write_statistics=_bounded(modest),
            # Iceberg's table spec: decimals of up to 18 digits are integers in Parquet.
            store_decimal_as_integer=True,
            # The Arrow schema in the footer would say nothing that the Iceberg schema does not.
            store_schema=False,
        )
        return _OpenFile(location, stream, writer)

    def _close(self, key: Key) -> None:
        file = self._open.pop(key, None)
        if file is None:
            return
        file.writer.close()
        size = file.stream.tell()
        file.stream.close()
        statistics = file_statistics(file.writer.writer.metadata, self._format.schema)
        self._finished.append(
            WrittenFile(
                location=file.location,
                spec_id=self._format.spec.spec_id,
                key=key,
                size=size,
                statistics=statistics,
            )
        )


def _without_huge(table: pa.Table) -> pa.Table:
    """Leave out the columns with huge values: their statistics are whole copies, and a dictionary of them is another."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type):
            longest = pc.max(pc.binary_length(column)).as_py()
            if longest is not None and longest > _HUGE_BYTES:
                table = table.drop_columns([name])
    return table


def _bounded(table: pa.Table) -> list[str] | bool:
    """Choose the columns that get statistics; those of lists nobody reads."""
    return [f.name for f in table.schema if not pa.types.is_large_list(f.type)] or False


def _repetitive(table: pa.Table) -> list[str] | bool:
    """Choose the columns that a dictionary makes smaller: for others it is built only to be thrown away."""
    sample = table.slice(0, _SAMPLE_ROWS)
    limit = max(sample.num_rows * _DICTIONARY_SHARE, 1)
    chosen = []
    for name, column in zip(sample.column_names, sample.columns, strict=True):
        if pa.types.is_boolean(column.type):
            continue
        if pa.types.is_large_list(column.type):
            chosen.append(f"{name}.list.element")
            continue
        if isinstance(column.type, pa.BaseExtensionType):
            column = pa.chunked_array([c.storage for c in column.chunks], column.type.storage_type)
        if pc.count_distinct(column, mode="all").as_py() <= limit:
            chosen.append(name)
    return chosen or False


def delete_files(io: FileIO, locations: Sequence[str]) -> None:
    """Delete what exists of `locations`; one that cannot be deleted is logged and left."""
    for location in locations:
        try:
            io.delete(location)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("cannot delete %s: %s", location, error, extra={"action": "file_left_behind"})


def remove_empty_folders(location: str) -> None:
    """Remove the folders of a local table as far as they are empty; a foreign file keeps its folder."""
    if not location.startswith("file://"):
        return
    root = Path(location.removeprefix("file://"))
    for folder in (root / "data", root / "metadata", root):
        with suppress(OSError):
            folder.rmdir()

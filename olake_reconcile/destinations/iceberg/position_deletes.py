"""Delete files: the positions of deleted rows, one file for each spec and partition of the data files that it names.

pyiceberg and DuckDB forgive a delete file that is listed under another partition; Spark and Trino need not. Each file
holds everything that is deleted in its partition and takes the place of the one before it, so that there is one to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.typedef import Record

from olake_reconcile.destinations.iceberg.files import delete_files
from olake_reconcile.destinations.iceberg.live import PATH_ID, POSITION_ID, Home

#: Few rows, so that the positions of one data file are found without reading those of all.
_ROW_GROUP_ROWS: Final = 50_000
_SCHEMA: Final = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": str(PATH_ID)}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": str(POSITION_ID)}),
    ]
)


class PositionDeletes:
    """Writes delete files; `abandon` removes them again."""

    def __init__(self, io: FileIO, prefix: str, paths: Sequence[str]) -> None:
        self._io = io
        self._prefix = prefix
        self._paths = pa.array(paths, pa.string())
        self._locations: list[str] = []
        self.files: list[DataFile] = []

    def write(self, batches: Iterator[pa.RecordBatch], homes: Sequence[Home]) -> None:
        """Write `batches` of `h` (index in `homes`), `f` (index in the paths), `position`, in this order."""
        number, writer = -1, None
        try:
            for batch in batches:
                for part in _by_first(batch):
                    found = part.column(0)[0].as_py()
                    if writer is None or found != number:
                        if writer is not None:
                            self.files.append(writer.finish())
                        writer, number = self._start(homes[found]), found
                    writer.write(self._paths.take(part.column(1)), part.column(2))
            if writer is not None:
                self.files.append(writer.finish())
        except BaseException:
            if writer is not None:
                writer.close()
            raise

    def abandon(self) -> None:
        """Delete every file."""
        delete_files(self._io, self._locations)

    def _start(self, home: Home) -> _Writer:
        location = f"{self._prefix}-deletes-{len(self._locations):05d}.parquet"
        self._locations.append(location)
        return _Writer(self._io, location, home)


class _Writer:
    def __init__(self, io: FileIO, location: str, home: Home) -> None:
        self._location = location
        self._home = home
        self._rows = 0
        self._first: str | None = None
        self._last = ""
        self._stream = io.new_output(location).create(overwrite=False)
        self._parquet = pq.ParquetWriter(
            self._stream, _SCHEMA, version="2.6", compression="zstd", store_schema=False
        )

    def write(self, paths: pa.StringArray, positions: pa.Int64Array) -> None:
        table = pa.Table.from_arrays([paths, positions], schema=_SCHEMA)
        self._parquet.write_table(table, row_group_size=_ROW_GROUP_ROWS)
        self._rows += table.num_rows
        self._first = self._first if self._first is not None else paths[0].as_py()
        self._last = paths[-1].as_py()

    def close(self) -> int:
        self._parquet.close()
        size = int(self._stream.tell())
        self._stream.close()
        return size

    def finish(self) -> DataFile:
        size = self.close()
        spec_id, partition = self._home
        made = DataFile.from_args(
            content=DataFileContent.POSITION_DELETES,
            file_path=self._location,
            file_format=FileFormat.PARQUET,
            partition=Record(*partition),
            record_count=self._rows,
            file_size_in_bytes=size,
            value_counts={PATH_ID: self._rows, POSITION_ID: self._rows},
            null_value_counts={PATH_ID: 0, POSITION_ID: 0},
            # Whole paths: readers skip the file for all data files that it does not name.
            lower_bounds={PATH_ID: (self._first or "").encode()},
            upper_bounds={PATH_ID: self._last.encode()},
        )
        made.spec_id = spec_id
        return made


def _by_first(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut `batch`, which is in order of its first column, where that changes."""
    start = 0
    for run in pc.value_counts(batch.column(0)):
        length = run["counts"].as_py()
        yield batch.slice(start, length)
        start += length

"""Reading rows back out of data files: columns by field id, in bounded batches, with their positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema

from olake_reconcile.destinations.iceberg.schema import arrow_schema, conform_array

_BATCH_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = 131_072
#: Says of a row group whether any of its rows is wanted.
Wanted = Callable[[pq.RowGroupMetaData, dict[int, int]], bool]
POSITION: Final = "position"


def read_rows(
    io: FileIO, path: str, schema: Schema, deleted: pa.Int64Array | None = None, wanted: Wanted | None = None
) -> Iterator[pa.RecordBatch]:
    """Give the rows of a data file as the columns of `schema`, and last the position of each in the file.

    A column that the file lacks is NULL, a narrower type is widened (Iceberg table spec, "Column Projection"). Rows at
    `deleted` positions, and row groups that `wanted` turns down, are left out.
    """
    arrow = arrow_schema(schema)
    with io.new_input(path).open() as stream:
        file = pq.ParquetFile(stream)
        places = {
            int((f.metadata or {}).get(b"PARQUET:field_id", -1)): i for i, f in enumerate(file.schema_arrow)
        }
        leaves = _leaves(file)
        names = [
            file.schema_arrow.field(places[f.field_id]).name for f in schema.fields if f.field_id in places
        ]
        start = 0
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            if wanted is None or wanted(group, leaves):
                yield from _read_group(file, number, start, names, schema, arrow, deleted)
            start += group.num_rows


def _read_group(
    file: pq.ParquetFile,
    number: int,
    start: int,
    names: list[str],
    schema: Schema,
    arrow: pa.Schema,
    deleted: pa.Int64Array | None,
) -> Iterator[pa.RecordBatch]:
    group = file.metadata.row_group(number)
    if not names:
        # None of the columns was there yet: the rows count all the same.
        yield from _finish(_nulls(group.num_rows), start, schema, arrow, deleted)
        return
    per_row = max(group.total_byte_size // max(group.num_rows, 1), 1)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // per_row))
    for batch in file.iter_batches(rows, row_groups=[number], columns=names, use_threads=False):
        yield from _finish(batch, start, schema, arrow, deleted)
        start += batch.num_rows


def _finish(
    batch: pa.RecordBatch, start: int, schema: Schema, arrow: pa.Schema, deleted: pa.Int64Array | None
) -> Iterator[pa.RecordBatch]:
    by_id = {
        int((f.metadata or {}).get(b"PARQUET:field_id", -1)): batch.column(i)
        for i, f in enumerate(batch.schema)
    }
    arrays = [
        conform_array(by_id[field.field_id], wanted.type, field.name)
        if field.field_id in by_id
        else pa.nulls(batch.num_rows, wanted.type)
        for field, wanted in zip(schema.fields, arrow, strict=True)
    ]
    positions = pa.arange(start, start + batch.num_rows)
    found = pa.RecordBatch.from_arrays([*arrays, positions], [*arrow.names, POSITION])
    if deleted is not None and len(deleted):
        found = found.filter(pc.invert(pc.is_in(positions, deleted)))
    if found.num_rows:
        yield found


def _nulls(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(rows)], ["none"])


def _leaves(file: pq.ParquetFile) -> dict[int, int]:
    """Return the place of each plain column among the Parquet columns, by field id."""
    paths = {file.schema.column(i).path: i for i in range(len(file.schema))}
    return {
        int((f.metadata or {}).get(b"PARQUET:field_id", -1)): paths[f.name]
        for f in file.schema_arrow
        if f.name in paths
    }

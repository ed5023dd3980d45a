"""Reading rows back out of data files: columns by field id, in bounded batches, with their positions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.schema import Schema

from olake_reconcile.destinations.iceberg.schema import arrow_schema, conform_array

_BATCH_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = 131_072
#: The last column of what is read: where the row is in its file.
POSITION: Final = "position"
#: Says of a row group, given the Parquet column of each field id, whether any of its rows is wanted.
Wanted = Callable[[pq.RowGroupMetaData, Mapping[int, int]], bool]


def read_rows(
    io: FileIO,
    path: str,
    schema: Schema,
    *,
    wanted: Wanted | None = None,
    without: pa.Int64Array | None = None,
    only: pa.Int64Array | None = None,
) -> Iterator[pa.RecordBatch]:
    """Give the rows of a data file as the columns of `schema`, and last the position of each in the file.

    A column that the file lacks is NULL, a narrower type is widened (Iceberg table spec, "Column Projection"). Left out
    are row groups that `wanted` turns down, rows at the positions `without`, and, with `only`, all rows at others; the
    positions are in order.
    """
    with io.new_input(path).open() as stream:
        reader = _Reader(pq.ParquetFile(stream), schema)
        start = 0
        for number in range(reader.file.num_row_groups):
            group = reader.file.metadata.row_group(number)
            end = start + group.num_rows
            inside = only is None or len(_slice(only, start, end)) > 0
            if inside and (wanted is None or wanted(group, reader.leaves)):
                yield from _choose(reader.read(number, start), without, only)
            start = end


@dataclass(slots=True)
class _Reader:
    file: pq.ParquetFile
    schema: Schema

    @property
    def leaves(self) -> dict[int, int]:
        """The place of each plain column among the Parquet columns, by field id."""
        paths = {self.file.schema.column(i).path: i for i in range(len(self.file.schema))}
        return {_field_id(f): paths[f.name] for f in self.file.schema_arrow if f.name in paths}

    def read(self, number: int, start: int) -> Iterator[pa.RecordBatch]:
        """Give the rows of one row group, the first of which is at `start`."""
        group = self.file.metadata.row_group(number)
        wanted = {f.field_id for f in self.schema.fields}
        names = [f.name for f in self.file.schema_arrow if _field_id(f) in wanted]
        if not names:
            # None of the columns was there yet; the rows are.
            yield self._finish(pa.record_batch([pa.nulls(group.num_rows)], ["none"]), start)
            return
        per_row = max(group.total_byte_size // max(group.num_rows, 1), 1)
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // per_row))
        for batch in self._batches(number, names, rows, whole=rows >= group.num_rows):
            count = batch.num_rows
            yield self._finish(batch, start)
            # What was given must not be held while the next is decoded: a value may be of 100 MB.
            del batch
            start += count

    def _batches(self, number: int, names: list[str], rows: int, *, whole: bool) -> Iterator[pa.RecordBatch]:
        if whole:
            # An iterator would keep the decompressed pages beside the values until it is asked again.
            yield from self.file.read_row_group(number, columns=names, use_threads=False).to_batches()
        else:
            yield from self.file.iter_batches(rows, row_groups=[number], columns=names, use_threads=False)

    def _finish(self, batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
        found = {_field_id(f): batch.column(i) for i, f in enumerate(batch.schema)}
        arrow = arrow_schema(self.schema)
        arrays = [
            conform_array(found[field.field_id], wanted.type, field.name)
            if field.field_id in found
            else pa.nulls(batch.num_rows, wanted.type)
            for field, wanted in zip(self.schema.fields, arrow, strict=True)
        ]
        positions = pa.arange(start, start + batch.num_rows)
        return pa.RecordBatch.from_arrays([*arrays, positions], [*arrow.names, POSITION])


def _choose(
    batches: Iterator[pa.RecordBatch], without: pa.Int64Array | None, only: pa.Int64Array | None
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if only is not None:
            batch = _filtered(batch, only, keep=True)
        if without is not None:
            batch = _filtered(batch, without, keep=False)
        if batch.num_rows:
            yield batch
        del batch


def _filtered(batch: pa.RecordBatch, chosen: pa.Int64Array, *, keep: bool) -> pa.RecordBatch:
    """Return the rows of `batch` at the positions `chosen`, or all others."""
    positions = batch.column(POSITION)
    if not len(positions):
        return batch
    inside = _slice(chosen, positions[0].as_py(), positions[-1].as_py() + 1)
    if not len(inside):
        return batch.slice(0, 0) if keep else batch
    if len(inside) == len(positions) == positions[-1].as_py() - positions[0].as_py() + 1:
        # Nothing is copied where nothing is cut: values may be huge.
        return batch if keep else batch.slice(0, 0)
    found = pc.is_in(positions, inside)
    return batch.filter(found if keep else pc.invert(found))


def _slice(ordered: pa.Int64Array, first: int, end: int) -> pa.Int64Array:
    start = bisect_left(ordered, first, key=lambda v: v.as_py())
    return ordered[start : bisect_left(ordered, end, key=lambda v: v.as_py())]


def _field_id(field: pa.Field) -> int:
    return int((field.metadata or {}).get(b"PARQUET:field_id", -1))

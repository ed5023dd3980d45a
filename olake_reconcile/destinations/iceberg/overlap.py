"""Rows that were read again: which of them the table holds already, with equal values.

A cursor's boundary value is read again by every run, and so is everything within a lookback. Compared are all columns
but OLake's own, by value and as a multiset: of three equal rows, two of which are there, one is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField

from olake_reconcile.destinations.iceberg.bounds import Values, comparable
from olake_reconcile.destinations.iceberg.change import Change
from olake_reconcile.destinations.iceberg.live import live_files
from olake_reconcile.destinations.iceberg.rows import read_rows
from olake_reconcile.destinations.iceberg.schema import conform
from olake_reconcile.destinations.iceberg.workspace import Spool, Workspace, workspace
from olake_reconcile.model.naming import METADATA_COLUMNS

_OP_TYPE: Final = "_op_type"


def absent(change: Change, fresh: Iterable[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
    """Give the rows of `fresh` that the table does not hold yet, whole and in order.

    `fresh` are batches as `DataWriter.write` takes them, further columns included; all of them are read before the first
    is given, and wait on disk. `column` is the destination name of the cursor: only files that may hold one of its values
    among `fresh` are looked into. A row that is there marked as deleted counts as absent.
    """
    compared = [f for f in change.format.schema.fields if f.name not in METADATA_COLUMNS]
    with workspace(change.scratch) as space:
        spool = space.spool("fresh")
        names = [f"c{i}" for i in range(len(compared))]
        schema = pa.schema([*_types(change, compared, names), pa.field("n", pa.int64())])
        space.run(
            "CREATE TABLE fresh AS SELECT * FROM batches",
            {"batches": (schema, _numbered(change, fresh, compared, schema, spool))},
        )
        cursor = next(i for i, f in enumerate(compared) if f.name == column)
        known = _held(change, space, compared, cursor, schema)
        start = 0
        for batch in spool.read():
            numbers = _numbers(start, batch)
            start += batch.num_rows
            left = batch.filter(pc.invert(pc.is_in(numbers, known))) if len(known) else batch
            if left.num_rows:
                yield left


def _held(
    change: Change, space: Workspace, compared: Sequence[NestedField], cursor: int, schema: pa.Schema
) -> pa.ChunkedArray:
    """Return the numbers of the fresh rows that the table holds."""
    values = space.arrow(f"SELECT DISTINCT c{cursor} FROM fresh").column(0).combine_chunks()
    names = schema.names[:-1]
    listed = ", ".join(names)
    same = " AND ".join(f"a.{n} IS NOT DISTINCT FROM b.{n}" for n in names)
    rows = _rows(change, compared, Values(compared[cursor], values), names)
    space.run(
        f"CREATE TABLE held AS SELECT a.* FROM batches a SEMI JOIN fresh b ON {same}",
        {"batches": (schema.remove(len(names)), rows)},
    )
    return space.arrow(
        f"WITH a AS (SELECT *, row_number() OVER (PARTITION BY {listed} ORDER BY n) AS k FROM fresh), "
        f"b AS (SELECT *, row_number() OVER (PARTITION BY {listed}) AS k FROM held) "
        f"SELECT n FROM a SEMI JOIN b ON a.k = b.k AND {same}"
    ).column("n")


def _numbered(
    change: Change,
    fresh: Iterable[pa.RecordBatch],
    compared: Sequence[NestedField],
    schema: pa.Schema,
    spool: Spool,
) -> Iterator[pa.RecordBatch]:
    arrow = change.format.arrow()
    start = 0
    for batch in fresh:
        spool.add(batch)
        rows = conform(batch, arrow)
        arrays = [comparable(rows.column(f.name), exact=True) for f in compared]
        yield pa.RecordBatch.from_arrays([*arrays, _numbers(start, batch)], schema=schema)
        start += batch.num_rows


def _rows(
    change: Change, compared: Sequence[NestedField], wanted: Values, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Give the table's rows that may be among the fresh ones, in their comparable form."""
    if change.existing is None:
        return
    marks = [f for f in change.schema.fields if f.name == _OP_TYPE]
    files = live_files(change.io, change.staged)
    for file in files.data:
        if not wanted.in_file(file.file):
            continue
        deleted = files.deleted(change.io, file)
        for batch in read_rows(
            change.io, file.path, Schema(*compared, *marks), without=deleted, wanted=wanted.in_group
        ):
            if marks:
                is_deleted = pc.equal(batch.column(_OP_TYPE), "d")
                batch = batch.filter(pc.invert(pc.fill_null(is_deleted, False)))
            arrays = [comparable(batch.column(f.name), exact=True) for f in compared]
            del batch  # see read_rows
            yield pa.RecordBatch.from_arrays(arrays, names)


def _types(change: Change, compared: Sequence[NestedField], names: Sequence[str]) -> list[pa.Field]:
    arrow = change.format.arrow()
    types = [comparable(pa.nulls(0, arrow.field(f.name).type), exact=True).type for f in compared]
    return [pa.field(name, type_) for name, type_ in zip(names, types, strict=True)]


def _numbers(start: int, batch: pa.RecordBatch) -> pa.Int64Array:
    return pa.arange(start, start + batch.num_rows)

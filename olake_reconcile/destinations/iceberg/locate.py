"""Finding rows by their keys without reading the table: manifests, footers, then key columns of what may hold them.

Keys are compared as typed values, NULL with NULL. All partitions are searched: the row of a key may have been in another
one before (H-22), unless the partitioning depends on nothing but the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pyarrow as pa
from pyiceberg.schema import Schema

from olake_reconcile.destinations.iceberg.bounds import Values, comparable
from olake_reconcile.destinations.iceberg.change import Change
from olake_reconcile.destinations.iceberg.files import WrittenFile
from olake_reconcile.destinations.iceberg.live import Home, LiveFile
from olake_reconcile.destinations.iceberg.rows import POSITION, read_rows
from olake_reconcile.destinations.iceberg.schema import arrow_schema, conform_array
from olake_reconcile.destinations.iceberg.workspace import Workspace
from olake_reconcile.errors import ReconcileError

#: With more keys than this, hardly any file can be ruled out, and trying would cost memory.
_MOST_VALUES: Final = 1_000_000


def key_schema(change: Change, key: Sequence[str]) -> Schema:
    """Return the columns of `key` in the table. Raises `ReconcileError` when one is missing."""
    fields = {f.name: f for f in change.schema.fields}
    if not key or (missing := sorted(set(key) - set(fields))):
        what = f"has no column {', '.join(missing)}" if key else "has no key"
        raise ReconcileError(
            f"the table {change.place} {what}, which an upsert needs to find rows by",
            why="Without the key columns an updated row would be stored a second time.",
            remedy="Replicate the key columns (columns.include), or use write_mode: append.",
        )
    return Schema(*(fields[name] for name in key))


def load_keys(
    space: Workspace, change: Change, key: Schema, files: Sequence[WrittenFile], deletes: pa.Table | None
) -> None:
    """Make the table `keys` of the rows in `files` and in `deletes`: `k0`…, and `n`, the row of `deletes` or NULL."""
    schema = _comparable_schema(key, pa.field("n", pa.int64()))
    batches = _keys_of_files(change, key, files, schema)
    space.run("CREATE TABLE keys AS SELECT * FROM batches", {"batches": (schema, batches)})
    if deletes is not None and deletes.num_rows:
        arrays = [
            comparable(
                conform_array(deletes.column(f.name).combine_chunks(), wanted.type, f.name), exact=False
            )
            for f, wanted in zip(key.fields, arrow_schema(key), strict=True)
        ]
        batch = pa.RecordBatch.from_arrays([*arrays, pa.arange(0, deletes.num_rows)], schema=schema)
        space.run("INSERT INTO keys SELECT * FROM batches", {"batches": (schema, [batch])})
    names = ", ".join(schema.names[:-1])
    if space.rows(f"SELECT 1 FROM keys GROUP BY {names} HAVING count(*) > 1 LIMIT 1"):
        raise ValueError("a key comes twice in one merge: fold changes of one key before")


def locate(
    space: Workspace, change: Change, key: Schema, files: Sequence[LiveFile], homes: set[Home] | None
) -> None:
    """Make the table `hits` of the rows whose key is in `keys`: `f` (index in `files`), `position`, `n` of the key.

    `homes` are the only ones to look into, when that is known.
    """
    names = [f"k{i}" for i in range(len(key.fields))]
    values = [
        Values(field, space.arrow(f"SELECT DISTINCT {name} FROM keys").column(0).combine_chunks())
        for field, name in zip(key.fields, names, strict=True)
        if space.rows("SELECT count(*) FROM keys")[0][0] <= _MOST_VALUES
    ]
    candidates = [
        (i, f)
        for i, f in enumerate(files)
        if (homes is None or f.home in homes) and all(v.in_file(f.file) for v in values)
    ]
    schema = _comparable_schema(key, pa.field("position", pa.int64()), pa.field("f", pa.int32()))
    same = " AND ".join(f"b.{n} IS NOT DISTINCT FROM k.{n}" for n in names)
    space.run(
        f"CREATE TABLE hits AS SELECT b.f, b.position, k.n FROM batches b JOIN keys k ON {same}",
        {"batches": (schema, _keys_of_candidates(change, key, candidates, values, schema))},
    )


def _keys_of_files(
    change: Change, key: Schema, files: Iterable[WrittenFile], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for file in files:
        for batch in read_rows(change.io, file.location, key):
            keys = [comparable(c, exact=False) for c in batch.columns[:-1]]
            yield pa.RecordBatch.from_arrays([*keys, pa.nulls(batch.num_rows, pa.int64())], schema=schema)


def _keys_of_candidates(
    change: Change,
    key: Schema,
    candidates: Iterable[tuple[int, LiveFile]],
    values: Sequence[Values],
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    for number, file in candidates:
        for batch in read_rows(
            change.io, file.path, key, wanted=lambda *group: all(v.in_group(*group) for v in values)
        ):
            keys = [comparable(c, exact=False) for c in batch.columns[:-1]]
            numbers = pa.repeat(pa.scalar(number, pa.int32()), batch.num_rows)
            yield pa.RecordBatch.from_arrays([*keys, batch.column(POSITION), numbers], schema=schema)


def _comparable_schema(key: Schema, *more: pa.Field) -> pa.Schema:
    types = [comparable(pa.nulls(0, f.type), exact=False).type for f in arrow_schema(key)]
    return pa.schema([*(pa.field(f"k{i}", type_) for i, type_ in enumerate(types)), *more])

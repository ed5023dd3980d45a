"""Iceberg schemas from our columns, and the Arrow schemas that Parquet files are written with.

Field ids are for ever: a column keeps its id while name and type stay, and an id is never given to another column.
Files without ids would bring a dropped column's values back under a new column of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.column_type import ColumnType, DestinationColumn

_ICEBERG: dict[Kind, IcebergType] = {
    Kind.BOOLEAN: BooleanType(),
    Kind.INT: IntegerType(),
    Kind.LONG: LongType(),
    Kind.FLOAT: FloatType(),
    Kind.DOUBLE: DoubleType(),
    Kind.DATE: DateType(),
    Kind.TIME: TimeType(),
    Kind.TIMESTAMP: TimestampType(),
    Kind.TIMESTAMPTZ: TimestamptzType(),
    Kind.STRING: StringType(),
    Kind.UUID: UUIDType(),
    Kind.BINARY: BinaryType(),
}


def iceberg_schema(columns: Sequence[DestinationColumn], current: Schema | None, last_id: int) -> Schema:
    """Return the schema of `columns`, with the ids of `current` where name and type are the same."""
    known = {f.name: f for f in current.fields} if current else {}
    fresh = count(last_id + 1)
    fields = []
    for column in columns:
        old = known.get(column.name)
        if old is not None and _same(old.field_type, column.type):
            fields.append(NestedField(old.field_id, column.name, old.field_type, required=False))
        else:
            field_id = next(fresh)
            fields.append(
                NestedField(
                    field_id, column.name, _iceberg_type(column.type, lambda: next(fresh)), required=False
                )
            )
    return Schema(*fields, schema_id=0)


def _iceberg_type(type_: ColumnType, next_id: Callable[[], int]) -> IcebergType:
    if type_.kind is Kind.DECIMAL:
        return DecimalType(type_.precision, type_.scale)
    if type_.element is not None:
        return ListType(next_id(), _iceberg_type(type_.element, next_id), element_required=False)
    return _ICEBERG[type_.kind]


def _same(old: IcebergType, new: ColumnType) -> bool:
    if isinstance(old, ListType):
        return new.element is not None and _same(old.element_type, new.element)
    return new.element is None and old == _iceberg_type(new, lambda: 0)


_ARROW: dict[Kind, Callable[[], pa.DataType]] = {
    Kind.BOOLEAN: pa.bool_,
    Kind.INT: pa.int32,
    Kind.LONG: pa.int64,
    Kind.FLOAT: pa.float32,
    Kind.DOUBLE: pa.float64,
    Kind.DATE: pa.date32,
    Kind.TIME: lambda: pa.time64("us"),
    Kind.TIMESTAMP: lambda: pa.timestamp("us"),
    Kind.TIMESTAMPTZ: lambda: pa.timestamp("us", tz="UTC"),
    Kind.STRING: pa.large_string,
    Kind.UUID: pa.uuid,
    Kind.BINARY: pa.large_binary,
}


def arrow_schema(columns: Sequence[DestinationColumn], schema: Schema) -> pa.Schema:
    """Return the Arrow schema of a Parquet file: the types of `columns`, the ids of `schema`."""
    return pa.schema(
        [
            _arrow_field(column.name, column.type, field.field_id, field.field_type)
            for column, field in zip(columns, schema.fields, strict=True)
        ]
    )


def _arrow_field(name: str, type_: ColumnType, field_id: int, iceberg: IcebergType) -> pa.Field:
    arrow: pa.DataType
    if isinstance(iceberg, ListType):
        assert type_.element is not None
        arrow = pa.large_list(
            _arrow_field("element", type_.element, iceberg.element_id, iceberg.element_type)
        )
    elif type_.kind is Kind.DECIMAL:
        arrow = pa.decimal128(type_.precision, type_.scale)
    else:
        arrow = _ARROW[type_.kind]()
    return pa.field(name, arrow, nullable=True, metadata={"PARQUET:field_id": str(field_id)})


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the first columns of `batch` as `schema` wants them, by position. Only representations change."""
    arrays = [_conform(batch.column(i), field.type, field.name) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _conform(array: pa.Array, type_: pa.DataType, column: str) -> pa.Array:
    if array.type == type_:
        return array
    if pa.types.is_large_list(type_) and pa.types.is_large_list(array.type):
        # Rebuilt and not cast: the field of the elements carries the id, and extension types do not cast.
        values = _conform(array.values, type_.value_type, column)
        mask = array.is_null() if array.null_count else None
        return pa.LargeListArray.from_arrays(array.offsets, values, type=type_, mask=mask)
    if not _same_values(array.type, type_):
        # A cast would go through, and might round: a reader that gives another type than asked for is a fault.
        raise TypeError(f"column {column} arrived as {array.type}, not {type_}")
    return array.cast(type_)


def _same_values(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a cast keeps every value: small integers, DuckDB's booleans, the name of the time zone UTC."""
    if pa.types.is_boolean(wanted):
        return isinstance(found, pa.Bool8Type)
    if pa.types.is_int32(wanted):
        return bool(pa.types.is_int16(found))
    return bool(
        pa.types.is_timestamp(wanted)
        and pa.types.is_timestamp(found)
        and (found.tz is None) == (wanted.tz is None)
        and found.unit == wanted.unit
    )

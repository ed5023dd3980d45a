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
                    field_id, column.name, iceberg_type(column.type, lambda: next(fresh)), required=False
                )
            )
    return Schema(*fields, schema_id=0)


def iceberg_type(type_: ColumnType, next_id: Callable[[], int]) -> IcebergType:
    """Return Iceberg's type for `type_`; `next_id` numbers the elements of lists."""
    if type_.kind is Kind.DECIMAL:
        return DecimalType(type_.precision, type_.scale)
    if type_.element is not None:
        return ListType(next_id(), iceberg_type(type_.element, next_id), element_required=False)
    return _ICEBERG[type_.kind]


def _same(old: IcebergType, new: ColumnType) -> bool:
    if isinstance(old, ListType):
        return new.element is not None and _same(old.element_type, new.element)
    return new.element is None and old == iceberg_type(new, lambda: 0)


_ARROW: dict[type[IcebergType], Callable[[], pa.DataType]] = {
    BooleanType: pa.bool_,
    IntegerType: pa.int32,
    LongType: pa.int64,
    FloatType: pa.float32,
    DoubleType: pa.float64,
    DateType: pa.date32,
    TimeType: lambda: pa.time64("us"),
    TimestampType: lambda: pa.timestamp("us"),
    TimestamptzType: lambda: pa.timestamp("us", tz="UTC"),
    StringType: pa.large_string,
    UUIDType: pa.uuid,
    BinaryType: pa.large_binary,
}


def arrow_schema(schema: Schema) -> pa.Schema:
    """Return the Arrow schema of a Parquet file with the columns of `schema`, its field ids included."""
    return pa.schema([_arrow_field(field.name, field.field_id, field.field_type) for field in schema.fields])


def _arrow_field(name: str, field_id: int, type_: IcebergType) -> pa.Field:
    arrow: pa.DataType
    if isinstance(type_, ListType):
        arrow = pa.large_list(_arrow_field("element", type_.element_id, type_.element_type))
    elif isinstance(type_, DecimalType):
        arrow = pa.decimal128(type_.precision, type_.scale)
    else:
        arrow = _ARROW[type(type_)]()
    return pa.field(name, arrow, nullable=True, metadata={"PARQUET:field_id": str(field_id)})


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the first columns of `batch` as `schema` wants them, by position. Only representations change."""
    arrays = [conform_array(batch.column(i), field.type, field.name) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def conform_array(array: pa.Array, type_: pa.DataType, column: str) -> pa.Array:
    """Return `array` as `type_`; only its representation may change. Raises `TypeError` when values might."""
    if array.type == type_:
        return array
    if pa.types.is_large_list(type_) and _is_list(array.type):
        # Rebuilt and not cast: the field of the elements carries the id, and extension types do not cast.
        values = conform_array(array.values, type_.value_type, column)
        mask = array.is_null() if array.null_count else None
        return pa.LargeListArray.from_arrays(array.offsets.cast(pa.int64()), values, type=type_, mask=mask)
    if isinstance(type_, pa.UuidType) and array.type == type_.storage_type:
        return pa.ExtensionArray.from_storage(type_, array)
    if not _same_values(array.type, type_):
        # A cast would go through, and might round: a reader that gives another type than asked for is a fault.
        raise TypeError(f"column {column} arrived as {array.type}, not {type_}")
    return array.cast(type_)


def _is_list(type_: pa.DataType) -> bool:
    return bool(pa.types.is_large_list(type_) or pa.types.is_list(type_))


def _same_values(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a cast keeps every value: wider numbers, DuckDB's booleans, the name of the time zone UTC."""
    if pa.types.is_boolean(wanted):
        return isinstance(found, pa.Bool8Type)
    if pa.types.is_int32(wanted) or pa.types.is_int64(wanted):
        return bool(pa.types.is_signed_integer(found) and found.bit_width < wanted.bit_width)
    if pa.types.is_float64(wanted):
        return bool(pa.types.is_float32(found))
    if pa.types.is_decimal128(wanted):
        return bool(
            pa.types.is_decimal(found) and found.scale == wanted.scale and found.precision <= wanted.precision
        )
    if pa.types.is_large_string(wanted):
        return bool(pa.types.is_string(found))
    if pa.types.is_large_binary(wanted):
        return bool(pa.types.is_binary(found))
    return bool(
        pa.types.is_timestamp(wanted)
        and pa.types.is_timestamp(found)
        and (found.tz is None) == (wanted.tz is None)
        and found.unit == wanted.unit
    )

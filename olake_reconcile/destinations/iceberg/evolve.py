"""How a table follows its source: columns are added and widened, and never taken away (Iceberg table spec, "Evolution").

A column that the source has no more stays, marked, with its old values; new rows hold NULL there. When a column of that
name comes back it is another column: it gets a new id, the old one leaves the schema, and no old value comes back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count

from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
)

from olake_reconcile.destinations.iceberg.schema import iceberg_type
from olake_reconcile.errors import CannotGoOn
from olake_reconcile.model.column_type import DestinationColumn
from olake_reconcile.model.table import TablePlace

#: The comment of a column that the source no longer has.
GONE = "no longer in the source"


class IncompatibleSchema(CannotGoOn):
    """The source's columns cannot be had in this table; only a rebuild helps. The table is untouched."""


def evolve(
    current: Schema,
    columns: Sequence[DestinationColumn],
    last_id: int,
    partitioned_by: Collection[int],
    place: TablePlace,
) -> Schema:
    """Return the schema that holds both what `current` holds and `columns`. Raises `IncompatibleSchema`."""
    fresh = count(last_id + 1)
    wanted = {c.name: c for c in columns}
    fields: list[NestedField] = []
    for old in current.fields:
        column = wanted.get(old.name)
        if column is None:
            fields.append(_changed(old, old.field_type, GONE))
            continue
        if old.doc == GONE:
            if old.field_id in partitioned_by:
                raise _incompatible(place, old, "it partitions the table, was dropped and came back")
            continue
        wider = _wider(old.field_type, iceberg_type(column.type, lambda: next(fresh)))
        if wider is None:
            raise _incompatible(place, old, f"it is {column.type} at the source now")
        fields.append(_changed(old, wider, old.doc))
        del wanted[old.name]
    fields += [
        NestedField(next(fresh), name, iceberg_type(column.type, lambda: next(fresh)), required=False)
        for name, column in wanted.items()
    ]
    return Schema(*fields, schema_id=0)


def file_schema(table: Schema, columns: Sequence[DestinationColumn]) -> Schema:
    """Return what files of `columns` hold: the table's fields, in the order of `columns`."""
    fields = {f.name: f for f in table.fields}
    return Schema(*(fields[c.name] for c in columns), schema_id=table.schema_id)


def _changed(old: NestedField, type_: IcebergType, doc: str | None) -> NestedField:
    return NestedField(old.field_id, old.name, type_, required=False, doc=doc)


def _wider(old: IcebergType, new: IcebergType) -> IcebergType | None:
    """Return the type that holds the values of both, if one of them does so by Iceberg's rules of promotion."""
    match old, new:
        case (IntegerType(), LongType()) | (FloatType(), DoubleType()):
            return new
        case (LongType(), IntegerType()) | (DoubleType(), FloatType()):
            return old
        case DecimalType(), DecimalType() if old.scale == new.scale:
            return new if new.precision > old.precision else old
        case ListType(), ListType():
            element = _wider(old.element_type, new.element_type)
            return None if element is None else ListType(old.element_id, element, element_required=False)
        case _:
            return old if old == new else None


def _incompatible(place: TablePlace, field: NestedField, what: str) -> IncompatibleSchema:
    return IncompatibleSchema(
        f"column {field.name} of {place} cannot follow its source: {what}",
        why=f"The table holds it as {field.field_type}; Iceberg widens int, float and decimal, and changes nothing else.",
        remedy="Rebuild the stream, or leave the column out (columns: {exclude: […]}).",
    )

"""Partition fields: `region`, `day(created_at)`, `bucket(16, id)`, `truncate(4, code)`.

The transforms are Iceberg's (table spec, "Partition Transforms"). OLake's `/{created_at, month}` is read
as well and means the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_CALL = re.compile(r"\s*([A-Za-z_]+)\s*\((.*)\)\s*\Z", re.DOTALL)
_OLAKE_FIELD = re.compile(r"\{([^{}]*)\}")
_OLAKE_WIDTH = re.compile(r"(bucket|truncate)\s*\[\s*(\d+)\s*\]\Z")
_PLAIN_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")


class Transform(StrEnum):
    """Iceberg's partition transforms."""

    IDENTITY = "identity"
    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    BUCKET = "bucket"
    TRUNCATE = "truncate"

    @property
    def takes_width(self) -> bool:
        """Whether it needs a number: buckets, or characters."""
        return self in (Transform.BUCKET, Transform.TRUNCATE)


class BadPartition(ValueError):
    """The text is no partition field; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class PartitionField:
    """One partition field over a source column (named as the source names it)."""

    transform: Transform
    column: str
    width: int | None = None

    def __str__(self) -> str:
        column = (
            self.column if _PLAIN_COLUMN.match(self.column) else '"' + self.column.replace('"', '""') + '"'
        )
        match self.transform:
            case Transform.IDENTITY:
                return column
            case Transform.BUCKET | Transform.TRUNCATE:
                return f"{self.transform}({self.width}, {column})"
            case _:
                return f"{self.transform}({column})"


def parse_partition(text: str) -> PartitionField:
    """Return the field that `text` spells. Raises `BadPartition`."""
    call = _CALL.match(text)
    if call is None:
        return PartitionField(Transform.IDENTITY, _column(text))
    try:
        transform = Transform(call.group(1).lower())
    except ValueError:
        known = ", ".join(Transform)
        raise BadPartition(f"unknown transform '{call.group(1)}': one of {known}") from None
    if not transform.takes_width:
        return PartitionField(transform, _column(call.group(2)))
    width, comma, column = call.group(2).partition(",")
    if not comma or not width.strip().isdecimal() or not 1 <= int(width) <= 2**31 - 1:
        raise BadPartition(f"{transform} needs a number and a column, such as {transform}(16, id)")
    return PartitionField(transform, _column(column), int(width))


def _column(text: str) -> str:
    name = text.strip()
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = name[1:-1].replace('""', '"')
    elif not name or any(c in name for c in '(){}[],"'):
        raise BadPartition(f"'{text.strip()}' is not a column: quote unusual names with \"double quotes\"")
    return name


def parse_olake_regex(text: str) -> tuple[PartitionField, ...]:
    """Return the fields of OLake's `partition_regex`, such as `/{created_at, month}/{id, bucket[16]}`.

    OLake ignores text between the braces and turns unknown transforms into identity; here both are errors.
    """
    fields = tuple(_olake_field(m.group(1)) for m in _OLAKE_FIELD.finditer(text))
    if not fields or _OLAKE_FIELD.sub("", text).strip("/ ") != "":
        raise BadPartition("partition_regex is a row of {column, transform}, such as /{created_at, month}")
    return fields


def _olake_field(body: str) -> PartitionField:
    column, _, transform = (part.strip() for part in body.partition(","))
    name = column.strip("'\"")
    if width := _OLAKE_WIDTH.match(transform.lower()):
        return parse_partition(f'{width.group(1)}({width.group(2)}, "{name}")')
    if transform.lower() in ("", "identity"):
        return PartitionField(Transform.IDENTITY, name)
    return parse_partition(f'{transform}("{name}")')

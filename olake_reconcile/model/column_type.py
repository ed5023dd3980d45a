"""A destination column's exact type: a `Kind` with its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from olake_reconcile.model.catalogue import Kind

#: The widest decimal that Iceberg holds.
MAX_PRECISION = 38


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A kind, with precision and scale when it is a decimal and the type of its elements when it is a list."""

    kind: Kind
    precision: int = 0
    scale: int = 0
    element: ColumnType | None = None

    def __str__(self) -> str:
        if self.kind is Kind.DECIMAL:
            return f"decimal({self.precision}, {self.scale})"
        return f"list<{self.element}>" if self.element else str(self.kind)


@dataclass(frozen=True, slots=True)
class DestinationColumn:
    """A column of a destination table. Every column may hold NULL: a source may drop its own NOT NULL any day."""

    name: str
    type: ColumnType

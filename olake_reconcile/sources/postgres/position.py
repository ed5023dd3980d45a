"""Where a stream that is read by a cursor stands: what the next run must know, as JSON beside the rows it stands for.

Values are the server's own text, exact to the last digit, and go back to it to be compared; nothing here compares them.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from olake_reconcile.model.base import Model
from olake_reconcile.sources.postgres.cursor import Cursors

VERSION = 1

#: A value per cursor, primary first. None: no value, and so no bound.
Values = tuple[str | None, ...]


class Mark(Model):
    """How far one cursor was read."""

    column: str
    type: str
    #: Whatever begins from now on has at least this value.
    value: str | None = None
    #: The greatest value that was read: above it no row was ever seen.
    top: str | None = None


class Backfill(Model):
    """A first load that is not finished: ranges of a key, the first open below and the last open above."""

    key: tuple[str, ...]
    cuts: tuple[tuple[str, ...], ...]
    nulls: bool = False  # the last range of all holds the rows whose key is NULL
    done: tuple[tuple[int, int], ...] = ()  # finished ranges, `[first, end)`

    @property
    def ranges(self) -> int:
        """How many ranges there are."""
        return len(self.cuts) + 1 + self.nulls

    def unfinished(self) -> list[int]:
        """Return the numbers of the ranges that are still to be read."""
        finished = {number for first, end in self.done for number in range(first, end)}
        return [number for number in range(self.ranges) if number not in finished]

    def finish(self, numbers: list[int]) -> Backfill:
        """Return the backfill with these ranges finished too."""
        left = set(self.unfinished()) - set(numbers)
        runs: list[tuple[int, int]] = []
        for number in range(self.ranges):
            if number in left:
                continue
            if runs and runs[-1][1] == number:
                runs[-1] = (runs[-1][0], number + 1)
            else:
                runs.append((number, number + 1))
        return self.model_copy(update={"done": tuple(runs)})


class Position(Model):
    """Everything that a run by cursor leaves to the next."""

    version: int = VERSION
    marks: tuple[Mark, ...]
    #: Transactions that were in flight, and what their rows cannot be below: alternatives, the least of them counts.
    floors: dict[str, tuple[Values, ...]] = Field(default_factory=dict)
    #: The server's history (identity and timeline) and the relation's storage: where `seen` means anything.
    history: str = ""
    storage: str = ""
    #: Every row whose transaction id (64 bits) is below this was read, if it was in range. None: nothing is known.
    seen: int | None = None
    backfill: Backfill | None = None
    #: The source's relation (its oid; 0 for a view) and the primary key that rows are known by.
    relation: int = 0
    key: tuple[str, ...] = ()
    #: The destination's table (its uuid), and how many commits have moved its position: the state is never ahead of it.
    table: str = ""
    serial: int = 0
    #: The destination's snapshot that a run found to be up to date, when it had nothing to commit.
    head: str | None = None

    def of(self, cursors: Cursors) -> bool:
        """Whether it is a position of these cursors: another column or type is another position (H-9)."""
        return [(m.column, m.type) for m in self.marks] == [(c.name, c.family) for c in cursors.all]

    @property
    def bounds(self) -> tuple[Values, ...]:
        """What no row that is still to come can be below: the least of these, cursor by cursor."""
        found = {tuple(m.value for m in self.marks), *(v for many in self.floors.values() for v in many)}
        return tuple(sorted(found, key=str))


def read_position(stored: dict[str, Any] | None) -> Position | None:
    """Read a stored position; None for one that is empty, of a later version, or of another mode."""
    if not stored or stored.get("version") != VERSION:
        return None
    try:
        return Position.model_validate(stored)
    except ValidationError:
        return None


def show_position(position: Position) -> dict[str, Any]:
    """Return `position` as JSON; what is empty is left out."""
    return position.model_dump(mode="json", exclude_defaults=True) | {"version": VERSION}

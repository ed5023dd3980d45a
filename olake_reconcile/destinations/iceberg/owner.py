"""Whose a table is: the marks in its properties (design §6)."""

from __future__ import annotations

from collections.abc import Mapping

from olake_reconcile.errors import Blocked
from olake_reconcile.model.table import Owner, TablePlace

_PREFIX = "olake-reconcile."
_STREAM_ID = _PREFIX + "stream-id"
_FIELDS = ("project", "environment", "job", "stream", "generation")


def marks(owner: Owner) -> dict[str, str]:
    """Return the table properties that say whose a table is."""
    found = {_PREFIX + name: str(getattr(owner, name)) for name in _FIELDS}
    return found | {_STREAM_ID: owner.stream_id}


def owner_of(properties: Mapping[str, str]) -> Owner | None:
    """Read the marks back; None for a table that is not ours, or whose marks were damaged."""
    values = {name: properties.get(_PREFIX + name) for name in _FIELDS}
    generation = values["generation"]
    if any(v is None for v in values.values()) or not (generation or "").isdecimal():
        return None
    return Owner.model_validate(values | {"stream_id": properties.get(_STREAM_ID, "")})


def is_older(properties: Mapping[str, str], owner: Owner) -> bool:
    """Whether the marks are those of a generation before `owner`'s."""
    found = owner_of(properties)
    return found is not None and found.generation < owner.generation


def require_ours(place: TablePlace, properties: Mapping[str, str], owner: Owner) -> Owner:
    """Return the owner in the marks. Raises `Blocked` when the table belongs to anything but `owner`'s stream."""
    found = owner_of(properties)
    if found is None:
        raise Blocked(
            f"the table {place} exists and was not made by this program",
            why="Writing to it or clearing it would destroy somebody else's data.",
            remedy="Give the stream another destination_table, or remove the table yourself.",
        )
    if (found.project, found.environment, found.stream) != (owner.project, owner.environment, owner.stream):
        raise Blocked(
            f"the table {place} belongs to another stream: job {found.job}, project {found.project}, "
            f"environment {found.environment}",
            why="Two writers of one table would destroy each other's data.",
            remedy="Give the stream another destination_table.",
        )
    return found

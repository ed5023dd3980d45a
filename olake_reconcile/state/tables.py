"""The tables of the state store, as the newest migration leaves them.

What is looked up or changed by itself has a column; all else of a record is JSON in `record`, written and read by
its model. Times are ISO-8601 text in UTC with microseconds, which sorts as it should on every database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json, to_json


class UtcText(sa.TypeDecorator[datetime]):
    """An aware moment, kept as sortable text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        """Return the text to store. Raises `ValueError` for a moment without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        """Return the stored moment."""
        return None if value is None else datetime.fromisoformat(value)


class JsonText(sa.TypeDecorator[Any]):
    """A JSON value or a model, kept as text; None is SQL's NULL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return the text to store."""
        return None if value is None else to_json(value).decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Return the stored value as JSON types."""
        return None if value is None else from_json(value)


metadata = sa.MetaData()


def _key(name: str, kind: type[sa.Text] | type[sa.Integer] = sa.Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _counter(name: str, default: int) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=str(default))


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, UtcText, nullable=nullable)


def _json(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, JsonText, nullable=nullable)


def _owned_by(name: str, target: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(target, ondelete="CASCADE"), primary_key=True)


meta = sa.Table("meta", metadata, _key("name"), _text("value"))

endpoints = sa.Table("endpoints", metadata, _key("kind"), _key("name"), _number("serial"), _text("record"))

jobs = sa.Table(
    "jobs",
    metadata,
    _key("name"),
    _number("serial"),
    _time("due", nullable=True),
    _text("due_reason"),
    _text("record"),
    _counter("attempt", 0),
)

streams = sa.Table(
    "streams", metadata, _owned_by("job", "jobs.name"), _key("namespace"), _key("name"), _text("record")
)

holds = sa.Table(
    "holds",
    metadata,
    _owned_by("job", "jobs.name"),
    _text("who"),
    _text("why"),
    _time("since"),
    _time("until", nullable=True),
)

# A released lease keeps its row, without a holder, so that tokens go on growing.
leases = sa.Table(
    "leases",
    metadata,
    _key("name"),
    _number("token"),
    _json("holder", nullable=True),
    _text("purpose"),
    _time("since"),
    _time("expires"),
)

# `job` refers to no row: the history outlives the jobs.
runs = sa.Table(
    "runs",
    metadata,
    _key("id"),
    _text("job"),
    _text("type"),
    _text("trigger"),
    _text("status"),
    _time("started"),
    _time("ended", nullable=True),
    _json("holder", nullable=True),
    _text("error"),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    _time("queued_at", nullable=True),
    _time("due", nullable=True),
    _counter("attempt", 1),
    _json("detail", nullable=True),
    sa.Index("runs_by_start", "started", "id"),
    sa.Index("runs_by_job", "job", "started", "id"),
    sa.Index("runs_by_status", "status"),
)

run_streams = sa.Table(
    "run_streams", metadata, _owned_by("run", "runs.id"), _key("namespace"), _key("name"), _text("record")
)

applies = sa.Table(
    "applies",
    metadata,
    _key("id"),
    _number("version"),
    _json("plan"),
    _text("plan_hash"),
    _text("who"),
    _json("holder"),
    _text("status"),
    _time("started"),
    _time("ended", nullable=True),
    _text("error"),
    _json("detail", nullable=True),
    sa.Index("applies_by_start", "started", "id"),
)

journal = sa.Table(
    "journal",
    metadata,
    _owned_by("apply_id", "applies.id"),
    _key("seq", sa.Integer),
    _text("kind"),
    _text("subject"),
    _text("status"),
    _time("at"),
    _json("detail"),
)

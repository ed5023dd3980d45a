"""Format 2: runs that wait in a queue, attempts, and room for what else is known of runs and applies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.operations import Operations


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=True)


def _counter(name: str, default: int) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=str(default))


def upgrade(op: Operations) -> None:
    """Add the columns; what is stored means what it meant."""
    for column in (_text("queued_at"), _text("due"), _counter("attempt", 1), _text("detail")):
        op.add_column("runs", column)
    op.create_index("runs_by_status", "runs", ["status"])
    op.add_column("jobs", _counter("attempt", 0))
    op.add_column("applies", _text("detail"))

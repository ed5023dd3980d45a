"""Format 1: the tables of the first release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.operations import Operations


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=False)


def _key(*names: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*names)


def _owned(column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], ondelete="CASCADE")


def upgrade(op: Operations) -> None:
    """Create everything."""
    op.create_table("meta", _text("name"), _text("value"), _key("name"))
    op.create_table(
        "endpoints", _text("kind"), _text("name"), _number("serial"), _text("record"), _key("kind", "name")
    )
    op.create_table(
        "jobs",
        _text("name"),
        _number("serial"),
        _text("due", nullable=True),
        _text("due_reason"),
        _text("record"),
        _key("name"),
    )
    op.create_table(
        "streams",
        _text("job"),
        _text("namespace"),
        _text("name"),
        _text("record"),
        _key("job", "namespace", "name"),
        _owned("job", "jobs.name"),
    )
    op.create_table(
        "holds",
        _text("job"),
        _text("who"),
        _text("why"),
        _text("since"),
        _text("until", nullable=True),
        _key("job"),
        _owned("job", "jobs.name"),
    )
    op.create_table(
        "leases",
        _text("name"),
        _number("token"),
        _text("holder", nullable=True),
        _text("purpose"),
        _text("since"),
        _text("expires"),
        _key("name"),
    )
    _create_runs(op)
    _create_applies(op)


def _create_runs(op: Operations) -> None:
    op.create_table(
        "runs",
        _text("id"),
        _text("job"),
        _text("type"),
        _text("trigger"),
        _text("status"),
        _text("started"),
        _text("ended", nullable=True),
        _text("holder", nullable=True),
        _text("error"),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        _key("id"),
    )
    op.create_index("runs_by_start", "runs", ["started", "id"])
    op.create_index("runs_by_job", "runs", ["job", "started", "id"])
    op.create_table(
        "run_streams",
        _text("run"),
        _text("namespace"),
        _text("name"),
        _text("record"),
        _key("run", "namespace", "name"),
        _owned("run", "runs.id"),
    )


def _create_applies(op: Operations) -> None:
    op.create_table(
        "applies",
        _text("id"),
        _number("version"),
        _text("plan"),
        _text("plan_hash"),
        _text("who"),
        _text("holder"),
        _text("status"),
        _text("started"),
        _text("ended", nullable=True),
        _text("error"),
        _key("id"),
    )
    op.create_index("applies_by_start", "applies", ["started", "id"])
    op.create_table(
        "journal",
        _text("apply_id"),
        _number("seq"),
        _text("kind"),
        _text("subject"),
        _text("status"),
        _text("at"),
        _text("detail"),
        _key("apply_id", "seq"),
        _owned("apply_id", "applies.id"),
    )

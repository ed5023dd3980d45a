"""The journal of applies: what recovery after a crash is built on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.journal import ApplyRecord, ApplyStatus, JournalStep
from olake_reconcile.state.base import Lease
from olake_reconcile.state.leases import check_fence
from olake_reconcile.state.sqlite import SqliteDatabase
from olake_reconcile.state.tables import applies, journal


class JournalTables:
    """The applies of a store, with their steps."""

    _database: SqliteDatabase

    def applies(self, status: ApplyStatus | None = None, limit: int = 20) -> Sequence[ApplyRecord]:
        """Return applies, the latest first."""
        found = sa.select(applies).order_by(applies.c.started.desc(), applies.c.id.desc()).limit(limit)
        if status is not None:
            found = found.where(applies.c.status == status)
        with self._database.read() as connection:
            rows = connection.execute(found).all() if connection is not None else ()
            return tuple(
                ApplyRecord.model_validate({**row._mapping, "detail": row.detail or {}}) for row in rows
            )

    def journal(self, apply_id: str) -> Sequence[JournalStep]:
        """Return the steps of an apply by `seq`; a step that ended is listed once, as done."""
        found = sa.select(journal).where(journal.c.apply_id == apply_id).order_by(journal.c.seq)
        with self._database.read() as connection:
            rows = connection.execute(found).all() if connection is not None else ()
            return tuple(JournalStep.model_validate(dict(row._mapping)) for row in rows)

    def begin_apply(self, record: ApplyRecord, fence: Lease) -> None:
        """Store the record with its plan."""
        with self._database.write() as connection:
            check_fence(connection, fence)
            connection.execute(
                applies.insert().values(record.model_dump() | {"detail": record.detail or None})
            )

    def step(self, step: JournalStep, fence: Lease) -> None:
        """Store a step as started, or mark it as done."""
        row = step.model_dump()
        found = (journal.c.apply_id == step.apply_id) & (journal.c.seq == step.seq)
        with self._database.write() as connection:
            check_fence(connection, fence)
            changed = connection.execute(journal.update().where(found).values(row))
            if not changed.rowcount:
                connection.execute(journal.insert().values(row))

    def end_apply(
        self,
        apply_id: str,
        status: ApplyStatus,
        now: datetime,
        error: str,
        fence: Lease,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Close the apply; what is known of it stays as it is stored where no `detail` is given."""
        row: dict[str, Any] = {"status": status, "ended": now, "error": error}
        if detail is not None:
            row["detail"] = dict(detail) or None
        with self._database.write() as connection:
            check_fence(connection, fence)
            changed = connection.execute(applies.update().where(applies.c.id == apply_id).values(row))
            if not changed.rowcount:
                raise ReconcileError(f"There is no apply {apply_id} in the state store")

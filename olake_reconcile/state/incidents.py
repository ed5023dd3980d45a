"""The incidents that somebody was told of, or is to be: one value of the store as a whole."""

from __future__ import annotations

from olake_reconcile.model.incident import Incidents
from olake_reconcile.state.base import Lease
from olake_reconcile.state.format import set_value, value
from olake_reconcile.state.leases import check_fence
from olake_reconcile.state.sqlite import SqliteDatabase

_NAME = "incidents"


class IncidentTables:
    """The incidents of a store."""

    _database: SqliteDatabase

    def incidents(self) -> Incidents:
        """Return what was stored last. What a later release wrote and this one cannot read counts as nothing."""
        with self._database.read() as connection:
            text = value(connection, _NAME) if connection is not None else None
        try:
            return Incidents.model_validate_json(text) if text else Incidents()
        except ValueError:
            return Incidents()

    def save_incidents(self, incidents: Incidents, fence: Lease) -> None:
        """Replace what is stored. Raises `Locked` when somebody else has taken the lease."""
        with self._database.write() as connection:
            check_fence(connection, fence)
            set_value(connection, _NAME, incidents.model_dump_json(exclude_defaults=True))

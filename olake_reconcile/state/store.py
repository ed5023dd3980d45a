"""The state store on a SQL database."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from olake_reconcile.errors import ReconcileError
from olake_reconcile.state.applied import AppliedTables
from olake_reconcile.state.history import HistoryTables
from olake_reconcile.state.incidents import IncidentTables
from olake_reconcile.state.journal import JournalTables
from olake_reconcile.state.leases import LeaseTable
from olake_reconcile.state.queue import QueueTables
from olake_reconcile.state.renames import RenameTables
from olake_reconcile.state.runs import RunTables
from olake_reconcile.state.sqlite import SqliteDatabase


class SqlStore(
    AppliedTables,
    HistoryTables,
    IncidentTables,
    JournalTables,
    LeaseTable,
    QueueTables,
    RenameTables,
    RunTables,
):
    """`StateStore` for SQLite. One object may be used by all threads of a process and by its forked children."""

    def __init__(self, url: str, workspace: Path) -> None:
        """Take the store that `url` names; a relative path starts at `workspace`. Touches nothing on disk."""
        self._database = SqliteDatabase(_sqlite_path(url, workspace))

    def create(self) -> None:
        """Make the store ready for writing: create it or migrate it. Raises `StateUnusable`."""
        self._database.create()


def _sqlite_path(url: str, workspace: Path) -> Path:
    example = "Write a file, such as sqlite:///.olake/state.db (relative to the workspace)."
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text may hold a password: it is not shown.
        raise ReconcileError("`state` in olake.yaml is not a database URL", remedy=example) from None
    if parsed.get_backend_name() == "postgresql":
        raise ReconcileError(
            "State on PostgreSQL is not supported yet: it comes with a later release",
            remedy=f"{example} It serves all processes of one host.",
        )
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ReconcileError(
            f"`state` in olake.yaml names no file: {parsed.render_as_string()}", remedy=example
        )
    if parsed.query:
        raise ReconcileError("`state` in olake.yaml has options, and SQLite takes none", remedy=example)
    return workspace.absolute() / parsed.database

"""The format of a store: which one it has, whether this program may use it, how it comes up to date."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, ProgrammingError

from olake_reconcile.errors import StateUnusable
from olake_reconcile.state.migrations import FORMAT, migrate
from olake_reconcile.state.tables import meta

_KEY_BYTES = 32


def is_older(connection: sa.Connection) -> bool:
    """Whether there is a store of an older format here, which `prepare` brings up to date."""
    return 0 < _stored(connection) < FORMAT


def ready(connection: sa.Connection) -> bool:
    """Whether there is a store of our format here; False for an empty database.

    Raises `StateUnusable` for any other format. Asked in every transaction: another process may have
    brought the store up to date meanwhile.
    """
    found = _stored(connection)
    if 0 < found < FORMAT:
        raise StateUnusable(
            f"The state store has an older format ({found}) than this program reads ({FORMAT})",
            why="A copy of an older release was put there while this program ran.",
            remedy="Run the command again: it brings the store up to date.",
        )
    return found == FORMAT


def prepare(connection: sa.Connection) -> None:
    """Make the tables or bring them up to date, and create the fingerprint key if there is none."""
    found = _stored(connection)
    if found < FORMAT:
        migrate(connection, found)
        set_value(connection, "format", str(FORMAT))
    if value(connection, "key") is None:
        set_value(connection, "key", secrets.token_hex(_KEY_BYTES))


def value(connection: sa.Connection, name: str) -> str | None:
    """Return a value of the store as a whole."""
    return connection.scalar(sa.select(meta.c.value).where(meta.c.name == name))


def set_value(connection: sa.Connection, name: str, new: str) -> None:
    """Set a value of the store as a whole."""
    changed = connection.execute(meta.update().where(meta.c.name == name).values(value=new))
    if not changed.rowcount:
        connection.execute(meta.insert().values(name=name, value=new))


def _stored(connection: sa.Connection) -> int:
    """Return the stored format, 0 for an empty database. Raises `StateUnusable` for one we do not know."""
    try:
        # As text: it is asked in every transaction, and building the statement takes longer than answering it.
        text = connection.exec_driver_sql("SELECT value FROM meta WHERE name = 'format'").scalar() or ""
    except (OperationalError, ProgrammingError):
        tables = sa.inspect(connection).get_table_names()
        if not tables:
            return 0
        if meta.name in tables:
            raise
        text = ""
    if not text.isdecimal():
        raise StateUnusable(
            "The state store is a database of another program",
            remedy="Set `state:` in olake.yaml to a file of its own.",
        )
    if int(text) > FORMAT:
        raise StateUnusable(
            f"The state store has a newer format ({text}) than this program knows ({FORMAT})",
            why="A newer olake-reconcile has written it. Nothing has been changed.",
            remedy="Upgrade this program to that version.",
        )
    return int(text)

"""Leases: who may write. Each acquisition of a name has a greater token than the one before, which fences writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from olake_reconcile.errors import Locked
from olake_reconcile.model.run import Holder
from olake_reconcile.state.base import LEASE_SECONDS, Lease
from olake_reconcile.state.holder import is_dead
from olake_reconcile.state.sqlite import SqliteDatabase
from olake_reconcile.state.tables import leases


class LeaseTable:
    """The leases of a store."""

    _database: SqliteDatabase

    def leases(self) -> Sequence[Lease]:
        """Return the leases that are held, expired ones included, by name."""
        with self._database.read() as connection:
            if connection is None:
                return ()
            rows = connection.execute(
                sa.select(leases).where(leases.c.holder.is_not(None)).order_by(leases.c.name)
            )
            return tuple(_lease(row) for row in rows)

    def acquire(self, name: str, holder: Holder, purpose: str, now: datetime) -> Lease:
        """Take the lease if it is free or expired, or if its holder died on this host; else `Locked`."""
        with self._database.write() as connection:
            row = connection.execute(sa.select(leases).where(leases.c.name == name)).one_or_none()
            if row is not None and row.holder is not None:
                held = _lease(row)
                if held.expires > now and not is_dead(held.holder):
                    raise _locked(held)
            lease = Lease(
                name=name,
                token=row.token + 1 if row is not None else 1,
                holder=holder,
                purpose=purpose,
                since=now,
                expires=now + timedelta(seconds=LEASE_SECONDS),
            )
            if row is None:
                connection.execute(leases.insert().values(lease.model_dump()))
            else:
                connection.execute(leases.update().where(leases.c.name == name).values(lease.model_dump()))
            return lease

    def renew(self, lease: Lease, now: datetime) -> Lease:
        """Push the expiry out. Raises `Locked` when somebody else has taken it."""
        renewed = lease.model_copy(update={"expires": now + timedelta(seconds=LEASE_SECONDS)})
        with self._database.write() as connection:
            check_fence(connection, lease)
            connection.execute(
                leases.update().where(leases.c.name == lease.name).values(expires=renewed.expires)
            )
        return renewed

    def release(self, lease: Lease) -> None:
        """Give it back; a lease that is no longer ours is left alone."""
        with self._database.write() as connection:
            if _is_held(connection, lease):
                connection.execute(leases.update().where(leases.c.name == lease.name).values(holder=None))

    def force(self, name: str) -> Lease | None:
        """Take the lease away from whoever holds it; return what was held."""
        if not self._database.exists():
            return None
        with self._database.write() as connection:
            found = sa.select(leases).where(leases.c.name == name, leases.c.holder.is_not(None))
            row = connection.execute(found).one_or_none()
            if row is None:
                return None
            connection.execute(leases.update().where(leases.c.name == name).values(holder=None))
            return _lease(row)


def check_fence(connection: sa.Connection, lease: Lease) -> None:
    """Raise `Locked` unless `lease` is still held by who thinks so. An expired lease that nobody took is held."""
    if not _is_held(connection, lease):
        row = connection.execute(
            sa.select(leases).where(leases.c.name == lease.name, leases.c.holder.is_not(None))
        ).one_or_none()
        taken = _lease(row) if row is not None else None
        raise Locked(
            f"The lock '{lease.name}' was taken from this process"
            + (f": now {_who(taken)}" if taken else ": it was released or forced"),
            why="Nothing was written: what this process knows may be out of date.",
            remedy="Run the command again; it goes on from what is stored.",
        )


def _is_held(connection: sa.Connection, lease: Lease) -> bool:
    row = connection.execute(
        sa.select(leases.c.token, leases.c.holder).where(leases.c.name == lease.name)
    ).one_or_none()
    return (
        row is not None
        and row.token == lease.token
        and row.holder is not None
        and Holder.model_validate(row.holder) == lease.holder
    )


def _lease(row: sa.Row[tuple[object, ...]]) -> Lease:
    return Lease.model_validate(dict(row._mapping))


def _locked(held: Lease) -> Locked:
    return Locked(
        f"The lock '{held.name}' is held by {_who(held)}",
        why="Two processes that write at once could undo each other's work.",
        remedy="Wait for it with --lock-timeout. If you are certain that it no longer runs: "
        f"olake-reconcile force-unlock {held.name}",
    )


def _who(held: Lease) -> str:
    since = held.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{held.holder} ({held.purpose}) since {since}"

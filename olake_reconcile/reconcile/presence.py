"""That a loop runs, for those who look from outside: a lease `loop:<n>`, renewed by the loop's own turns.

It locks nothing. Its holder, `since` and `expires` tell who the loop is, since when, and when it last made a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from olake_reconcile.errors import Locked
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import HEARTBEAT_SECONDS, LEASE_SECONDS, Lease
from olake_reconcile.state.holder import is_dead

LOOP = "loop:"
_MOST_LOOPS = 100


class Presence:
    """The sign of one loop."""

    def __init__(self, services: Services, purpose: str) -> None:
        """Take what it needs; `purpose` says what kind of loop it is."""
        self._services = services
        self._purpose = purpose
        self._lease: Lease | None = None
        self._told = -float(LEASE_SECONDS)

    def tell(self) -> None:
        """Say that a turn was made; written every few seconds at most. Raises what the store raises."""
        now = self._services.clock.monotonic()
        if self._lease is not None and now - self._told < HEARTBEAT_SECONDS:
            return
        try:
            self._lease = self._renewed() or self._taken()
        except Locked:
            self._lease = None  # it had slept, and another loop has its number
        self._told = now

    def leave(self) -> None:
        """Say that the loop has ended."""
        if self._lease is not None:
            self._services.store.release(self._lease)
            self._lease = None

    def _renewed(self) -> Lease | None:
        if self._lease is None:
            return None
        return self._services.store.renew(self._lease, self._services.clock.now())

    def _taken(self) -> Lease | None:
        now = self._services.clock.now()
        for number in range(1, _MOST_LOOPS + 1):
            try:
                return self._services.store.acquire(
                    f"{LOOP}{number}", self._services.holder, self._purpose, now
                )
            except Locked:
                continue
        return None


def loops(services: Services) -> Sequence[Lease]:
    """Return the loops that run: `since` is their start, `expires` a minute after their last turn but ten seconds."""
    now = services.clock.now()
    return [
        lease
        for lease in services.store.leases()
        if lease.name.startswith(LOOP) and lease.expires > now and not is_dead(lease.holder)
    ]


def last_turn(lease: Lease) -> datetime:
    """Return when a loop last told of a turn, to ten seconds."""
    return lease.expires - timedelta(seconds=LEASE_SECONDS)

"""Holding a lease while work is done: renewed in the background, given back at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from olake_reconcile.errors import Locked, ReconcileError
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import HEARTBEAT_SECONDS, LEASE_SECONDS, Lease
from olake_reconcile.state.holder import is_dead

# What a lease of a job is held for by a sync; everything else that holds one changes the job.
SYNC = "sync"

_RETRY_SECONDS = 0.2


class HeldLease:
    """A lease that this process holds. `lost` is set when it could not be renewed: the holder must stop."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.lost = threading.Event()


@contextmanager
def held(services: Services, name: str, purpose: str, wait: float = 0) -> Iterator[HeldLease]:
    """Hold the lease `name`, waiting for it up to `wait` seconds. Raises `Locked`."""
    holding = HeldLease(_acquire(services, name, purpose, wait))
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(services, holding, done), name=f"lease {name}", daemon=True)
    heart.start()
    try:
        yield holding
    finally:
        done.set()
        heart.join()
        services.store.release(holding.lease)


def is_alive(services: Services, name: str) -> bool:
    """Whether a process that may be running holds the lease."""
    lease = next((x for x in services.store.leases() if x.name == name), None)
    return lease is not None and lease.expires > services.clock.now() and not is_dead(lease.holder)


def in_the_way(services: Services, name: str) -> str:
    """Return who holds the lease, for what and since when; empty when nobody does."""
    lease = next((x for x in services.store.leases() if x.name == name), None)
    if lease is None or not is_alive(services, name):
        return ""
    return f"{lease.holder} ({lease.purpose}, since {lease.since:%H:%M:%S} UTC)"


def _acquire(services: Services, name: str, purpose: str, wait: float) -> Lease:
    deadline = services.clock.monotonic() + wait
    while True:
        try:
            return services.store.acquire(name, services.holder, purpose, services.clock.now())
        except Locked:
            if services.clock.monotonic() >= deadline:
                raise
        services.clock.wait(_RETRY_SECONDS, threading.Event())


def _beat(services: Services, holding: HeldLease, done: threading.Event) -> None:
    """Renew until told to stop. Only real time counts here: a hand-moved clock has nobody to outlive."""
    renewed = services.clock.now()
    while not done.wait(HEARTBEAT_SECONDS):
        try:
            holding.lease = services.store.renew(holding.lease, services.clock.now())
            renewed = services.clock.now()
        except Locked:
            holding.lost.set()
            return
        except ReconcileError:
            # The store did not answer: keep trying until the lease has certainly run out.
            if services.clock.now() - renewed > timedelta(seconds=LEASE_SECONDS - HEARTBEAT_SECONDS):
                holding.lost.set()
                return

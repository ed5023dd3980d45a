"""Mending the state by hand: `state mv` and `state rm`. Tables and files are not touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from olake_reconcile.errors import ReconcileError, UsageError
from olake_reconcile.model.names import Address
from olake_reconcile.reconcile.leases import HeldLease, held
from olake_reconcile.reconcile.runs import finish_applies
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import APPLY_LOCK


def move_in_state(services: Services, before: Address, after: Address, *, lock_timeout: float = 0) -> None:
    """Give a stored resource another address. Raises `UsageError` when the kinds differ or the new one is taken."""
    if before.kind != after.kind:
        raise UsageError(f"a {before.kind} cannot become a {after.kind}")
    with _alone(services, {before.name, after.name}, before, lock_timeout) as lock:
        services.store.rename(before, after, lock.lease)


def forget_in_state(services: Services, address: Address, *, lock_timeout: float = 0) -> None:
    """Remove a resource from the state; its tables stay. Raises `Blocked` for an endpoint that is used."""
    with _alone(services, {address.name}, address, lock_timeout) as lock:
        match address.kind:
            case "source" | "destination":
                services.store.remove_endpoint(address.kind, address.name, lock.lease)
            case "job":
                services.store.remove_job(address.name, lock.lease)
            case "stream":
                _forget_stream(services, address, lock)


def _forget_stream(services: Services, address: Address, lock: HeldLease) -> None:
    job = services.store.read(address.name).jobs.get(address.name)
    if job is None:
        raise ReconcileError(f"job {address.name} is not stored any more")
    streams = {i: s for i, s in job.streams.items() if str(i) != address.stream}
    services.store.save_job(job.model_copy(update={"streams": streams}), lock.lease)


@contextmanager
def _alone(services: Services, jobs: set[str], address: Address, wait: float) -> Iterator[HeldLease]:
    """Hold the apply lock, and the leases of the jobs: nothing may run on a record that moves."""
    services.store.create()
    finish_applies(services)
    with ExitStack() as stack:
        lock = stack.enter_context(held(services, APPLY_LOCK, "state", wait=wait))
        for job in sorted(jobs) if address.kind in ("job", "stream") else ():
            stack.enter_context(held(services, f"job:{job}", "state", wait=wait))
        yield lock

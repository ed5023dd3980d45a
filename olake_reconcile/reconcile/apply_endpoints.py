"""Storing and removing endpoints in an apply: before the jobs that use them, and after those that used them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.errors import Unreachable
from olake_reconcile.model.codec import read_destination, read_source
from olake_reconcile.model.endpoint import Endpoint, Source, show_endpoint
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.journal import StepKind
from olake_reconcile.model.names import Address
from olake_reconcile.model.stored import StoredEndpoint
from olake_reconcile.plan.actions import Create, Remove, Update
from olake_reconcile.plan.moves import after_moves
from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.endpoints import open_destination, open_source, value_fingerprints
from olake_reconcile.reconcile.ids import uid
from olake_reconcile.reconcile.journal import Journal
from olake_reconcile.reconcile.leases import HeldLease
from olake_reconcile.reconcile.services import Services


def endpoint_records(
    services: Services, plan: Plan
) -> tuple[list[tuple[Address, StoredEndpoint]], list[Diagnostic]]:
    """Return the records of created and changed endpoints, and warnings. Raises `UnsetReference`."""
    key = services.store.key()
    if key is None:
        raise AssertionError("the store was created without a key")
    stored = after_moves(plan.actions, services.store.read())
    records = []
    warnings: list[Diagnostic] = []
    for action in plan.changes:
        if action.address.kind not in ("source", "destination") or not isinstance(action, Create | Update):
            continue
        name = action.address.name
        read = read_source if action.address.kind == "source" else read_destination
        endpoint: Endpoint = read(name, action.after)
        before = (stored.sources if isinstance(endpoint, Source) else stored.destinations).get(name)
        identity, warning = _identity(services, endpoint)
        warnings += warning
        record = StoredEndpoint(
            name=name,
            uid=before.uid if before else uid(),
            spec=action.after,
            fingerprint=fingerprint(show_endpoint(endpoint)),
            values=value_fingerprints(endpoint, services.secrets, key),
            identity=identity or (before.identity if before else None),
            serial=action.serial,
        )
        records.append((action.address, record))
    return records, warnings


def _identity(services: Services, endpoint: Endpoint) -> tuple[str | None, Sequence[Diagnostic]]:
    """Ask the server what it is; one that does not answer is a warning, and is asked again later."""
    try:
        if isinstance(endpoint, Source):
            return services.engine.check_source(open_source(endpoint, services.secrets)).identity, ()
        opened = open_destination(endpoint, services.secrets, services.root)
        return services.engine.check_destination(opened).identity, ()
    except Unreachable as error:
        text = services.secrets.redact(f"{endpoint.name}: {error.summary}; its identity is not recorded yet")
        return None, (Diagnostic(Severity.WARNING, "endpoint-unreachable", text),)


def store_endpoints(
    services: Services, journal: Journal, lock: HeldLease, records: Sequence[tuple[Address, StoredEndpoint]]
) -> None:
    """Store the records, journaled."""
    for address, record in records:
        begun = journal.detail(StepKind.ENDPOINT_STORED, str(address)) is not None
        journal.do(
            StepKind.ENDPOINT_STORED,
            str(address),
            partial(_save, services, lock, address, record, begun=begun),
        )


def _save(
    services: Services, lock: HeldLease, address: Address, record: StoredEndpoint, *, begun: bool
) -> None:
    stored = services.store.read("")  # of the jobs none
    found = (stored.sources if address.kind == "source" else stored.destinations).get(record.name)
    if begun and found is not None and found.serial == record.serial + 1:
        return  # saved before a crash kept the journal from saying so
    services.store.save_endpoint("source" if address.kind == "source" else "destination", record, lock.lease)


def remove_endpoints(services: Services, journal: Journal, lock: HeldLease, plan: Plan) -> None:
    """Remove the endpoints that the plan removes, journaled; one that a failed job still uses waits for the next plan."""
    used = {
        f"{kind}.{job.spec.get(kind)}"
        for job in services.store.read().jobs.values()
        for kind in ("source", "destination")
    }
    for action in plan.changes:
        if str(action.address) in used:
            continue
        if isinstance(action, Remove) and action.address.kind in ("source", "destination"):
            journal.do(
                StepKind.ENDPOINT_REMOVED,
                str(action.address),
                partial(services.store.remove_endpoint, action.address.kind, action.address.name, lock.lease),
            )

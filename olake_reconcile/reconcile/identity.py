"""Before a run: are the servers still those whose data the tables hold (design §4)?

A plan asks the same; but a value behind a reference can change between two runs, and a full refresh from the wrong
server would replace every table with somebody else's rows.
"""

from __future__ import annotations

from olake_reconcile.engine.base import OpenDestination, OpenSource
from olake_reconcile.errors import Blocked
from olake_reconcile.model.stored import Stored, StoredEndpoint
from olake_reconcile.reconcile.leases import HeldLease
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import EndpointKind


def confirm_identities(
    services: Services, stored: Stored, source: OpenSource, destination: OpenDestination, lease: HeldLease
) -> None:
    """Compare what the servers say they are with what was recorded; record it where nothing is yet.

    A source with `identity: same` may be another one: it is the one from now on, and its positions are kept.
    Raises `Blocked` when one is another server, `Unreachable` when it does not answer.
    """
    said = services.engine.check_source(source).identity
    _confirm(services, "source", stored.sources[source.name], said, lease)
    said = services.engine.check_destination(destination).identity
    _confirm(services, "destination", stored.destinations[destination.name], said, lease)


def _confirm(
    services: Services, kind: EndpointKind, endpoint: StoredEndpoint, said: str, lease: HeldLease
) -> None:
    taken = endpoint.spec.get("identity") == "same"
    if endpoint.identity is None or (taken and endpoint.identity != said):
        services.store.record_identity(kind, endpoint.name, said, lease.lease, before=endpoint.identity)
    elif endpoint.identity != said:
        raise Blocked(
            f"{kind}.{endpoint.name} is another server than the one that this job was applied with",
            why="Its tables hold the rows of the other one: nothing was read or written.",
            remedy="See what that means with `olake-reconcile plan`, then apply it; or put the value back.",
        )

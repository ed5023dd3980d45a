"""Who uses a source or destination, what it says it is, and whether anything connects to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.names import Address
from olake_reconcile.model.run import RunStatus
from olake_reconcile.model.stored import StoredEndpoint, StoredJob, StreamPhase
from olake_reconcile.plan.words import counted
from olake_reconcile.reconcile.explanation import (
    Explanation,
    Statement,
    Topic,
    place_of_setting,
    said_of_files,
)
from olake_reconcile.reconcile.services import Services


def explain_endpoint(services: Services, desired: Desired | None, address: Address) -> Explanation | None:
    """Return what there is to say of a source or destination; None when nobody knows it."""
    stored = services.store.read()
    endpoints = stored.sources if address.kind == "source" else stored.destinations
    endpoint = endpoints.get(address.name)
    place = place_of_setting(desired, address)
    if endpoint is None:
        if not place:
            return None
        text = "It is in the files and was never applied."
        statement = Statement(topic=Topic.FILES, text=text, at=place, remedy="olake-reconcile apply")
        headline = f"{address} is not used: it was never applied."
        return Explanation(
            address=str(address), kind=address.kind, headline=headline, statements=(statement,)
        )
    users = {n: j for n, j in sorted(stored.jobs.items()) if j.spec.get(address.kind) == address.name}
    statements = [
        *_use(services, users),
        *_identity(endpoint),
        *said_of_files(desired, stored, address, place=place),
    ]
    headline = (
        f"{address} ({endpoint.spec.get('type')}) is used by {counted(len(users), 'job')}."
        if users
        else f"{address} ({endpoint.spec.get('type')}) is inactive: no job uses it, and nothing connects to it."
    )
    return Explanation(
        address=str(address), kind=address.kind, headline=headline, statements=tuple(statements)
    )


def _use(services: Services, users: Mapping[str, StoredJob]) -> Iterator[Statement]:
    if not users:
        return
    streams = sum(s.phase is not StreamPhase.REMOVED for job in users.values() for s in job.streams.values())
    running = [
        r.job for r in services.store.unfinished_runs() if r.status is RunStatus.RUNNING and r.job in users
    ]
    inactive = sum(not job.active for job in users.values())
    held = sum(job.held_at(services.clock.now()) is not None for job in users.values())
    names = list(users)
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    parts = [counted(streams, "stream"), f"{counted(len(running), 'sync', 'syncs')} running"]
    parts += [f"{inactive} inactive"] if inactive else []
    parts += [f"{held} held"] if held else []
    text = f"{listed}: {', '.join(parts)}."
    facts = {"jobs": names, "streams": streams, "running": sorted(running)}
    yield Statement(topic=Topic.USE, text=text, facts=facts)


def _identity(endpoint: StoredEndpoint) -> Iterator[Statement]:
    if endpoint.identity is None:
        text = "It is not known yet which server it is: `check`, or the first run, records that."
        yield Statement(topic=Topic.IDENTITY, text=text, remedy="olake-reconcile check")
    else:
        text = f"The server says that it is {endpoint.identity}; another one behind the same name would be noticed."
        yield Statement(topic=Topic.IDENTITY, text=text, facts={"identity": endpoint.identity})

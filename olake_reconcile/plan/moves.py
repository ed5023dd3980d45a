"""Renames: what `Moved` documents do to what is stored, before anything is compared (design §4).

The planner compares the files with `stored` as it will be once the names have changed, so that history, positions
and tables stay. A move is done once: after that its document finds nothing under the old name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from olake_reconcile.model.desired import Desired, Moved
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.renaming import split_off, with_endpoint
from olake_reconcile.model.stored import Stored, StoredEndpoint, StoredJob
from olake_reconcile.plan.actions import Action, Block, Move

# Whatever a later one is part of moves first.
_ORDER = ("source", "destination", "job", "stream")


def planned_moves(
    desired: Desired, stored: Stored, identities: Mapping[Address, str] | None = None
) -> tuple[Stored, list[Move]]:
    """Return what is stored as it will be after the declared moves, and an action for each that is yet to be done.

    `identities` are what servers said they are, if somebody asked.
    """
    ends = {move.before: move.after for move in desired.moves}
    jobs = {b.name: _end(ends, b).name for b in ends if b.kind == "job"}
    found: list[Move] = []
    for move in sorted(desired.moves, key=lambda m: (_ORDER.index(m.before.kind), m.before)):
        before, after = move.before, _end(ends, move.before)
        if before.kind == "stream" and before.name in jobs and before.name not in stored.jobs:
            before = Address.of_stream(jobs[before.name], before.stream)
        # Nothing under the old name: it has moved already. Nothing declared: the reader has warned.
        if before == after or not _is_stored(stored, before) or not _is_declared(desired, after):
            continue
        action = _move(desired, stored, move, before, after, identities or {})
        found.append(action)
        if not action.blocked:
            stored = renamed(stored, before, after)
    return stored, found


def after_moves(actions: Iterable[Action], stored: Stored) -> Stored:
    """Return what is stored as it is once the moves among `actions` are done; some may be already."""
    for action in actions:
        if isinstance(action, Move) and _is_stored(stored, action.origin):
            stored = renamed(stored, action.origin, action.address)
    return stored


def renamed(stored: Stored, before: Address, after: Address) -> Stored:
    """Return `stored` with what is at `before` under the name `after`; the settings stay as they are."""
    match before.kind:
        case "source" | "destination" as kind:
            return _with_endpoint_renamed(stored, kind == "source", before.name, after.name)
        case "job":
            moved = stored.jobs[before.name].model_copy(update={"name": after.name})
            others = {n: j for n, j in stored.jobs.items() if n != before.name}
            return stored.model_copy(update={"jobs": {**others, after.name: moved}})
        case "stream":
            return _with_stream_renamed(stored, before, after)


def _with_endpoint_renamed(stored: Stored, is_source: bool, old: str, new: str) -> Stored:
    endpoints: Mapping[str, StoredEndpoint] = stored.sources if is_source else stored.destinations
    changed = {n: e for n, e in endpoints.items() if n != old}
    changed[new] = endpoints[old].model_copy(update={"name": new})
    jobs = {
        name: with_endpoint(job, "source" if is_source else "destination", new)
        if job.spec.get("source" if is_source else "destination") == old
        else job
        for name, job in stored.jobs.items()
    }
    return stored.model_copy(update={"sources" if is_source else "destinations": changed, "jobs": jobs})


def _with_stream_renamed(stored: Stored, before: Address, after: Address) -> Stored:
    old, new = StreamId.parse(before.stream), StreamId.parse(after.stream)
    jobs = dict(stored.jobs)
    giver = jobs[before.name]
    stream = giver.streams[old].model_copy(update={"id": new})
    jobs[before.name] = _with_streams(giver, {i: s for i, s in giver.streams.items() if i != old})
    taker = jobs.get(after.name) or split_off(giver, after.name)
    jobs[after.name] = _with_streams(taker, {**taker.streams, new: stream})
    return stored.model_copy(update={"jobs": jobs})


def _with_streams(job: StoredJob, streams: Mapping[StreamId, object]) -> StoredJob:
    return job.model_copy(update={"streams": streams})


def _end(ends: Mapping[Address, Address], address: Address) -> Address:
    """Follow a chain of moves; the reader has made sure that none leads in a circle."""
    while address in ends:
        address = ends[address]
    return address


def _is_stored(stored: Stored, address: Address) -> bool:
    match address.kind:
        case "source":
            return address.name in stored.sources
        case "destination":
            return address.name in stored.destinations
        case "job":
            return address.name in stored.jobs
        case "stream":
            job = stored.jobs.get(address.name)
            return job is not None and StreamId.parse(address.stream) in job.streams


def _is_declared(desired: Desired, address: Address) -> bool:
    match address.kind:
        case "source":
            return address.name in desired.sources
        case "destination":
            return address.name in desired.destinations
        case "job":
            return address.name in desired.jobs
        case "stream":
            job = desired.jobs.get(address.name)
            return job is not None and StreamId.parse(address.stream) in job.streams


def _serial(stored: Stored, address: Address) -> int:
    """Return the serial of the record that holds the resource; 0 when there is none."""
    match address.kind:
        case "source":
            found: StoredEndpoint | StoredJob | None = stored.sources.get(address.name)
        case "destination":
            found = stored.destinations.get(address.name)
        case "job" | "stream":
            found = stored.jobs.get(address.name)
    return found.serial if found else 0


def _move(
    desired: Desired,
    stored: Stored,
    move: Moved,
    before: Address,
    after: Address,
    identities: Mapping[Address, str],
) -> Move:
    if _is_stored(stored, after):
        blocked: tuple[Block, ...] = (
            Block(
                code="move-target-exists",
                message=f"{before.short} cannot become {after.short}: that one is deployed already",
                remedy="Take the Moved document out, or give one of the two another name.",
            ),
        )
    else:
        blocked = _other_endpoints(desired, stored, before, after, identities)
    serial = _serial(stored if blocked else renamed(stored, before, after), after)
    return Move(address=after, origin=before, serial=serial, blocked=blocked, place=move.place)


def _other_endpoints(
    desired: Desired, stored: Stored, before: Address, after: Address, identities: Mapping[Address, str]
) -> tuple[Block, ...]:
    """Block a stream's move to a job with other endpoints: its table and positions would not come along."""
    if before.kind != "stream" or before.name == after.name:
        return ()
    giver, taker = stored.jobs[before.name].spec, stored.jobs.get(after.name)
    declared = desired.jobs[after.name]
    wanted = taker.spec if taker else {"source": declared.source, "destination": declared.destination}
    sides: tuple[tuple[Literal["source", "destination"], Mapping[str, StoredEndpoint]], ...] = (
        ("source", stored.sources),
        ("destination", stored.destinations),
    )
    differing = [
        kind
        for kind, known in sides
        if not _is_one(known, identities, kind, str(giver.get(kind)), str(wanted.get(kind)))
    ]
    if not differing:
        return ()
    message = (
        f"{before.name} and {after.name} have another {' and another '.join(differing)}, and a stream's table and "
        "positions belong to these"
    )
    remedy = (
        f"Take the Moved document out: {after.short} is loaded anew, and the table of {before.short} is kept."
    )
    return (Block(code="move-to-other-endpoint", message=message, remedy=remedy),)


def _is_one(
    known: Mapping[str, StoredEndpoint],
    identities: Mapping[Address, str],
    kind: Literal["source", "destination"],
    one: str,
    other: str,
) -> bool:
    """Whether two names are one server's, which only servers can tell."""
    said = [
        identities.get(Address(kind, n)) or (known[n].identity if n in known else None) for n in (one, other)
    ]
    return one == other or (said[0] is not None and said[0] == said[1])

"""Sources and destinations: what changed, whether it is still the same server, who is affected."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel

from olake_reconcile.model.config import DESTINATION_CONFIGS, SOURCE_CONFIGS, secret_paths
from olake_reconcile.model.endpoint import Endpoint, show_endpoint
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.names import Address
from olake_reconcile.model.observed import ValueState
from olake_reconcile.model.stored import Stored, StoredEndpoint
from olake_reconcile.plan.actions import Block, Consent, Create, Keep, Remove, SettingChange, Update
from olake_reconcile.plan.context import Context, Verdict
from olake_reconcile.plan.diff import differing_settings, leaves
from olake_reconcile.plan.effects import IDENTITY_CONFIG, Reason
from olake_reconcile.plan.leaving import leaves as is_leaving
from olake_reconcile.plan.words import counted

Kind = Literal["source", "destination"]


def endpoint_action(context: Context, kind: Kind, endpoint: Endpoint) -> Create | Update | Keep:
    """Decide what happens to one declared endpoint."""
    address = Address(kind, endpoint.name)
    after = show_endpoint(endpoint)
    origins = context.desired.origins
    stored = _stored(context.stored, kind).get(endpoint.name)
    if stored is None:
        return Create(address=address, after=after, place=origins.place(address))
    changes = tuple(
        SettingChange(setting=path, before=b, after=a, note=note, place=origins.place(address, path))
        for path, b, a, note in _differences(context, address, stored, after)
    )
    place = origins.place(address)
    if not changes:
        return Keep(address=address, after=after, serial=stored.serial, place=place)
    verdict = verdict_of(context, address, stored, after)
    return Update(
        address=address,
        before=stored.spec,
        after=after,
        changes=changes,
        unchanged=sum(stored.spec.get(k) == v for k, v in after.items()),
        notes=(
            reach(context, kind, endpoint.name),
            *_verdict_notes(verdict),
            *_taken_notes(is_taken_for_the_same(context, address, stored, after)),
        ),
        serial=stored.serial,
        place=place,
        consent=Consent.GUARDED if verdict is Verdict.OTHER else Consent.SAFE,
        blocked=(*_unknown_identity(verdict, address), *_used_by_unmanaged(context, verdict, address)),
    )


def _stored(stored: Stored, kind: Kind) -> Mapping[str, StoredEndpoint]:
    return stored.sources if kind == "source" else stored.destinations


def _differences(
    context: Context, address: Address, stored: StoredEndpoint, after: Mapping[str, Any]
) -> list[tuple[str, Any, Any, str]]:
    found = []
    if stored.fingerprint != fingerprint(after):
        for setting in differing_settings(stored.spec, after):
            found += [(*leaf, "") for leaf in leaves(setting, stored.spec.get(setting), after.get(setting))]
    changed_here = {path for path, *_ in found}
    for path, state in sorted(context.observed.values.get(address, {}).items()):
        if state is ValueState.CHANGED and f"config.{path}" not in changed_here:
            found.append((f"config.{path}", None, None, _changed_behind(path, after)))
    if is_taken_for_the_same(context, address, stored, after) and "identity" not in changed_here:
        found.append(("identity", None, None, "(another server, taken for the same)"))
    return found


def is_taken_for_the_same(
    context: Context, address: Address, stored: StoredEndpoint, after: Mapping[str, Any]
) -> bool:
    """Whether the server is another one, and the file says to go on with it: a promoted replica (design §4)."""
    seen = context.observed.identities.get(address)
    return after.get("identity") == "same" and None not in (seen, stored.identity) and seen != stored.identity


def _changed_behind(path: str, after: Mapping[str, Any]) -> str:
    """Say that a referenced value changed; the reference of a secret says too much for some already."""
    known: Iterable[tuple[str, type[BaseModel]]] = (*SOURCE_CONFIGS.items(), *DESTINATION_CONFIGS.items())
    kind = dict(known).get(str(after.get("type")))
    if kind is None or tuple(path.split(".")) in secret_paths(kind):
        return "(sensitive value changed)"
    value: Any = after.get("config", {})
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return f"(the value of {value} changed)"


def verdict_of(
    context: Context, address: Address, stored: StoredEndpoint, after: Mapping[str, Any]
) -> Verdict:
    """Decide whether the endpoint is still the server whose data was loaded (design §4)."""
    if after.get("identity") == "same":
        return Verdict.SAME
    seen = context.observed.identities.get(address)
    if seen is not None and stored.identity is not None:
        return Verdict.SAME if seen == stored.identity else Verdict.OTHER
    moved = stored.spec.get("type") != after.get("type") or any(
        path.split(".")[1] in IDENTITY_CONFIG
        for path, *_ in _differences(context, address, stored, after)
        if path.startswith("config.")
    )
    # Where nothing was loaded yet, nothing can fit badly: a wrong host may be put right.
    return Verdict.UNKNOWN if moved and _has_data(context.stored, address) else Verdict.SAME


def _has_data(stored: Stored, address: Address) -> bool:
    return any(
        stream.phase.has_data
        for job in stored.jobs.values()
        if job.spec.get(address.kind) == address.name
        for stream in job.streams.values()
    )


def _verdict_notes(verdict: Verdict) -> tuple[str, ...]:
    if verdict is Verdict.OTHER:
        return ("the server says that it is another one: every stream that uses it is rebuilt",)
    return ()


def _taken_notes(is_taken: bool) -> tuple[str, ...]:
    if is_taken:
        return (
            "the server says that it is another one: by `identity: same` tables and positions are kept, and it is "
            "the one from now on; take the line out then, as it lets every other server pass",
        )
    return ()


def _unknown_identity(verdict: Verdict, address: Address) -> tuple[Block, ...]:
    if verdict is not Verdict.UNKNOWN:
        return ()
    return (
        Block(
            code="identity-unknown",
            message=f"nobody could ask whether {address} is still the same server, so its tables may not fit it",
            remedy="Plan again without --no-refresh while the server can be reached.",
        ),
    )


def _used_by_unmanaged(context: Context, verdict: Verdict, address: Address) -> tuple[Block, ...]:
    """Block another server below a job that no file declares: it would go on, and nothing rebuilds its tables."""
    if verdict is not Verdict.OTHER:
        return ()
    users = [
        name
        for name, job in sorted(context.stored.jobs.items())
        if name not in context.desired.jobs
        and not is_leaving(context, name)
        and job.spec.get(address.kind) == address.name
        and any(s.phase.has_data for s in job.streams.values())
    ]
    if not users:
        return ()
    return (
        Block(
            code="used-by-unmanaged",
            message=f"{address} is another one now, and {users[0]}, which no file declares, goes on with it"
            + (f", as {counted(len(users) - 1, 'more job')} do" if users[1:] else "")
            + ": its tables and positions are those of the old one",
            remedy=f"Declare the job again, or let it go: {{kind: Removed, address: {users[0]}, data: keep}}",
        ),
    )


def reach(context: Context, kind: Kind, name: str) -> str:
    """Return how much uses the endpoint: `used by 41 jobs, 612 streams, 3 syncs running`."""
    jobs = [j for j in context.desired.jobs.values() if getattr(j, kind) == name]
    if not jobs:
        return "used by no job"
    streams = sum(len(j.streams) for j in jobs)
    running = sum(j.name in context.observed.running for j in jobs)
    parts = [counted(len(jobs), "job"), counted(streams, "stream")]
    if running:
        parts.append(f"{counted(running, 'sync')} running")
    return "used by " + ", ".join(parts)


def removed_endpoints(context: Context, kind: Kind, unmanaged: Collection[str]) -> list[Remove]:
    """Return the removal of each stored endpoint that no file declares and no unmanaged job uses."""
    declared = context.desired.sources if kind == "source" else context.desired.destinations
    used = {context.stored.jobs[name].spec.get(kind) for name in unmanaged}
    return [
        Remove(
            address=Address(kind, name),
            before=endpoint.spec,
            reasons=(Reason.NOT_IN_CONFIG,),
            serial=endpoint.serial,
        )
        for name, endpoint in sorted(_stored(context.stored, kind).items())
        if name not in declared and name not in used
    ]

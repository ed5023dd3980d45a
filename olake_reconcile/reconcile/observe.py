"""Looking: values behind references, what servers say they are, what tables hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.catalogue import SourceStream
from olake_reconcile.model.codec import read_destination
from olake_reconcile.model.desired import Desired
from olake_reconcile.model.endpoint import Destination
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.observed import Observed, SeenStreams, ValueState
from olake_reconcile.model.run import RunStatus, RunType
from olake_reconcile.model.stored import Stored
from olake_reconcile.model.table import TableAbsent, TablePlace, TableStatus, TableUnknown
from olake_reconcile.plan.consent import unused_approvals
from olake_reconcile.plan.moves import planned_moves
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan, affected_places, build_plan
from olake_reconcile.plan.waiting import with_waiting
from olake_reconcile.reconcile.catalogues import Cached, source_settings
from olake_reconcile.reconcile.endpoints import open_destination, value_states
from olake_reconcile.reconcile.judge import judge
from olake_reconcile.reconcile.services import Services
from olake_reconcile.secrets import UnsetReference


def make_plan(
    services: Services,
    desired: Desired,
    catalogues: Mapping[str, Cached],
    options: Options,
    *,
    connect: bool,
) -> tuple[Plan, list[Diagnostic]]:
    """Read what is stored, look at what it concerns, and return the plan with warnings found on the way.

    With `connect` false nothing is connected to, and what the destination would tell is unknown.
    """
    stored = _without_expired_holds(services.store.read(), services.clock.now())
    options = replace(options, environment=services.environment)
    renamed, _ = planned_moves(desired, stored)
    observed = _observe(services, desired, renamed, catalogues)
    if not connect:
        plan = build_plan(desired, stored, observed, options)
        return _with_warnings(services, (desired, renamed, options), plan, observed.warnings)
    identities, warnings = _destination_identities(services, desired)
    observed = replace(
        observed,
        identities={**observed.identities, **identities},
        warnings=(*observed.warnings, *warnings),
    )
    renamed, _ = planned_moves(desired, stored, observed.identities)
    # Only what the plan concerns is looked at: a workspace may have 20,000 tables.
    first = build_plan(desired, stored, observed, options)
    tables, more = _tables(services, desired, renamed, affected_places(first, renamed, desired))
    gone, bereft = _gone(services, desired, renamed, identities)
    observed = replace(observed, tables={**dict.fromkeys(gone, TableAbsent()), **tables}, bereft=bereft)
    plan = build_plan(desired, stored, observed, options)
    return _with_warnings(services, (desired, renamed, options), plan, [*observed.warnings, *more])


def _with_warnings(
    services: Services,
    context: tuple[Desired, Stored, Options],
    plan: Plan,
    found: Sequence[Diagnostic],
) -> tuple[Plan, list[Diagnostic]]:
    desired, stored, options = context
    said = judge(services, desired, stored, plan, options)
    plan = with_waiting(said.plan, stored, desired.project, services.clock.now())
    found = [*found, *said.warnings]
    # What a narrowed plan leaves out may be what an approval is for.
    unused = [] if plan.narrowed else unused_approvals(desired.approvals, plan.actions)
    warnings = [*found, *unused]
    if (options.prune or desired.project.safety.prune) and plan.unmanaged and not desired.jobs:
        text = "the files declare no job at all: nothing is pruned, lest an empty folder deletes everything"
        hint = "let jobs go one by one with kind: Removed"
        warnings.append(Diagnostic(Severity.WARNING, "empty-workspace", text, hint=hint))
    return plan, warnings


def _without_expired_holds(stored: Stored, now: datetime) -> Stored:
    """The planner knows no time: what it sees as held is held now."""
    expired = {n: j for n, j in stored.jobs.items() if j.hold and not j.held_at(now)}
    if not expired:
        return stored
    freed = {n: j.model_copy(update={"hold": None}) for n, j in expired.items()}
    return stored.model_copy(update={"jobs": {**stored.jobs, **freed}})


def _observe(
    services: Services, desired: Desired, stored: Stored, catalogues: Mapping[str, Cached]
) -> Observed:
    streams: dict[str, Mapping[StreamId, SourceStream]] = {}
    identities: dict[Address, str] = {}
    for name, cached in catalogues.items():
        if name in desired.sources:
            # A catalogue of other settings says nothing of the server that these ones lead to.
            if cached.source == source_settings(desired.sources[name], services.secrets):
                identities[Address("source", name)] = cached.catalogue.identity
            streams[name] = cached.catalogue.streams
    runs = [r for r in services.store.runs(limit=1000) if r.type is not RunType.MAINTENANCE]
    running = frozenset(r.job for r in runs if r.status is RunStatus.RUNNING)
    values, warnings = _values(services, desired, stored)
    return Observed(
        values=values,
        identities=identities,
        streams=SeenStreams(streams),
        running=running,
        warnings=tuple(warnings),
    )


def _values(
    services: Services, desired: Desired, stored: Stored
) -> tuple[dict[Address, Mapping[str, ValueState]], list[Diagnostic]]:
    key = services.store.key()
    found: dict[Address, Mapping[str, ValueState]] = {}
    warnings = []
    for kind, declared, before in (
        ("source", desired.sources, stored.sources),
        ("destination", desired.destinations, stored.destinations),
    ):
        for name, endpoint in declared.items():
            if key is None or name not in before:
                continue
            address = Address("source" if kind == "source" else "destination", name)
            states = value_states(endpoint, before[name].values, services.secrets, key)
            found[address] = states
            unknown = sorted(p for p, s in states.items() if s is ValueState.UNKNOWN)
            if unknown:
                warnings.append(
                    Diagnostic(
                        Severity.WARNING,
                        "value-unknown",
                        f"{address}: {', '.join(unknown)} (unknown, not compared): not set here",
                    )
                )
    return found, warnings


def _destination_identities(
    services: Services, desired: Desired
) -> tuple[dict[Address, str], list[Diagnostic]]:
    found, warnings = {}, []
    for name, destination in sorted(desired.destinations.items()):
        try:
            opened = open_destination(destination, services.secrets, services.root)
            found[Address("destination", name)] = services.engine.check_destination(opened).identity
        except UnsetReference:
            continue
        except ReconcileError as error:
            text = services.secrets.redact(f"destination.{name}: {error.summary}")
            warnings.append(Diagnostic(Severity.WARNING, "destination-unreachable", text))
    return found, warnings


def _tables(
    services: Services, desired: Desired, stored: Stored, places: Mapping[str, set[TablePlace]]
) -> tuple[dict[tuple[str, TablePlace], TableStatus], list[Diagnostic]]:
    found: dict[tuple[str, TablePlace], TableStatus] = {}
    warnings: list[Diagnostic] = []
    for name, wanted in sorted(places.items()):
        destination = _destination(desired, stored, name)
        if destination is None:
            continue
        try:
            opened = open_destination(destination, services.secrets, services.root)
            ordered = sorted(wanted, key=str)
            statuses = services.engine.observe(opened, ordered)
        except ReconcileError:
            continue  # already a warning: its identity could not be asked either
        for place, status in statuses.items():
            found[name, place] = status
            if isinstance(status, TableUnknown):
                text = services.secrets.redact(f"table {place} in destination.{name}: {status.reason}")
                warnings.append(Diagnostic(Severity.WARNING, "table-unknown", text))
    return found, warnings


def _gone(
    services: Services, desired: Desired, stored: Stored, identities: Mapping[Address, str]
) -> tuple[set[tuple[str, TablePlace]], frozenset[str]]:
    """Return the tables that positions rely on and that are gone, and the jobs that write to them.

    Every plan looks for them: the catalog is asked once, however many there are.
    """
    relied: dict[str, dict[TablePlace, str]] = {}
    for name in stored.jobs.keys() & desired.jobs.keys():
        places = stored.jobs[name].relied_on
        destination = str(stored.jobs[name].spec.get("destination"))
        relied.setdefault(destination, {}).update(dict.fromkeys(places, name))
    found: set[tuple[str, TablePlace]] = set()
    jobs: set[str] = set()
    for name, writers in sorted(relied.items()):
        endpoint = _destination(desired, stored, name)
        before = stored.destinations.get(name)
        same = before is not None and before.identity == identities.get(Address("destination", name))
        if endpoint is None or not writers or not same:
            continue  # another catalog says nothing of these tables
        try:
            opened = open_destination(endpoint, services.secrets, services.root)
            missing = services.engine.missing(opened, list(writers))
        except ReconcileError:
            continue  # already a warning: its identity could not be asked either
        found |= {(name, place) for place in missing}
        jobs |= {writers[place] for place in missing}
    return found, frozenset(jobs)


def _destination(desired: Desired, stored: Stored, name: str) -> Destination | None:
    if name in desired.destinations:
        return desired.destinations[name]
    before = stored.destinations.get(name)
    return read_destination(name, before.spec) if before else None


def differs_from_files(services: Services, desired: Desired, job: str) -> bool:
    """Whether the files of a stored job say something else than what was applied. Connects to nothing."""
    plan = build_plan(desired, services.store.read(), Observed())
    return any(a.address.name == job and a.address.kind in ("job", "stream") for a in plan.changes)

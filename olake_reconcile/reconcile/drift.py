"""Looking for drift: what is stored beside what tables and catalogues show. Metadata only; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.catalogue import SourceStream
from olake_reconcile.model.codec import read_destination
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.observed import Observed, SeenStreams
from olake_reconcile.model.project import Project
from olake_reconcile.model.stored import Stored, StreamPhase
from olake_reconcile.model.table import TablePlace, TableStatus, TableUnknown
from olake_reconcile.plan.drift import DriftReport
from olake_reconcile.plan.find_drift import find_drift
from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.catalogues import Cached
from olake_reconcile.reconcile.endpoints import open_destination
from olake_reconcile.reconcile.ledger import read_ledger
from olake_reconcile.reconcile.services import Services

#: A plan looks at the tables of so many streams; `drift` looks at all of them. A table's metadata is some milliseconds.
MOST_OF_A_PLAN = 1000


def look_for_drift(
    services: Services,
    project: Project,
    catalogues: Mapping[str, Cached],
    addresses: Sequence[Address] | None = None,
) -> tuple[DriftReport, list[Diagnostic]]:
    """Return what moved without us, of `addresses` (jobs, streams) or of everything, and what could not be seen."""
    stored = _stored(services)
    tables, warnings = _tables(services, stored, addresses)
    observed = Observed(
        tables=tables,
        identities={Address("source", n): c.catalogue.identity for n, c in _same(stored, catalogues).items()},
        streams=SeenStreams(_streams(_same(stored, catalogues))),
    )
    report = find_drift(
        stored,
        observed,
        project.uid,
        services.environment,
        addresses=addresses,
        heals=project.safety.self_heal,
        stopped=read_ledger(services.store).stopped if project.safety.self_heal else frozenset(),
    )
    return report, warnings


def with_drift(
    services: Services, project: Project, catalogues: Mapping[str, Cached], plan: Plan, *, connect: bool
) -> tuple[Plan, list[Diagnostic]]:
    """Return the plan with the drift of what it is about, as far as that costs little."""
    stored = _stored(services)
    addresses = _of(plan) if plan.narrowed else None
    streams = sum(job.present for job in stored.jobs.values())
    if connect and (streams <= MOST_OF_A_PLAN or addresses is not None):
        report, warnings = look_for_drift(services, project, catalogues, addresses)
        # What did not answer is a warning already: looking again would see no more.
        return plan.model_copy(update={"drift": DriftReport(found=report.found)}), warnings
    held = find_drift(
        stored,
        Observed(),
        project.uid,
        services.environment,
        addresses=[Address("job", n) for n, j in stored.jobs.items() if j.hold is not None],
    )
    unseen = streams if connect else 0
    report = DriftReport(found=held.found, tables_unseen=unseen, streams_unseen=unseen)
    return plan.model_copy(update={"drift": report}), []


def _of(plan: Plan) -> list[Address]:
    """What a narrowed plan is about: of the rest nothing is said."""
    return [a.address for a in plan.actions if a.address.kind in ("job", "stream")]


def _stored(services: Services) -> Stored:
    """Return the state without holds that have run out."""
    stored, now = services.store.read(), services.clock.now()
    jobs = {
        name: job.model_copy(update={"hold": None}) if job.hold and not job.held_at(now) else job
        for name, job in stored.jobs.items()
    }
    return stored.model_copy(update={"jobs": jobs})


def _same(stored: Stored, catalogues: Mapping[str, Cached]) -> dict[str, Cached]:
    """Return the catalogues of the servers that we replicate from: another server's tables say nothing of ours."""
    return {
        name: cached
        for name, cached in catalogues.items()
        if name in stored.sources and stored.sources[name].identity in (None, cached.catalogue.identity)
    }


def _streams(catalogues: Mapping[str, Cached]) -> dict[str, Mapping[StreamId, SourceStream]]:
    return {name: cached.catalogue.streams for name, cached in catalogues.items()}


def _tables(
    services: Services, stored: Stored, addresses: Sequence[Address] | None
) -> tuple[dict[tuple[str, TablePlace], TableStatus], list[Diagnostic]]:
    found: dict[tuple[str, TablePlace], TableStatus] = {}
    warnings: list[Diagnostic] = []
    for name, places in sorted(_places(stored, addresses).items()):
        if name not in stored.destinations:
            continue
        try:
            destination = read_destination(name, stored.destinations[name].spec)
            opened = open_destination(destination, services.secrets, services.root)
            statuses = services.engine.observe(opened, sorted(places, key=str))
        except ReconcileError as error:
            warnings.append(_warning("destination-unreachable", f"destination.{name}: {error.summary}"))
            continue
        for place, status in statuses.items():
            if isinstance(status, TableUnknown):
                text = f"table {place} in destination.{name}: {status.reason}"
                warnings.append(_warning("table-unknown", text))
            else:
                found[name, place] = status
    redact = services.secrets.redact
    return found, [Diagnostic(w.severity, w.code, redact(w.message)) for w in warnings]


def _warning(code: str, text: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, text)


def _places(stored: Stored, addresses: Sequence[Address] | None) -> dict[str, set[TablePlace]]:
    chosen = None if addresses is None else set(addresses)
    found: dict[str, set[TablePlace]] = {}
    for name, job in stored.jobs.items():
        whole = chosen is None or Address("job", name) in chosen
        for id_, stream in job.streams.items():
            if stream.phase is StreamPhase.REMOVED:
                continue
            if whole or Address.of_stream(name, id_) in (chosen or ()):
                found.setdefault(str(job.spec.get("destination")), set()).add(stream.place)
    return found

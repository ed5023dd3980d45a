"""Apply: do what the plan says, journaled, so that it can be killed at any moment (design §6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.errors import Blocked, PartlyApplied, ReconcileError, StalePlan, Unreachable
from olake_reconcile.model.codec import read_destination, read_source
from olake_reconcile.model.endpoint import Endpoint, Source, show_endpoint
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.journal import ApplyRecord, ApplyStatus, StepKind
from olake_reconcile.model.names import Address
from olake_reconcile.model.stored import Stored, StoredEndpoint
from olake_reconcile.plan.actions import Action, Create, Remove, Update
from olake_reconcile.plan.document import plan_document, plan_hash, read_plan
from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.apply_job import apply_job
from olake_reconcile.reconcile.endpoints import open_destination, open_source, value_fingerprints
from olake_reconcile.reconcile.ids import run_id, uid
from olake_reconcile.reconcile.journal import Journal, OnStep
from olake_reconcile.reconcile.leases import HeldLease, held
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import APPLY_LOCK


@dataclass
class ApplyResult:
    """How an apply ended: `failed` maps jobs to why; the others are applied."""

    apply_id: str
    applied: list[str] = field(default_factory=list)
    failed: dict[str, ReconcileError] = field(default_factory=dict)
    warnings: list[Diagnostic] = field(default_factory=list)


def apply_plan(
    services: Services,
    make: Callable[[], Plan],
    on_step: OnStep,
    *,
    sync: bool = True,
    lock_timeout: float = 0,
) -> ApplyResult:
    """Take the apply lock, finish what a killed apply left, then do what the plan of `make` says.

    `make` is called under the lock, so that the plan is of what is stored now. Raises `Locked`, `Blocked`
    and `StalePlan` before the first write; `PartlyApplied` when some jobs failed.
    """
    services.store.create()
    with held(services, APPLY_LOCK, "apply", wait=lock_timeout) as lock:
        recover(services, lock, on_step)
        plan = make()
        _refuse_blocked(plan)
        _refuse_stale(plan, services.store.read())
        return _apply(services, lock, plan, on_step, sync=sync)


def _refuse_blocked(plan: Plan) -> None:
    blocked = [a for a in plan.actions if a.blocked]
    if not blocked:
        return
    first = blocked[0].blocked[0]
    others = f" (and {len(blocked) - 1} more: see the plan)" if len(blocked) > 1 else ""
    raise Blocked(
        f"{blocked[0].address.short} is blocked{others}: {first.message}",
        why="Nothing was applied.",
        remedy=first.remedy,
    )


def _refuse_stale(plan: Plan, stored: Stored) -> None:
    for action in plan.changes:
        now = _serial(stored, action.address)
        if now != action.serial:
            raise StalePlan(
                f"{action.address} was changed since the plan was made",
                why="The plan may say something else now. Nothing was applied.",
                remedy="Make the plan again.",
            )


def _serial(stored: Stored, address: Address) -> int:
    match address.kind:
        case "source":
            record: StoredEndpoint | None = stored.sources.get(address.name)
        case "destination":
            record = stored.destinations.get(address.name)
        case "job" | "stream":
            job = stored.jobs.get(address.name)
            return job.serial if job else 0
    return record.serial if record else 0


def _apply(services: Services, lock: HeldLease, plan: Plan, on_step: OnStep, *, sync: bool) -> ApplyResult:
    record = ApplyRecord(
        id=run_id(services.clock.now()),
        plan={**plan_document(plan), "sync": sync},
        plan_hash=plan_hash(plan),
        who=services.who,
        holder=services.holder,
        status=ApplyStatus.RUNNING,
        started=services.clock.now(),
    )
    result = ApplyResult(record.id)
    if not plan.changes:
        return result
    # Before the first write: every value that the apply needs can be had.
    endpoints = _endpoint_records(services, plan, result)
    services.store.begin_apply(record, lock.lease)
    journal = Journal(services, record.id, lock, on_step)
    _store_endpoints(services, journal, lock, endpoints)
    for name, actions in _by_job(plan):
        try:
            apply_job(services, journal, lock, plan.project, name, actions, sync=sync)
        except ReconcileError as error:
            result.failed[name] = error
        else:
            result.applied.append(name)
    _remove_endpoints(services, journal, lock, plan)
    _finish(services, lock, journal, plan, result)
    return result


def _finish(services: Services, lock: HeldLease, journal: Journal, plan: Plan, result: ApplyResult) -> None:
    if not result.failed:
        services.store.end_apply(result.apply_id, ApplyStatus.COMPLETED, services.clock.now(), "", lock.lease)
        return
    failed = {str(a.address) for name, actions in _by_job(plan) if name in result.failed for a in actions}
    # A job past its first destructive step must be rolled forward: the apply stays open for that.
    if not journal.passed_no_return(sorted(failed)):
        status = ApplyStatus.PARTLY if result.applied else ApplyStatus.FAILED
        names = ", ".join(sorted(result.failed))
        services.store.end_apply(
            result.apply_id, status, services.clock.now(), f"failed: {names}", lock.lease
        )
    name, error = next(iter(sorted(result.failed.items())))
    if len(result.failed) == 1 and not result.applied:
        raise error
    raise PartlyApplied(
        f"{len(result.applied)} jobs applied, {len(result.failed)} failed; {name}: {error.summary}",
        why="The jobs are independent: those that are applied stay so.",
        remedy="Run `olake-reconcile apply` again: it goes on where this one stopped.",
    ) from error


def _by_job(plan: Plan) -> list[tuple[str, list[Action]]]:
    of_jobs = [a for a in plan.changes if a.address.kind in ("job", "stream")]
    return [(name, list(actions)) for name, actions in groupby(of_jobs, key=lambda a: a.address.name)]


def _endpoint_records(
    services: Services, plan: Plan, result: ApplyResult
) -> list[tuple[Address, StoredEndpoint]]:
    key = services.store.key()
    if key is None:
        raise AssertionError("the store was created without a key")
    stored = services.store.read()
    records = []
    for action in plan.changes:
        if action.address.kind not in ("source", "destination") or not isinstance(action, Create | Update):
            continue
        name = action.address.name
        read = read_source if action.address.kind == "source" else read_destination
        endpoint: Endpoint = read(name, action.after)
        before = (stored.sources if isinstance(endpoint, Source) else stored.destinations).get(name)
        identity, warning = _identity(services, endpoint)
        result.warnings += warning
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
    return records


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


def _store_endpoints(
    services: Services, journal: Journal, lock: HeldLease, records: Sequence[tuple[Address, StoredEndpoint]]
) -> None:
    for address, record in records:
        kind = "source" if address.kind == "source" else "destination"
        journal.do(
            StepKind.ENDPOINT_STORED,
            str(address),
            lambda kind=kind, record=record: services.store.save_endpoint(kind, record, lock.lease),  # type: ignore[misc]
        )


def _remove_endpoints(services: Services, journal: Journal, lock: HeldLease, plan: Plan) -> None:
    for action in plan.changes:
        if isinstance(action, Remove) and action.address.kind in ("source", "destination"):
            kind = "source" if action.address.kind == "source" else "destination"
            journal.do(
                StepKind.ENDPOINT_REMOVED,
                str(action.address),
                lambda kind=kind, name=action.address.name: services.store.remove_endpoint(  # type: ignore[misc]
                    kind, name, lock.lease
                ),
            )


def recover(services: Services, lock: HeldLease, on_step: OnStep) -> list[str]:
    """Finish or abandon the applies that were killed; return the jobs that were rolled forward.

    A job past its first destructive step is rolled forward exactly as consented; others are left as they were.
    """
    rolled: list[str] = []
    for record in services.store.applies(ApplyStatus.RUNNING):
        plan = read_plan(record.plan)
        journal = Journal(services, record.id, lock, on_step, services.store.journal(record.id))
        forward = [
            (name, actions)
            for name, actions in _by_job(plan)
            if journal.passed_no_return([str(a.address) for a in actions])
        ]
        for name, actions in forward:
            apply_job(
                services, journal, lock, plan.project, name, actions, sync=bool(record.plan.get("sync", True))
            )
            rolled.append(name)
        status = ApplyStatus.PARTLY if forward else ApplyStatus.ABANDONED
        services.store.end_apply(record.id, status, services.clock.now(), "killed", lock.lease)
    return rolled


def unfinished(services: Services) -> bool:
    """Whether a killed apply waits to be finished."""
    return bool(services.store.applies(ApplyStatus.RUNNING, limit=1))

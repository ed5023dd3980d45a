"""Apply: do what the plan says, journaled, so that it can be killed at any moment (design §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from olake_reconcile.diagnostics import Diagnostic
from olake_reconcile.errors import Blocked, Interrupted, Locked, PartlyApplied, ReconcileError, StalePlan
from olake_reconcile.model.journal import ApplyRecord, ApplyStatus
from olake_reconcile.model.names import Address
from olake_reconcile.model.stored import Stored, StoredEndpoint
from olake_reconcile.plan.actions import Action, Move
from olake_reconcile.plan.consent import line_to_paste
from olake_reconcile.plan.document import plan_document, plan_hash, read_plan
from olake_reconcile.plan.effects import Reason
from olake_reconcile.plan.freeing import Waits, in_turn, waits
from olake_reconcile.plan.moves import after_moves
from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.apply_endpoints import endpoint_records, remove_endpoints, store_endpoints
from olake_reconcile.reconcile.apply_job import JobApply, never
from olake_reconcile.reconcile.apply_moves import make_moves
from olake_reconcile.reconcile.apply_removal import work_on
from olake_reconcile.reconcile.ids import run_id
from olake_reconcile.reconcile.journal import Journal, OnStep
from olake_reconcile.reconcile.leases import HeldLease, held
from olake_reconcile.reconcile.record import record_detail
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import APPLY_LOCK

# Who holds an apply's lock: the project's for `apply`, the job's own for a clear by hand.
PROJECT_SCOPE, JOB_SCOPE = "project", "job"

_IDENTITY = {"source": Reason.SOURCE_IDENTITY, "destination": Reason.DESTINATION_IDENTITY}


@dataclass(frozen=True)
class ApplyOptions:
    """How to apply: `sync` makes rebuilt jobs due at once, `resume` is the hash of a saved plan, `detail` goes into its record."""

    sync: bool = True
    lock_timeout: float = 0
    resume: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    stop: Callable[[], bool] = never


@dataclass
class ApplyResult:
    """How an apply ended: `failed` maps jobs to why, `unfinished` are those of them with no way back."""

    apply_id: str
    applied: list[str] = field(default_factory=list)
    failed: dict[str, ReconcileError] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    warnings: list[Diagnostic] = field(default_factory=list)


def apply_plan(
    services: Services, make: Callable[[], Plan], on_step: OnStep, options: ApplyOptions | None = None
) -> ApplyResult:
    """Take the apply lock, finish what a killed apply left, then do what the plan of `make` says.

    `make` is called under the lock, so that the plan is of what is stored now. A killed apply of the very
    plan that `options.resume` names is gone on with. Raises `Locked`, `Blocked` and `StalePlan` before the first
    write; `PartlyApplied` when some jobs failed; `Interrupted` between two steps.
    """
    options = options or ApplyOptions()
    services.store.create()
    with held(services, APPLY_LOCK, "apply", wait=options.lock_timeout) as lock:
        resumed = _same_plan(services, options.resume)
        for error in recover(services, lock, on_step, leave=resumed).values():
            raise error  # a plan of what is half cleared would be of no state that anybody wants
        plan = make()
        refuse_blocked(plan)
        if resumed is None:
            stored = after_moves(plan.changes, services.store.read())
            _refuse_stale(plan.changes, stored)
            _refuse_moved_endpoints(plan, stored)
        return _apply(services, lock, plan, on_step, options, resumed)


def _same_plan(services: Services, wanted: str) -> ApplyRecord | None:
    if not wanted:
        return None
    found = services.store.applies(ApplyStatus.RUNNING)
    return next((record for record in found if record.plan_hash == wanted), None)


def refuse_blocked(plan: Plan) -> None:
    """Raise `Blocked` when something in the plan may not be done."""
    if plan.blocked:
        first = plan.blocked[0]
        line = line_to_paste(plan.actions, plan.asked, plan.blocked)
        raise Blocked(first.message, why="Nothing was applied.", remedy=line or first.remedy)
    blocked = [a for a in plan.actions if a.blocked]
    if not blocked:
        return
    first = blocked[0].blocked[0]
    others = f" (and {len(blocked) - 1} more: see the plan)" if len(blocked) > 1 else ""
    raise Blocked(
        f"{blocked[0].address.short} is blocked{others}: {first.message}",
        why="Nothing was applied.",
        remedy=line_to_paste(plan.actions, plan.asked, plan.blocked) or first.remedy,
    )


def _refuse_stale(actions: Sequence[Action], stored: Stored) -> None:
    for action in actions:
        if _serial(stored, action.address) != action.serial:
            raise StalePlan(
                f"{action.address} was changed since the plan was made",
                why="The plan may say something else now. Nothing was applied.",
                remedy="Make the plan again.",
            )


def _refuse_moved_endpoints(plan: Plan, stored: Stored) -> None:
    used = {name: serial for endpoints in plan.uses.values() for name, serial in endpoints.items()}
    for name, serial in used.items():
        kind, _, endpoint = name.partition(".")
        address = Address("source" if kind == "source" else "destination", endpoint)
        if _serial(stored, address) != serial:
            raise StalePlan(
                f"{address}, which the plan's jobs use, was changed since the plan was made",
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


def new_record(
    services: Services, plan: Plan, *, sync: bool, scope: str, detail: Mapping[str, Any] | None = None
) -> ApplyRecord:
    """Return the record of an apply that begins now."""
    return ApplyRecord(
        id=run_id(services.clock.now()),
        plan={**plan_document(plan), "sync": sync, "scope": scope},
        plan_hash=plan_hash(plan),
        who=services.who,
        holder=services.holder,
        status=ApplyStatus.RUNNING,
        started=services.clock.now(),
        detail=record_detail(services, plan, detail or {}),
    )


def _apply(
    services: Services,
    lock: HeldLease,
    plan: Plan,
    on_step: OnStep,
    options: ApplyOptions,
    resumed: ApplyRecord | None,
) -> ApplyResult:
    record = resumed or new_record(
        services, plan, sync=options.sync, scope=PROJECT_SCOPE, detail=options.detail
    )
    result = ApplyResult(record.id)
    if not plan.changes:
        return result
    found = services.store.journal(record.id) if resumed else ()
    # Before the first write: every value that the apply needs can be had.
    endpoints, result.warnings = endpoint_records(services, plan)
    if resumed is None:
        services.store.begin_apply(record, lock.lease)
    journal = Journal(services, record.id, lock, on_step, found)
    try:
        make_moves(services, journal, lock, plan, options.lock_timeout)
    except ReconcileError:
        # Renames that were made stay, and those that were not are in the next plan.
        services.store.end_apply(
            record.id, ApplyStatus.FAILED, services.clock.now(), "failed: rename", lock.lease
        )
        raise
    store_endpoints(services, journal, lock, endpoints)
    waiting = waits(plan.changes, plan.uses)
    for name, actions in by_job(plan):
        job = work_on(actions)(
            services, journal, lock, plan.project, name, actions, sync=options.sync, stop=options.stop
        )
        try:
            _refuse_waiting(name, result.failed, waiting)
            if resumed and not _is_past_return(services, journal, plan, job):
                _refuse_stale(actions, services.store.read(name))
            job.run()
        except Interrupted:
            raise  # the apply stays open: the next command finishes it
        except ReconcileError as error:
            result.failed[name] = error
            if _is_past_return(services, journal, plan, job):
                result.unfinished.add(name)
            else:
                job.abandon()
        else:
            result.applied.append(name)
    remove_endpoints(services, journal, lock, plan)
    _finish(services, lock, record, result)
    return result


def _refuse_waiting(job: str, failed: Iterable[str], waiting: Waits) -> None:
    """Raise `Blocked` for a job whose table was to be given up by one that could not be applied."""
    for other in sorted(waiting.get(job, set()).intersection(failed)):
        raise Blocked(
            f"{job} is to build a table that {other} gives up, and {other} could not be applied",
            remedy="Run `olake-reconcile apply` again: it goes on where this one stopped.",
        )


def _finish(services: Services, lock: HeldLease, record: ApplyRecord, result: ApplyResult) -> None:
    if not result.failed:
        services.store.end_apply(result.apply_id, ApplyStatus.COMPLETED, services.clock.now(), "", lock.lease)
        return
    # A job past its first destructive step must be rolled forward: the apply stays open for that.
    if not result.unfinished:
        status = ApplyStatus.PARTLY if result.applied else ApplyStatus.FAILED
        names = ", ".join(sorted(result.failed))
        why = {name: services.secrets.redact(error.summary) for name, error in sorted(result.failed.items())}
        services.store.end_apply(
            result.apply_id,
            status,
            services.clock.now(),
            f"failed: {names}",
            lock.lease,
            {**record.detail, "applied": result.applied, "failed": why},
        )
    name, error = min(result.failed.items())
    if len(result.failed) == 1 and not result.applied:
        raise error
    raise PartlyApplied(
        f"{len(result.applied)} jobs applied, {len(result.failed)} failed; {name}: {error.summary}",
        why="The jobs are independent: those that are applied stay so.",
        remedy="Run `olake-reconcile apply` again: it goes on where this one stopped.",
    ) from error


def by_job(plan: Plan) -> list[tuple[str, list[Action]]]:
    """Return the changes of jobs and streams, job by job, who gives up a table before who takes it.

    Renames have been made before.
    """
    of_jobs = [a for a in plan.changes if a.address.kind in ("job", "stream") and not isinstance(a, Move)]
    found: dict[str, list[Action]] = {}
    for name, actions in groupby(of_jobs, key=lambda a: a.address.name):
        found[name] = list(actions)

    return [(name, found[name]) for name in in_turn(found, waits(of_jobs, plan.uses))]


def recover(
    services: Services, lock: HeldLease, on_step: OnStep, leave: ApplyRecord | None = None
) -> dict[str, ReconcileError]:
    """Finish or abandon the applies that were killed; return the jobs that could not be finished, with why.

    A job past its first destructive step is rolled forward exactly as consented; others are left as they were.
    A clear by hand that is going on under its job's lease is left alone, and so is `leave`.
    """
    failed: dict[str, ReconcileError] = {}
    for record in services.store.applies(ApplyStatus.RUNNING):
        if leave is None or record.id != leave.id:
            failed |= _recover(services, lock, on_step, record)
    return failed


def _recover(
    services: Services, lock: HeldLease, on_step: OnStep, record: ApplyRecord
) -> dict[str, ReconcileError]:
    plan = read_plan(record.plan)
    own_lease = record.plan.get("scope") == JOB_SCOPE
    failed: dict[str, ReconcileError] = {}
    rolled = False
    with ExitStack() as stack:
        try:
            for name, _ in by_job(plan) if own_lease else ():
                stack.enter_context(held(services, f"job:{name}", "finish a clear"))
        except Locked:
            return {}  # the clear is still going on
        if own_lease and not any(r.id == record.id for r in services.store.applies(ApplyStatus.RUNNING)):
            return {}  # it was going on a moment ago, and has ended by itself
        journal = Journal(services, record.id, lock, on_step, services.store.journal(record.id))
        for name, actions in by_job(plan):
            sync = bool(record.plan.get("sync", True))
            job = work_on(actions)(services, journal, lock, plan.project, name, actions, sync=sync)
            if not _is_past_return(services, journal, plan, job):
                job.abandon()
                continue
            try:
                job.run_stopped() if own_lease else job.run()
            except ReconcileError as error:
                failed[name] = error  # jobs are independent: the others do not wait for its remedy
            else:
                rolled = True
        if not failed:
            status = ApplyStatus.PARTLY if rolled else ApplyStatus.ABANDONED
            services.store.end_apply(record.id, status, services.clock.now(), "killed", lock.lease)
    return failed


def _is_past_return(services: Services, journal: Journal, plan: Plan, job: JobApply) -> bool:
    """Whether a job must be finished: something is cleared, its settings are stored, or its endpoint is another server.

    The latter would be forgotten otherwise: the new server is what is stored, and no later plan sees a difference.
    """
    if journal.passed_no_return([str(a.address) for a in job.actions]) or job.is_stored():
        return True
    stored = services.store.read(job.name)
    settings = stored.jobs[job.name].spec if job.name in stored.jobs else {}
    reasons = {reason for action in job.actions for reason in action.reasons}
    return any(
        action.address.name == settings.get(action.address.kind)
        and _IDENTITY[action.address.kind] in reasons
        and _serial(stored, action.address) == action.serial + 1
        for action in plan.changes
        if action.address.kind in _IDENTITY
    )


def unfinished(services: Services) -> bool:
    """Whether a killed apply waits to be finished."""
    return bool(services.store.applies(ApplyStatus.RUNNING, limit=1))

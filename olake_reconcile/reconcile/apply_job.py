"""The steps of one job in an apply (design §6), in the order that model/journal.py fixes.

Each may be repeated: it looks at what is there before it acts, so a crash between acting and journaling the end
is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from zoneinfo import ZoneInfo

from olake_reconcile.engine.base import ClearTicket, OpenDestination
from olake_reconcile.errors import Locked, ReconcileError
from olake_reconcile.model.codec import read_destination, read_job
from olake_reconcile.model.journal import StepKind
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.run import Run, RunStatus, RunType, StreamOutcome, Trigger
from olake_reconcile.model.schedule import next_due
from olake_reconcile.model.stored import StoredJob
from olake_reconcile.model.table import Owner
from olake_reconcile.plan.actions import Action, Create, Rebuild, Remove, Update, is_clear
from olake_reconcile.reconcile.endpoints import open_destination
from olake_reconcile.reconcile.ids import uid
from olake_reconcile.reconcile.journal import Journal
from olake_reconcile.reconcile.leases import HeldLease, held
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.settle import settled_job
from olake_reconcile.state.base import LEASE_SECONDS

# How long a running sync gets to stop: a minute at most (design §7), and the expiry of a lost one's lease.
CANCEL_SECONDS = 60 + LEASE_SECONDS


def apply_job(
    services: Services,
    journal: Journal,
    lock: HeldLease,
    project: str,
    name: str,
    actions: Sequence[Action],
    *,
    sync: bool,
) -> None:
    """Do everything that the plan says of one job. Raises what the steps raise; what was done stays done."""
    stored = services.store.read(name).jobs.get(name)
    subject = str(Address("job", name))
    clears = [a for a in actions if is_clear(a)]
    if not clears:
        _store(services, journal, lock, name, actions)
        if _reschedules(actions):
            journal.do(StepKind.SCHEDULE_RESTORED, subject, lambda: _reschedule(services, name))
        return
    if stored is None:
        raise AssertionError(f"a clear of job {name}, which was never stored")
    journal.do(
        StepKind.SCHEDULE_STOPPED,
        subject,
        lambda: services.store.set_due(name, None, "clearing the destination"),
    )
    with _stopped(services, journal, name):
        _clear(services, journal, lock, project, stored, clears)
        _store(services, journal, lock, name, actions)
        journal.do(StepKind.SCHEDULE_RESTORED, subject, lambda: _reschedule(services, name))
        if sync and any(isinstance(a, Rebuild) for a in actions):
            journal.do(StepKind.MADE_DUE, subject, lambda: _make_due(services, name))


@contextmanager
def _stopped(services: Services, journal: Journal, name: str) -> Iterator[None]:
    """Hold the job's lease; a sync that holds it is cancelled, and waited for until it has really stopped."""
    lease = f"job:{name}"
    with ExitStack() as stack:
        try:
            stack.enter_context(held(services, lease, "apply"))
        except Locked:
            running = [r for r in services.store.runs(name) if r.status is RunStatus.RUNNING]
            if not running:
                raise
            journal.do(
                StepKind.RUN_CANCELLED,
                str(Address("job", name)),
                lambda: _cancel(services, running),
                {"runs": [r.id for r in running]},
            )
            stack.enter_context(held(services, lease, "apply", wait=CANCEL_SECONDS))
        yield


def _cancel(services: Services, runs: Sequence[Run]) -> None:
    for run in runs:
        services.store.request_cancel(run.id)


def _clear(
    services: Services,
    journal: Journal,
    lock: HeldLease,
    project: str,
    job: StoredJob,
    clears: Sequence[Action],
) -> None:
    """Clear the streams one by one, as a run of its own in the history."""
    destination = _destination(services, job)
    run = _begin_clear(services, f"{journal.apply_id}.{job.name}", job.name)
    for action in clears:
        stream_id = StreamId.parse(action.address.stream)
        stream = job.streams.get(stream_id)
        if stream is None:  # erased, and stored as such, before a crash
            continue
        owner = Owner(
            project=project,
            environment=services.environment,
            job=job.name,
            stream=stream.uid,
            generation=stream.generation,
        )
        subject = str(action.address)
        found = journal.detail(StepKind.STREAM_CLEARED, subject)
        if found is None:
            ticket = services.engine.prepare_clear(destination, stream.place, owner)
        else:
            ticket = ClearTicket.model_validate(found)
        journal.do(
            StepKind.STREAM_CLEARED,
            subject,
            lambda ticket=ticket: services.engine.clear(destination, ticket),  # type: ignore[misc]
            ticket.model_dump(mode="json"),
        )
        rows = action.impact.rows if isinstance(action, Rebuild | Remove) else None
        outcome = StreamOutcome(stream=stream_id, status=RunStatus.COMPLETED, rows=rows or 0)
        services.store.save_outcome(run, outcome)
    services.store.end_run(run, RunStatus.COMPLETED, services.clock.now())


def _begin_clear(services: Services, run_id: str, job: str) -> str:
    if services.store.run(run_id) is None:
        services.store.begin_run(
            Run(
                id=run_id,
                job=job,
                type=RunType.CLEAR,
                trigger=Trigger.APPLY,
                status=RunStatus.RUNNING,
                started=services.clock.now(),
                holder=services.holder,
            )
        )
    return run_id


def _destination(services: Services, job: StoredJob) -> OpenDestination:
    name = str(job.spec["destination"])
    stored = services.store.read(job.name).destinations.get(name)
    if stored is None:
        raise ReconcileError(
            f"destination.{name}, which holds the tables of {job.name}, is not in the state",
            remedy="Restore the state from a backup, or remove the job from it.",
        )
    return open_destination(read_destination(name, stored.spec), services.secrets, services.root)


def _store(
    services: Services, journal: Journal, lock: HeldLease, name: str, actions: Sequence[Action]
) -> None:
    journal.do(
        StepKind.SETTINGS_STORED,
        str(Address("job", name)),
        lambda: _save(services, lock, name, actions),
        {"made_from": actions[0].serial},
    )


def _save(services: Services, lock: HeldLease, name: str, actions: Sequence[Action]) -> None:
    stored = services.store.read(name).jobs.get(name)
    made_from = actions[0].serial
    if stored is not None and stored.serial == made_from + 1:
        return  # saved before a crash kept the journal from saying so
    services.store.save_job(settled_job(name, actions, stored, uid), lock.lease)


def _reschedules(actions: Sequence[Action]) -> bool:
    for action in actions:
        if action.address.kind != "job":
            continue
        match action:
            case Create():
                return True
            case Update():
                return any(c.setting in ("schedule", "timezone", "active") for c in action.changes)
            case _:
                pass
    return False


def _reschedule(services: Services, name: str) -> None:
    """Set the job's next run by its schedule; none when it is inactive or by hand only."""
    stored = services.store.read(name).jobs[name]
    job = read_job(name, stored.spec)
    due = None
    if job.active and job.schedule:
        due = next_due(job.schedule, services.clock.now(), ZoneInfo(job.timezone))
    services.store.set_due(name, due, "schedule" if due else "")


def _make_due(services: Services, name: str) -> None:
    if services.store.read(name).jobs[name].active:
        services.store.set_due(name, services.clock.now(), "apply")

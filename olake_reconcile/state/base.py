"""The port of the state store (design §9). One contract suite runs over every adapter.

Every method is one transaction: after it returns its effect survives a power cut, and when it raises
nothing has changed. Writers of a job hold its lease and pass it as the fence: a write whose lease
was taken over raises `Locked`, so that a process which slept through its expiry cannot undo its successor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from olake_reconcile.model.base import Model
from olake_reconcile.model.incident import Incidents
from olake_reconcile.model.journal import ApplyRecord, ApplyStatus, JournalStep
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.queue import Agenda, Serving
from olake_reconcile.model.run import Holder, Run, RunQuery, RunStatus, StreamOutcome
from olake_reconcile.model.stored import Hold, LastLoad, Stored, StoredEndpoint, StoredJob, StreamPhase

APPLY_LOCK = "apply"  # the project's one apply lock; a job's lease is called `job:<name>`

LEASE_SECONDS = 60  # expiry without a heartbeat
HEARTBEAT_SECONDS = 10
ALERTS_LOCK = "alerts"  # held by the one process that tells of incidents

EndpointKind = Literal["source", "destination"]


class Lease(Model):
    """A held lock. `token` grows with every acquisition of the name: it fences writes."""

    name: str
    token: int
    holder: Holder
    purpose: str
    since: datetime
    expires: datetime


class StateReader(Protocol):
    """Reading. An absent store reads as empty and is not created by it; one of an older format reads as it will be
    once a writer has brought it up to date, and stays as it is."""

    def read(self, job: str | None = None) -> Stored:
        """Return everything that was applied, in one consistent view; with `job`, of the jobs only that one.

        Everything may be 20,000 streams and a third of a second: who works on one job asks for that.
        """
        ...

    def key(self) -> bytes | None:
        """Return the project's own key for fingerprints of secrets, None before the first write."""
        ...

    def leases(self) -> Sequence[Lease]:
        """Return the leases that are held, expired ones included, by name."""
        ...

    def runs(self, job: str | None = None, limit: int = 20) -> Sequence[Run]:
        """Return runs with their streams, the latest first."""
        ...

    def run(self, run_id: str) -> Run | None:
        """Return a run; a unique beginning of its id is enough. None when there is no such run.

        Raises `UsageError` when several begin so.
        """
        ...

    def find_runs(self, query: RunQuery) -> Sequence[Run]:
        """Return the runs that a query asks for, with their streams, the latest first."""
        ...

    def unfinished_runs(self) -> Sequence[Run]:
        """Return the runs that are queued or running, with their streams, the oldest first."""
        ...

    def latest_runs(self, status: RunStatus | None = None) -> Mapping[str, Run]:
        """Return the latest run of each stored job, of that status if one is given, without its streams."""
        ...

    def known_runs(self, ids: Iterable[str]) -> frozenset[str]:
        """Return those of `ids` that are stored."""
        ...

    def applies(self, status: ApplyStatus | None = None, limit: int = 20) -> Sequence[ApplyRecord]:
        """Return applies, the latest first."""
        ...

    def journal(self, apply_id: str) -> Sequence[JournalStep]:
        """Return the steps of an apply by `seq`; a step that ended is listed once, as done."""
        ...


class StateStore(StateReader, Protocol):
    """Reading and writing. Opening it for the first write creates it and brings an older format up to date."""

    def create(self) -> None:
        """Make the store ready for writing: create it or migrate it. Raises `StateUnusable`.

        Creates the fingerprint key when there is none. Done again it changes nothing.
        """
        ...

    # Leases

    def acquire(self, name: str, holder: Holder, purpose: str, now: datetime) -> Lease:
        """Take the lease if it is free or expired, or if its holder died on this host.

        Raises `Locked` naming holder, purpose and since when.
        """
        ...

    def renew(self, lease: Lease, now: datetime) -> Lease:
        """Push the expiry out. Raises `Locked` when somebody else has taken it."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it back; a lease that is no longer ours is left alone."""
        ...

    def force(self, name: str) -> Lease | None:
        """Take the lease away from whoever holds it; return what was held."""
        ...

    # What was applied

    def save_endpoint(self, kind: EndpointKind, endpoint: StoredEndpoint, fence: Lease) -> None:
        """Insert or replace. Raises `StalePlan` unless the stored serial is `endpoint.serial` (0: none);
        stores it as serial + 1."""
        ...

    def record_identity(
        self, kind: EndpointKind, name: str, identity: str, fence: Lease, *, before: str | None = None
    ) -> None:
        """Store what a server says it is, in place of `before` (None: nothing was recorded yet) and of nothing else.

        The serial stays: no setting changed.
        """
        ...

    def remove_endpoint(self, kind: EndpointKind, name: str, fence: Lease) -> None:
        """Remove it; absent is fine. Raises `Blocked` while a stored job uses it."""
        ...

    def save_job(self, job: StoredJob, fence: Lease) -> None:
        """Insert or replace the job and all its streams at once; due time and hold stay as they are stored.

        The progress of a stream (phase, position, last load) belongs to its runs: it stays as it is stored as long
        as the generation is the same, but for the phase `removed`. So a job may be saved while it syncs.
        Raises `StalePlan` unless the stored serial is `job.serial` (0: none); stores it as serial + 1.
        """
        ...

    def remove_job(self, name: str, fence: Lease) -> None:
        """Remove a job and its streams; its runs stay in the history. Absent is fine."""
        ...

    def rename(self, before: Address, after: Address, fence: Lease) -> None:
        """Give what is stored at `before` the name `after`, with all that hangs on it; serials stay.

        A job takes its streams, hold, due time and runs along; of an endpoint the jobs that use it know the new name; a
        stream may go to another job, which begins as a copy of its old one if it is not stored yet. Done again it
        changes nothing. Raises `StalePlan` when both names are stored, or none is.
        """
        ...

    def save_progress(
        self,
        job: str,
        stream: StreamId,
        *,
        generation: int,
        phase: StreamPhase,
        position: Mapping[str, Any],
        phase_reason: str = "",
        last_load: LastLoad | None = None,
        synced_at: datetime | None = None,
        fence: Lease,
    ) -> bool:
        """Store how far a stream is; the job's serial stays, and so do the last load and the age of the data where
        none is given.

        Tells whether it was stored: a stream of another generation, removed meanwhile or unknown, is left alone.
        """
        ...

    # The journal

    def begin_apply(self, record: ApplyRecord, fence: Lease) -> None:
        """Store the record with its plan."""
        ...

    def step(self, step: JournalStep, fence: Lease) -> None:
        """Store a step as started, or mark it as done."""
        ...

    def end_apply(
        self,
        apply_id: str,
        status: ApplyStatus,
        now: datetime,
        error: str,
        fence: Lease,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Close the apply; what is known of it stays as it is stored where no `detail` is given."""
        ...

    # Runs and the schedule

    def set_due(
        self, job: str, due: datetime | None, reason: str, *, sooner: bool = False, attempt: int = 0
    ) -> None:
        """Set when the job runs next; with `sooner` only if that is earlier than what is stored.

        `attempt` is how many runs have failed before this one, when it is a retry.
        A job that is not stored owes no run: nothing happens.
        """
        ...

    def set_hold(self, job: str, hold: Hold | None) -> None:
        """Set or lift a hold. Raises `ReconcileError` for setting one on a job that is not stored."""
        ...

    def begin_run(self, run: Run) -> None:
        """Store a run as running or queued; a queued one may begin, once, and keeps what it was queued with.

        Raises `Interrupted` when it ended (was cancelled) while it waited.
        """
        ...

    def save_outcome(self, run_id: str, outcome: StreamOutcome) -> None:
        """Insert or replace one stream's outcome."""
        ...

    def end_run(
        self,
        run_id: str,
        status: RunStatus,
        now: datetime,
        error: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> Run:
        """Set the final status if the run has none yet; return the run as it is stored now.

        `detail` is added to what is known of it, whoever named the status.
        Whichever of finishing and cancelling comes first names the status.
        """
        ...

    def prune_runs(
        self, before: datetime, keep: int, *, job: str | None = None, limit: int = 500
    ) -> Sequence[str]:
        """Remove finished runs that began before `before` and are not among the latest `keep` of their job.

        The last one that completed, of each type, stays. At most `limit` at once; returns their ids.
        """
        ...

    def prune_applies(self, before: datetime, keep: int, *, limit: int = 500) -> int:
        """Remove ended applies, with their journals, that began before `before` and are not the latest `keep`.

        An apply that is unfinished stays, whatever its age. Returns how many went.
        """
        ...

    # Alerts

    def incidents(self) -> Incidents:
        """Return what was stored last. What a later release wrote and this one cannot read counts as nothing."""
        ...

    def save_incidents(self, incidents: Incidents, fence: Lease) -> None:
        """Replace what is stored."""
        ...

    # The queue

    def agenda(self, now: datetime) -> Agenda:
        """Return what there is to do at `now`, in one consistent view. Cheap: it is asked every second."""
        ...

    def serve(self, servings: Sequence[Serving]) -> Sequence[str]:
        """Queue runs for due times and move these on; return the jobs for which this was done.

        Not done where a job is not due at `due` any more, or would have two unfinished syncs: somebody was faster.
        """
        ...

    def claim(self, run_ids: Collection[str], holder: Holder, seen: Agenda) -> Sequence[str]:
        """Take queued runs for starting; return those taken.

        None when any run has begun or been taken since `seen`: what was counted against the limits is no longer so.
        One that is taken already changes hands: the caller knows that its holder is dead.
        """
        ...

    def unclaim(self, run_id: str, holder: Holder) -> None:
        """Put a run that did not begin back among those that wait; another's is left alone."""
        ...

    def request_cancel(self, run_id: str) -> bool:
        """Ask a run to stop; tell whether it was still queued or running."""
        ...

    def cancel_requested(self, run_id: str) -> bool:
        """Whether somebody asked the run to stop. Cheap: it is asked often."""
        ...

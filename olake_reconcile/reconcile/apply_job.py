"""The steps of one job in an apply (design §6), in the order that model/journal.py fixes.

Each may be repeated: it looks at what is there before it acts, so a crash between acting and journaling the end
is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from olake_reconcile.engine.base import ClearTicket, OpenDestination
from olake_reconcile.errors import Interrupted, ReconcileError, StalePlan
from olake_reconcile.model.codec import read_destination
from olake_reconcile.model.journal import StepKind
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.run import Run, RunStatus, RunType, StreamOutcome, Trigger
from olake_reconcile.model.stored import StoredJob, StoredStream
from olake_reconcile.model.table import Owner
from olake_reconcile.plan.actions import Action, Import, Rebuild, Remove, Update, is_clear
from olake_reconcile.plan.effects import STREAM_EFFECTS, Effect
from olake_reconcile.reconcile.adopt import adopt_tables, destination_name, with_uids
from olake_reconcile.reconcile.apply_schedule import JobSchedule, reschedules
from olake_reconcile.reconcile.endpoints import open_destination
from olake_reconcile.reconcile.ids import uid
from olake_reconcile.reconcile.journal import Journal
from olake_reconcile.reconcile.leases import HeldLease
from olake_reconcile.reconcile.places import moves, refuse_taken_places
from olake_reconcile.reconcile.running import RunningSync
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.settle import settled_job


def never() -> bool:
    """Nobody asks to stop."""
    return False


@dataclass(frozen=True)
class JobApply:
    """What a plan says of one job, and what is needed to do it.

    `fence` is the lease under which the job's records are written. `stop` is asked between two streams: a clear
    that has begun is finished, the rest stays journaled. With `sync` a rebuilt job is made due at once. `wait` is
    how many seconds a clear of the job that is going on gets to end.
    """

    services: Services
    journal: Journal
    fence: HeldLease
    project: str
    name: str
    actions: Sequence[Action]
    sync: bool = True
    trigger: Trigger = Trigger.APPLY
    stop: Callable[[], bool] = never
    wait: float = 0

    @property
    def _subject(self) -> str:
        return str(Address("job", self.name))

    @property
    def clear_run(self) -> str:
        """The id of the run that stands for the clear in the history."""
        return f"{self.journal.apply_id}.{self.name}"

    @property
    def clears(self) -> list[Action]:
        """The actions that clear data."""
        return [a for a in self.actions if is_clear(a)]

    def run(self) -> None:
        """Do everything. Raises what the steps raise; what was done stays done."""
        if not self.clears:
            with self.running.stopped() if self._reshaped else self.running.not_clearing() as syncing:
                self._refuse_loaded()
                self._store(syncing=syncing)
                if reschedules(self.actions):
                    self.schedule.restore()
                if self._makes_due:  # built anew elsewhere, the old table stays
                    self.schedule.make_due()
            return
        if self._is_finished():
            return  # killed after the last step: a sync that runs by now has nothing to do with it
        self.schedule.stop()
        with self.running.stopped():
            self._refuse_loaded()
            self._refuse_taken()
            self.run_stopped()

    @property
    def _reshaped(self) -> list[StreamId]:
        """The streams that never synced and get other settings to load with: no sync may be loading them now."""
        deciding = (Effect.REBUILD, Effect.REBUILD_IF_INCREMENTAL, Effect.MOVE)
        return [
            StreamId.parse(a.address.stream)
            for a in self.actions
            if isinstance(a, Update) and a.address.kind == "stream"
            if any(STREAM_EFFECTS[c.setting.split(".")[0]] in deciding for c in a.changes)
        ]

    def _refuse_loaded(self) -> None:
        """Raise `StalePlan` when a stream that never had synced has begun to load: its table must be cleared now."""
        stored = self._stored()
        subjects = [str(a.address) for a in self.actions]
        if stored is None or self.journal.passed_no_return(subjects) or self.is_stored():
            return
        for stream in self._reshaped:
            if stream in stored.streams and stored.streams[stream].phase.has_data:
                raise StalePlan(
                    f"{self.name}/{stream} was loaded for the first time since the plan was made",
                    why="Its table has to be cleared now, and nobody has agreed to that.",
                    remedy="Run `olake-reconcile apply` again and read the new plan.",
                )

    def _refuse_taken(self) -> None:
        """Raise `Blocked` when a table would be dropped for one that cannot be built."""
        stored, moved = self._stored(), moves(self.actions)
        if (
            stored is None
            or not moved
            or self.journal.passed_no_return([str(a.address) for a in self.actions])
        ):
            return
        name = destination_name(self.actions) or str(stored.spec["destination"])
        refuse_taken_places(self.services, self._destination(name), stored, self.project, moved)

    def run_stopped(self) -> None:
        """Clear, store, restore the schedule. The caller holds the job's lease."""
        stored = self._stored()
        if stored is None:
            raise AssertionError(f"a clear of job {self.name}, which was never stored")
        self.schedule.stop()
        self._clear(stored)
        self._store()
        self.schedule.restore()
        if self._makes_due:
            self.schedule.make_due()

    @property
    def _makes_due(self) -> bool:
        return self.sync and any(isinstance(a, Rebuild) for a in self.actions)

    def _is_finished(self) -> bool:
        last = StepKind.MADE_DUE if self._makes_due else StepKind.SCHEDULE_RESTORED
        return self.journal.is_done(last, self._subject)

    def abandon(self) -> None:
        """Undo what was done before the point of no return: a stopped schedule, a clear that cleared nothing."""
        run = self.services.store.run(self.clear_run)
        if run is not None and not run.status.is_final:
            error = "stopped before anything was cleared"
            self.services.store.end_run(run.id, RunStatus.FAILED, self.services.clock.now(), error)
        self.schedule.put_back()

    def is_stored(self) -> bool:
        """Whether the settings were stored, though the journal may not have had the time to say so."""
        step = self.journal.detail(StepKind.SETTINGS_STORED, self._subject)
        stored = self._stored()
        return step is not None and stored is not None and stored.serial == step["made_from"] + 1

    def _stored(self) -> StoredJob | None:
        return self.services.store.read(self.name).jobs.get(self.name)

    @property
    def schedule(self) -> JobSchedule:
        """When the job runs next."""
        return JobSchedule(self.services, self.journal, self.name)

    @property
    def running(self) -> RunningSync:
        """The sync that may be going on."""
        return RunningSync(self.services, self.journal, self.name, self.wait)

    # The clear

    def _clear(self, job: StoredJob) -> None:
        """Clear the streams one by one, as a run of its own in the history."""
        destination = self._destination(str(job.spec["destination"]))
        run = self._begin_clear()
        for action in self.clears:
            if self.stop():
                raise Interrupted(
                    f"stopped between two streams of {self.name}: the rest is journaled",
                    remedy="The next `apply`, `sync` or loop pass finishes it.",
                )
            stream = job.streams.get(StreamId.parse(action.address.stream))
            if stream is not None:  # None: erased, and stored as such, before a crash
                self._clear_stream(destination, run, action, stream)
        self.services.store.end_run(run, RunStatus.COMPLETED, self.services.clock.now())

    def _clear_stream(
        self, destination: OpenDestination, run: str, action: Action, stream: StoredStream
    ) -> None:
        subject = str(action.address)
        found = self.journal.detail(StepKind.STREAM_CLEARED, subject)
        if found is None:
            ticket = self.services.engine.prepare_clear(destination, stream.place, self._owner(stream))
        else:
            ticket = ClearTicket.model_validate(found)
        self.journal.do(
            StepKind.STREAM_CLEARED,
            subject,
            lambda: self.services.engine.clear(destination, ticket),
            ticket.model_dump(mode="json"),
        )
        rows = action.impact.rows if isinstance(action, Rebuild | Remove) else None
        outcome = StreamOutcome(stream=stream.id, status=RunStatus.COMPLETED, rows=rows or 0)
        self.services.store.save_outcome(run, outcome)

    def _owner(self, stream: StoredStream) -> Owner:
        return Owner(
            project=self.project,
            environment=self.services.environment,
            job=self.name,
            stream=stream.uid,
            stream_id=str(stream.id),
            generation=stream.generation,
        )

    def _begin_clear(self) -> str:
        run_id = self.clear_run
        if self.services.store.run(run_id) is None:
            self.services.store.begin_run(
                Run(
                    id=run_id,
                    job=self.name,
                    type=RunType.CLEAR,
                    trigger=self.trigger,
                    status=RunStatus.RUNNING,
                    started=self.services.clock.now(),
                    holder=self.services.holder,
                )
            )
        return run_id

    def _destination(self, name: str) -> OpenDestination:
        stored = self.services.store.read(self.name).destinations.get(name)
        if stored is None:
            raise ReconcileError(
                f"destination.{name}, which holds the tables of {self.name}, is not in the state",
                remedy="Restore the state from a backup, or remove the job from it.",
            )
        return open_destination(
            read_destination(name, stored.spec), self.services.secrets, self.services.root
        )

    # The settings

    def _store(self, *, syncing: bool = False) -> None:
        self._adopt()
        made_from = self.actions[0].serial
        begun = self.journal.detail(StepKind.SETTINGS_STORED, self._subject) is not None
        self.journal.do(
            StepKind.SETTINGS_STORED,
            self._subject,
            lambda: self._save(made_from, begun=begun, syncing=syncing),
            {"made_from": made_from},
        )

    def _save(self, made_from: int, *, begun: bool, syncing: bool) -> None:
        stored = self._stored()
        if begun and stored is not None and stored.serial == made_from + 1:
            return  # saved before a crash kept the journal from saying so
        actions = with_uids(self.journal.apply_id, self.actions)
        job = settled_job(self.name, actions, stored, uid, syncing=syncing)
        self.services.store.save_job(job, self.fence.lease)

    def _adopt(self) -> None:
        if not any(isinstance(a, Import) for a in self.actions):
            return
        stored = self._stored()
        name = destination_name(self.actions) or str(stored.spec["destination"] if stored else "")
        adopt_tables(self.services, self.journal, self.project, self._destination(name), self.actions)

"""Healing (safety.self_heal): the loop writes again what others changed of our tables' marks and properties.

No row is touched. What comes back after three rounds is somebody else's wish: it is healed no more, which is said once.
Rebuilds are never healing, but with `self_heal_rebuild` for what needs_resync; they go the way of every other plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from olake_reconcile.errors import Locked, ReconcileError
from olake_reconcile.model.codec import read_destination
from olake_reconcile.model.event import Level
from olake_reconcile.model.journal import ApplyStatus
from olake_reconcile.model.names import Address, parse_address
from olake_reconcile.model.project import Project
from olake_reconcile.model.stored import StoredJob, StoredStream, StreamPhase
from olake_reconcile.model.table import Owner, TableFacts
from olake_reconcile.plan.actions import Action
from olake_reconcile.plan.drift import MOST_ROUNDS, Drift, DriftKind, DriftReport, stream_of
from olake_reconcile.plan.plan import Plan
from olake_reconcile.plan.unattended import heals_by_rebuild
from olake_reconcile.reconcile.catalogues import Cached
from olake_reconcile.reconcile.drift import look_for_drift
from olake_reconcile.reconcile.endpoints import open_destination
from olake_reconcile.reconcile.leases import HeldLease, held
from olake_reconcile.reconcile.ledger import Ledger, read_ledger, record_healing
from olake_reconcile.reconcile.notice import Notice, OnNotice
from olake_reconcile.reconcile.services import Services

#: How often the loop looks, files unchanged.
HEAL_SECONDS = 600.0
_LEASE = "heal"  # loops heal one after the other: the rounds are counted once


def heal_drift(
    services: Services, project: Project, catalogues: Mapping[str, Cached], tell: OnNotice
) -> None:
    """Heal what may be, and say what is healed no more. Another loop that does so, or a busy job, is for the next turn.

    Raises what the store raises; what goes wrong at one table is said, counts as a round, and keeps no other waiting.
    """
    try:
        with held(services, _LEASE, _LEASE) as lease:
            _Healing(services, project, tell, lease).turn(catalogues)
    except Locked:
        return


def over_by_rebuild(services: Services) -> frozenset[str]:
    """Return the short addresses that were rebuilt as healing so often that it does not help."""
    rounds = read_ledger(services.store).rounds
    return frozenset(key for key, r in rounds.items() if r.healed >= MOST_ROUNDS)


def count_rebuilds(services: Services, project: Project, actions: Sequence[Action], tell: OnNotice) -> None:
    """Count the rebuilds that healed; after the last round that helps nobody, say that it was the last."""
    found = [_as_drift(a) for a in actions if heals_by_rebuild(a)]
    if not found:
        return
    try:
        with held(services, _LEASE, _LEASE, wait=10) as lease:
            healing = _Healing(services, project, tell, lease)
            ledger = read_ledger(services.store).healed(found, services.clock.now())
            over = [d for d in found if ledger.is_over(d)]
            for drift in over:
                healing.stop(
                    drift,
                    f"it was rebuilt {MOST_ROUNDS} times and needed it again: from now on you are asked",
                )
            healing.record(found, ledger.told(over))
    except Locked:
        return


def _as_drift(action: Action) -> Drift:
    return Drift(
        address=str(action.address), kind=DriftKind.TABLE_GONE, message="rebuilt: it needed a resync"
    )


class _Healing:
    """One turn, under the healers' lease."""

    def __init__(self, services: Services, project: Project, tell: OnNotice, lease: HeldLease) -> None:
        self._services = services
        self._project = project
        self._tell = tell
        self._lease = lease

    def turn(self, catalogues: Mapping[str, Cached]) -> None:
        """Look at everything, and heal job by job."""
        report, _ = look_for_drift(self._services, self._project, catalogues)
        before = read_ledger(self._services.store)
        ledger = before.settled(report, self._services.clock.now())
        if ledger is not before:
            self.record([], ledger)
        for job, drifts in sorted(_by_job(report).items()):
            over = [d for d in drifts if ledger.is_over(d)]
            for drift in over:
                self.stop(drift, f"it came back after {MOST_ROUNDS} rounds of healing")
            if over:
                ledger = ledger.told(over)
                self.record([], ledger)
            ledger = self._job(job, [d for d in drifts if d not in over], ledger)

    def _job(self, name: str, drifts: Sequence[Drift], ledger: Ledger) -> Ledger:
        if not drifts:
            return ledger
        try:
            with held(self._services, f"job:{name}", _LEASE):
                job = self._services.store.read(name).jobs.get(name)
                for address in sorted({d.address for d in drifts}) if job is not None else ():
                    assert job is not None
                    ledger = self._stream(job, [d for d in drifts if d.address == address], ledger)
        except Locked:
            pass  # it syncs, or somebody changes it: the next turn finds it
        return ledger

    def _stream(self, job: StoredJob, drifts: Sequence[Drift], ledger: Ledger) -> Ledger:
        stream = job.streams.get(stream_of(drifts[0])[1])
        if stream is None or stream.phase is StreamPhase.REMOVED:
            return ledger
        error = ""
        try:
            self._write(job, stream)
        except ReconcileError as failed:
            error = self._services.secrets.redact(str(failed))
        ledger = ledger.healed(drifts, self._services.clock.now())
        id_ = self.record(drifts, ledger, error)
        short = parse_address(drifts[0].address).short
        what = "; ".join(d.message for d in drifts)
        if error:
            self._say(Level.WARNING, "healing_failed", f"{short} could not be healed: {error}", job.name)
        else:
            self._say(Level.WARNING, "healed", f"{short} is healed (apply {id_}): {what}", job.name)
        return ledger

    def _write(self, job: StoredJob, stream: StoredStream) -> None:
        services = self._services
        name = str(job.spec.get("destination"))
        destination = read_destination(name, services.store.read("").destinations[name].spec)
        opened = open_destination(destination, services.secrets, services.root)
        status = services.engine.observe(opened, [stream.place])[stream.place]
        runs = status.trace.runs if isinstance(status, TableFacts) and status.trace else ()
        if not services.store.known_runs(runs):
            raise ReconcileError(
                f"nothing shows that the table {stream.place} is the one that job {job.name} wrote",
                why="No run that is stored is among its commits.",
                remedy="Find out whose it is; `kind: Import` takes it over.",
            )
        owner = Owner(
            project=self._project.uid,
            environment=services.environment,
            job=job.name,
            stream=stream.uid,
            generation=stream.generation,
            stream_id=str(stream.id),
        )
        services.engine.heal(opened, stream.place, owner)

    def stop(self, drift: Drift, why: str) -> None:
        """Say that this is healed no more."""
        address = parse_address(drift.address)
        text = (
            f"{address.short} is healed no more: {why}. {drift.message}\n"
            "Find out who else manages the table; to see it: olake-reconcile drift"
        )
        self._say(Level.ERROR, "healing_stopped", text, address.name)

    def record(self, drifts: Sequence[Drift], ledger: Ledger, error: str = "") -> str:
        """Store the rounds, with what was healed."""
        plan = Plan(
            project=self._project.uid,
            new_state=False,
            actions=(),
            environment=self._services.environment,
            drift=DriftReport(found=tuple(drifts)),
        )
        status = ApplyStatus.FAILED if error else ApplyStatus.COMPLETED
        return record_healing(self._services, plan, ledger, self._lease.lease, status, error)

    def _say(self, level: Level, action: str, text: str, job: str) -> None:
        self._tell(Notice(level, action, self._services.secrets.redact(text), job))


def _by_job(report: DriftReport) -> dict[str, list[Drift]]:
    found: dict[str, list[Drift]] = {}
    for drift in report.found:
        if drift.healing == "automatic":
            found.setdefault(parse_address(drift.address).name, []).append(drift)
    return found


def is_rebuild_over(over: frozenset[str], address: Address) -> bool:
    """Whether rebuilding `address` as healing has come to its end."""
    return f"{address} {DriftKind.TABLE_GONE}" in over

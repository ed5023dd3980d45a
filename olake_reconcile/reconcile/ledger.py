"""How often which drift was healed, in the state: the detail of the latest apply that healed something.

A heal is recorded as an apply of an empty plan (`history --applies` shows it); its detail carries the rounds on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.journal import ApplyRecord, ApplyStatus
from olake_reconcile.plan.document import plan_document, plan_hash
from olake_reconcile.plan.drift import MOST_ROUNDS, Drift, DriftReport
from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.ids import run_id
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import Lease, StateReader

LEDGER = "healing"
#: What did not come back within this time was settled: its rounds are counted anew.
SETTLED = timedelta(days=7)
_MOST_APPLIES = 200  # what is kept of them, see retention.py


class Rounds(Model):
    """How often one drift was healed, and when it last was; `stopped` when it was said that this is over."""

    healed: int
    last: datetime
    stopped: bool = False


class Ledger(Model):
    """The rounds by the key of each drift. `number` grows: of two of one moment it tells the later."""

    number: int = 0
    rounds: dict[str, Rounds] = Field(default_factory=dict)

    @property
    def stopped(self) -> frozenset[str]:
        """What is healed no more."""
        return frozenset(key for key, rounds in self.rounds.items() if rounds.stopped)

    def is_over(self, drift: Drift) -> bool:
        """Whether it was healed so often that somebody else must want it otherwise."""
        found = self.rounds.get(drift.key)
        return found is not None and (found.stopped or found.healed >= MOST_ROUNDS)

    def healed(self, drifts: Sequence[Drift], now: datetime) -> Ledger:
        """Return it with another round of each."""
        rounds = dict(self.rounds)
        for drift in drifts:
            before = rounds.get(drift.key)
            rounds[drift.key] = Rounds(healed=(before.healed if before else 0) + 1, last=now)
        return self._next(rounds)

    def told(self, drifts: Sequence[Drift]) -> Ledger:
        """Return it with these as stopped."""
        over = {d.key: self.rounds[d.key].model_copy(update={"stopped": True}) for d in drifts}
        return self._next({**self.rounds, **over})

    def settled(self, report: DriftReport, now: datetime) -> Ledger:
        """Return it without what has not come back for a week."""
        there = {d.key for d in report.found}
        kept = {k: r for k, r in self.rounds.items() if k in there or now - r.last < SETTLED}
        return self if len(kept) == len(self.rounds) else self._next(kept)

    def _next(self, rounds: dict[str, Rounds]) -> Ledger:
        return Ledger(number=self.number + 1, rounds=rounds)


def read_ledger(store: StateReader) -> Ledger:
    """Return what is known of earlier heals."""
    details = (record.detail for record in store.applies(limit=_MOST_APPLIES))
    found = [Ledger.model_validate(detail[LEDGER]) for detail in details if LEDGER in detail]
    return max(found, key=lambda ledger: ledger.number, default=Ledger())


def record_healing(
    services: Services, plan: Plan, ledger: Ledger, fence: Lease, status: ApplyStatus, error: str = ""
) -> str:
    """Store the ledger as an apply that ended, and return its id. `plan` has no actions; its drift is what was healed."""
    now = services.clock.now()
    record = ApplyRecord(
        id=run_id(now),
        plan=plan_document(plan),
        plan_hash=plan_hash(plan),
        who=services.who,
        holder=services.holder,
        status=status,
        started=now,
        ended=now,
        error=error,
        detail={
            "environment": services.environment,
            "by": "safety.self_heal",
            LEDGER: ledger.model_dump(mode="json"),
        },
    )
    services.store.begin_apply(record, fence)
    return record.id

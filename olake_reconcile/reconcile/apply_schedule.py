"""A job's schedule in an apply: stopped before anything is cleared, and set again as it was (design §6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from olake_reconcile.model.journal import StepKind
from olake_reconcile.model.names import Address
from olake_reconcile.model.stored import StoredJob
from olake_reconcile.plan.actions import Action, Create, Update
from olake_reconcile.reconcile.due import reschedule
from olake_reconcile.reconcile.journal import Journal
from olake_reconcile.reconcile.services import Services

# Why a job whose schedule is stopped owes no run.
_STOPPED = "clearing the destination"
# Why a rebuilt job is due.
_BY_APPLY = "apply"


@dataclass(frozen=True)
class JobSchedule:
    """When the job runs next, journaled."""

    services: Services
    journal: Journal
    name: str

    @property
    def _subject(self) -> str:
        return str(Address("job", self.name))

    def _stored(self) -> StoredJob | None:
        return self.services.store.read(self.name).jobs.get(self.name)

    def stop(self) -> None:
        """Let no run begin; the journal keeps what was owed."""
        stored = self._stored()
        due = stored.due if stored else None
        self.journal.do(
            StepKind.SCHEDULE_STOPPED,
            self._subject,
            lambda: self.services.store.set_due(self.name, None, _STOPPED),
            {"due": due.isoformat() if due else None, "reason": stored.due_reason if stored else ""},
        )

    def put_back(self) -> None:
        """Owe again what was owed before an apply that did nothing."""
        before = self.journal.detail(StepKind.SCHEDULE_STOPPED, self._subject)
        stored = self._stored()
        # An apply that stays open for another job is abandoned again: a due time that was set since stays.
        if before is not None and stored is not None and stored.due_reason == _STOPPED:
            due, reason = _owed(before)
            self.services.store.set_due(self.name, due, reason)

    def restore(self) -> None:
        """Set the next run by the schedule that is stored now; a run that was owed already stays owed."""
        self.journal.do(StepKind.SCHEDULE_RESTORED, self._subject, self._reschedule)

    def _reschedule(self) -> None:
        stopped = self.journal.detail(StepKind.SCHEDULE_STOPPED, self._subject)
        stored = self._stored()
        if stored is None:
            return
        due, reason = _owed(stopped) if stopped is not None else (stored.due, stored.due_reason)
        reschedule(self.services, self.name)
        if stored.active and due is not None and (reason == _BY_APPLY or due <= self.services.clock.now()):
            self.services.store.set_due(self.name, due, reason, sooner=True)

    def make_due(self) -> None:
        """Owe a run now."""
        self.journal.do(StepKind.MADE_DUE, self._subject, self._make_due)

    def _make_due(self) -> None:
        stored = self._stored()
        if stored is not None and stored.active:
            self.services.store.set_due(self.name, self.services.clock.now(), _BY_APPLY)


def reschedules(actions: Sequence[Action]) -> bool:
    """Whether the actions of a job change when it runs."""
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


def _owed(stopped: Mapping[str, Any]) -> tuple[datetime | None, str]:
    """Return when and why the job was due before its schedule was stopped."""
    due = stopped.get("due")
    return datetime.fromisoformat(due) if due else None, str(stopped.get("reason", ""))

"""Writing an apply's journal: each step before it starts and after it ends (model/journal.py has the format)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from olake_reconcile.errors import Locked
from olake_reconcile.model.journal import JournalStep, StepKind, StepStatus
from olake_reconcile.reconcile.leases import HeldLease
from olake_reconcile.reconcile.services import Services

OnStep = Callable[[JournalStep], None]


class Journal:
    """The journal of one apply, new or found after a crash: steps that are done are not done again."""

    def __init__(
        self,
        services: Services,
        apply_id: str,
        lock: HeldLease,
        on_step: OnStep,
        found: Sequence[JournalStep] = (),
    ) -> None:
        self.apply_id = apply_id
        self._services = services
        self._lock = lock
        self._on_step = on_step
        self._found = {(s.kind, s.subject): s for s in found}
        self._seq = max((s.seq for s in found), default=0)

    def passed_no_return(self, subjects: Sequence[str]) -> bool:
        """Whether a destructive step of one of the subjects has started."""
        return any(kind.is_destructive and subject in subjects for kind, subject in self._found)

    def touched(self, subjects: Sequence[str]) -> bool:
        """Whether any step of one of the subjects has started."""
        return any(subject in subjects for _, subject in self._found)

    def is_done(self, kind: StepKind, subject: str) -> bool:
        """Whether the step has ended."""
        step = self._found.get((kind, subject))
        return step is not None and step.status is StepStatus.DONE

    def detail(self, kind: StepKind, subject: str) -> dict[str, Any] | None:
        """Return what was journaled when the step started, None when it never did."""
        step = self._found.get((kind, subject))
        return step.detail if step else None

    def do(
        self,
        kind: StepKind,
        subject: str,
        act: Callable[[], None],
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Journal the start, act, journal the end. A step that was done before a crash is skipped.

        Dying between start and end repeats `act` later, so every act may be repeated.
        """
        if self._lock.lost.is_set():
            raise Locked("the apply lock was lost while applying", why="Another process may be applying now.")
        if self.is_done(kind, subject):
            return
        step = self._found.get((kind, subject)) or self._start(kind, subject, detail or {})
        self._on_step(step)
        act()
        done = step.model_copy(update={"status": StepStatus.DONE, "at": self._services.clock.now()})
        self._services.store.step(done, self._lock.lease)
        self._found[kind, subject] = done
        self._on_step(done)

    def _start(self, kind: StepKind, subject: str, detail: dict[str, Any]) -> JournalStep:
        self._seq += 1
        step = JournalStep(
            apply_id=self.apply_id,
            seq=self._seq,
            kind=kind,
            subject=subject,
            status=StepStatus.STARTED,
            at=self._services.clock.now(),
            detail=detail,
        )
        self._services.store.step(step, self._lock.lease)
        self._found[kind, subject] = step
        return step

"""Renames in an apply: before everything else, each under the leases of the jobs that it concerns."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from olake_reconcile.model.journal import StepKind
from olake_reconcile.plan.actions import Move
from olake_reconcile.plan.plan import Plan
from olake_reconcile.reconcile.due import reschedule
from olake_reconcile.reconcile.journal import Journal
from olake_reconcile.reconcile.leases import HeldLease, held
from olake_reconcile.reconcile.services import Services


def make_moves(services: Services, journal: Journal, lock: HeldLease, plan: Plan, wait: float) -> None:
    """Rename what the plan renames, journaled.

    A job that syncs is not renamed under its run, which saves its progress by name, and a rename is no reason to
    cancel hours of loading: raises `Locked`, after waiting for `wait` seconds.
    """
    for action in plan.changes:
        if not isinstance(action, Move):
            continue
        subject = str(action.address)
        if journal.is_done(StepKind.RESOURCE_MOVED, subject):
            continue
        with ExitStack() as stack:
            for job in sorted(_jobs(action)):
                stack.enter_context(held(services, f"job:{job}", "rename", wait=wait))
            journal.do(
                StepKind.RESOURCE_MOVED,
                subject,
                partial(_move, services, lock, action),
                {"from": str(action.origin)},
            )


def _jobs(action: Move) -> set[str]:
    if action.address.kind not in ("job", "stream"):
        return set()
    return {action.origin.name, action.address.name}


def _move(services: Services, lock: HeldLease, action: Move) -> None:
    services.store.rename(action.origin, action.address, lock.lease)
    if action.address.kind == "stream" and action.origin.name != action.address.name:
        stored = services.store.read(action.address.name).jobs[action.address.name]
        if stored.due is None:
            reschedule(services, stored.name)  # split off just now: nobody has set when it runs

"""A run that somebody sits in front of: its progress is shown, Ctrl-C stops it, a failed one is tried again."""

from __future__ import annotations

import random
from datetime import timedelta

import click

from olake_reconcile.cli.stopping import Signals, signals_counted
from olake_reconcile.cli.view_progress import ProgressView
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.codec import read_job
from olake_reconcile.model.job import Retry
from olake_reconcile.model.retry import is_retryable, next_attempt
from olake_reconcile.model.run import Run
from olake_reconcile.reconcile.launch import Launched, Launcher, RunOrder
from olake_reconcile.reconcile.runs import new_order
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.watch import RunWatch

_TICK_SECONDS = 0.5


class Foreground:
    """One `sync`, all its attempts included.

    The first SIGINT, SIGTERM or SIGHUP stops the run at its next safe point, the second at once.
    """

    def __init__(self, services: Services, launcher: Launcher, order: RunOrder) -> None:
        """Start the first attempt: its imports go on while the caller does something else."""
        self._services = services
        self._launcher = launcher
        self._launched = launcher.start(order)

    def finish(self) -> Run | ReconcileError:
        """Watch the run, and those that try it again, until the last has ended; return how, or why it never began."""
        with signals_counted() as signals:
            while True:
                outcome = self._watch(signals, self._launched)
                wait = None if isinstance(outcome, ReconcileError) else self._wait_for_retry(outcome)
                if isinstance(outcome, ReconcileError) or wait is None or signals.count:
                    return outcome
                self._say(outcome, wait)
                if self._services.clock.wait(wait.total_seconds(), signals.wake):
                    return outcome
                order = self._launched.order
                again = new_order(
                    self._services, order.job, order.trigger, attempt=order.attempt + 1, lock_timeout=60
                )
                self._launched = self._launcher.start(again)

    def _watch(self, signals: Signals, launched: Launched) -> Run | ReconcileError:
        with ProgressView(self._services.secrets, job=launched.order.job, run=launched.order.run_id) as view:
            watch = RunWatch(self._services, launched, view.show)
            while (outcome := watch.tick()) is None:
                if signals.count == 1:
                    watch.stop()
                elif signals.count > 1:
                    watch.kill()
                launched.wait(_TICK_SECONDS)
        return outcome

    def _wait_for_retry(self, run: Run) -> timedelta | None:
        if not is_retryable(run):
            return None
        return next_attempt(self._retry(run.job), run.attempt, random.random())

    def _retry(self, job: str) -> Retry | None:
        stored = self._services.store.read(job).jobs.get(job)
        return None if stored is None else read_job(job, stored.spec).retry

    def _say(self, run: Run, wait: timedelta) -> None:
        retry = self._retry(run.job)
        attempts = 1 + (retry.attempts if retry else 0)
        error = run.error or next((o.error for o in run.streams if o.error), "")
        click.echo(
            f"Run {run.id} failed: {error.splitlines()[0] if error else 'see its log'}\n"
            f"Attempt {run.attempt + 1} of {attempts} in {wait.total_seconds():.0f} s (Ctrl-C leaves it at that) …",
            err=True,
        )

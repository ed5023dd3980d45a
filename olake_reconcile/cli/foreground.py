"""A launched run that somebody sits in front of: its progress is shown, Ctrl-C stops it."""

from __future__ import annotations

from olake_reconcile.cli.stopping import Signals, signals_counted
from olake_reconcile.cli.view_progress import ProgressView
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.run import Run
from olake_reconcile.reconcile.launch import Launched
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.watch import RunWatch

# Ctrl-C is seen at once, for it interrupts the wait.
_TICK_SECONDS = 0.5


def run_in_foreground(services: Services, launched: Launched) -> Run | ReconcileError:
    """Watch a run until it has ended; return how, or why it never began.

    The first SIGINT, SIGTERM or SIGHUP stops it at its next safe point, the second at once.
    """
    with signals_counted() as signals, ProgressView(services.secrets) as view:
        watch = RunWatch(services, launched, view.show)
        while (outcome := watch.tick()) is None:
            _obey(signals, watch)
            launched.wait(_TICK_SECONDS)
    return outcome


def _obey(signals: Signals, watch: RunWatch) -> None:
    if signals.count == 1:
        watch.stop()
    elif signals.count > 1:
        watch.kill()

"""The loop (design §7): `run`, the daemon, and `reconcile`, one pass for cron.

The daemon's thread never waits for a server: runs are processes of their own, and changed files are planned and applied
by a second thread. Whatever goes wrong in a turn is said once, and the next turn goes on.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Protocol

from olake_reconcile.errors import ExitCode, ReconcileError
from olake_reconcile.model.event import Level
from olake_reconcile.reconcile.alerts import Alerts
from olake_reconcile.reconcile.lost import GRACE_SECONDS
from olake_reconcile.reconcile.notice import Notice, OnNotice
from olake_reconcile.reconcile.presence import Presence
from olake_reconcile.reconcile.reload import Reloader
from olake_reconcile.reconcile.retention import prune_when_due
from olake_reconcile.reconcile.scheduler import Scheduler
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.ticker import Ticker

TURN_SECONDS = 1
PRUNE_SECONDS = 3600  # one small file is looked at; `retention.EVERY` says when there is something to do
FILES_SECONDS = 2
# How often runs are looked after between two turns.
_WATCH_SECONDS = 0.2

#: How often somebody has asked to stop: once is a request, more is an order.
Stops = Callable[[], int]


class Loop:
    """The daemon, or one pass of it."""

    def __init__(
        self,
        services: Services,
        scheduler: Scheduler,
        reloader: Reloader,
        tell: OnNotice,
        stops: Stops,
        alerts: Alerts | None = None,
        passed: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what it needs; `passed` is called after each turn that went well."""
        self._alerts = alerts
        self._passed = passed
        self._services = services
        self._scheduler = scheduler
        self._reloader = reloader
        self._tell = tell
        self._stops = stops
        self._trouble = ""
        self._never = threading.Event()

    def once(self) -> ExitCode:
        """Make one pass: apply what may be, run what is due, and wait for it.

        Due times that come meanwhile are for the next pass. What the limits of other loops leave waiting stays queued.
        """
        presence = Presence(self._services, "one pass")
        presence.tell()
        try:
            code = self._reloader.turn()
            serve = True
            while not self._stops():
                self._scheduler.turn(serve=serve)
                serve = False
                if not self._scheduler.started:
                    break
                self._wait_for_an_end(presence)
            if self._stops():
                self._stop_runs()
                return ExitCode.INTERRUPTED
            self._prune()
        finally:
            if self._alerts is not None:
                self._guarded(self._alerts.turn)
                self._guarded(self._alerts.leave)
            presence.leave()
        return ExitCode.ERROR if self._scheduler.failures else code

    def run(self) -> ExitCode:
        """Go on until asked to stop; then let the runs stop at their next safe point. Queued ones stay queued."""
        presence = Presence(self._services, "loop")
        files = _Background(self._reloader, self._guarded)
        ticker = Ticker(self._services.clock)
        ticker.every(TURN_SECONDS).seconds.do(lambda: self._guarded(self._turn, presence))
        ticker.every(FILES_SECONDS).seconds.do(lambda: self._guarded(files.turn))
        if self._alerts is not None:
            alerts = _Background(self._alerts, self._guarded)
            ticker.every(FILES_SECONDS).seconds.do(lambda: self._guarded(alerts.turn))
        ticker.every(PRUNE_SECONDS).seconds.do(lambda: self._guarded(self._prune))
        while not self._stops():
            ticker.run_pending()
            if self._guarded(self._scheduler.watch):
                self._guarded(self._turn, presence)  # somebody waits for the place of the run that ended
            self._pause()
        self._stop_runs()
        files.finish(self._stops)
        if self._alerts is not None and alerts.is_idle:
            self._guarded(self._alerts.leave)  # else whoever comes next sees that this process is dead
        self._guarded(presence.leave)
        return ExitCode.OK if self._stops() == 1 else ExitCode.INTERRUPTED

    def _prune(self) -> None:
        prune_when_due(self._services, self._reloader.retention)

    def _turn(self, presence: Presence) -> None:
        presence.tell()
        self._scheduler.turn()
        self._passed()

    def _stop_runs(self) -> None:
        """Wait until the runs have stopped; with a store that does not answer, not for ever: they are killed by then."""
        clock = self._services.clock
        deadline = clock.monotonic() + 3 * GRACE_SECONDS
        while self._scheduler.started and clock.monotonic() < deadline:
            self._guarded(self._scheduler.kill if self._stops() > 1 else self._scheduler.stop)
            self._guarded(self._scheduler.watch)
            self._pause()

    def _wait_for_an_end(self, presence: Presence) -> None:
        while not self._scheduler.watch() and not self._stops():
            presence.tell()
            self._pause()

    def _pause(self) -> None:
        self._services.clock.wait(_WATCH_SECONDS, self._never)

    def _guarded(self, work: Callable[..., object], *given: object) -> object:
        """Do it; what goes wrong is said once and ends nothing: a full disk is mended some day, and the loop is there."""
        try:
            result = work(*given)
        except ReconcileError as error:
            self._complain(self._services.secrets.redact(str(error)))
        except Exception:  # noqa: BLE001  a bug in one turn must not stop 300 jobs for good
            self._complain(self._services.secrets.redact(traceback.format_exc()))
        else:
            if work == self._turn and self._trouble:
                self._trouble = ""
                self._tell(Notice(Level.INFO, "loop_recovered", "the loop goes on"))
            return result
        return None

    def _complain(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            self._tell(Notice(Level.ERROR, "loop_trouble", text))


class _Work(Protocol):
    def is_due(self) -> bool: ...

    def turn(self) -> object: ...


class _Background:
    """Work beside the loop: an apply of changed files may wait for a sync to stop, an alert for a server."""

    def __init__(self, work: _Work, guarded: Callable[..., object]) -> None:
        self._work = work
        self._guarded = guarded
        self._thread: threading.Thread | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done."""
        return self._thread is None or not self._thread.is_alive()

    def turn(self) -> None:
        """Begin when there is something to do, unless it is being done."""
        if self.is_idle and self._work.is_due():
            name = type(self._work).__name__.lower()
            self._thread = threading.Thread(
                target=self._guarded, args=(self._work.turn,), name=name, daemon=True
            )
            self._thread.start()

    def finish(self, stops: Stops) -> None:
        """Wait until it has stopped, unless somebody orders otherwise: what is journaled is finished later."""
        while self._thread is not None and self._thread.is_alive() and stops() < 2:
            self._thread.join(_WATCH_SECONDS)

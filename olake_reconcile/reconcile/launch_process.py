"""Runs as child processes: forked by a warm nursery for the daemon, by the command itself for one `sync`.

The *nursery* is multiprocessing's fork server: a process of one thread of ours that has imported the heavy libraries and
forks once per run, so that a run begins without a second of imports and inherits no lock, connection or thread.
`sync` forks before it imports anything heavy, which saves it the start of another interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkContext, ForkServerContext
from multiprocessing.util import get_temp_dir
from typing import Literal

from pydantic import TypeAdapter

import olake_reconcile.errors as errors
import olake_reconcile.reconcile.nursery as nursery
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.base import Model
from olake_reconcile.model.event import Event, Progress
from olake_reconcile.reconcile.launch import Launched, RunOrder

#: What a worker is: it makes the run, and tells of it through the teller.
Work = Callable[[RunOrder, "Teller"], None]

# How long a happening (not mere progress) waits for a parent that does not read: stopped with Ctrl-Z, for one.
_TELL_SECONDS = 1.0


class _Refusal(Model):
    """An error that kept a run from beginning, by the name of its class."""

    refused: str
    summary: str
    why: str
    remedy: str


_MESSAGE: TypeAdapter[_Refusal | Event] = TypeAdapter(_Refusal | Event)


class Teller:
    """The child's end of the line to its parent. A parent that does not read never holds the run up."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._lock = threading.Lock()

    def tell(self, event: Event) -> None:
        """Tell of an event; progress is left out when the line is full."""
        self._send(event, 0 if isinstance(event, Progress) else _TELL_SECONDS)

    def refuse(self, error: ReconcileError) -> None:
        """Tell why the run does not begin."""
        refusal = _Refusal(
            refused=type(error).__name__, summary=error.summary, why=error.why, remedy=error.remedy
        )
        self._send(refusal, _TELL_SECONDS)

    def _send(self, message: _Refusal | Event, patience: float) -> None:
        text = _MESSAGE.dump_json(message)
        with self._lock, suppress(OSError):
            if select.select([], [self._line], [], patience)[1]:
                self._line.send_bytes(text)


class ProcessLauncher:
    """Starts each run with `work` in a child of its own: `fork` from here, or `forkserver` from the nursery.

    `work` goes to the child by pickling with the nursery: a function of a module, or a partial of one.
    """

    def __init__(
        self, method: Literal["fork", "forkserver"], work: Work, preload: Sequence[str] = ()
    ) -> None:
        self._context: ForkContext | ForkServerContext
        if method == "fork":
            self._context = multiprocessing.get_context("fork")
        else:
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload([nursery.__name__, "__main__", *preload])
        self._work = work

    def start(self, order: RunOrder) -> Launched:
        """Start a run; returns at once."""
        ours, theirs = self._context.Pipe()
        # Daemonic: a starter that ends in an orderly way asks its runs to stop, and waits for them.
        process = self._context.Process(
            target=_begin,
            args=(self._work, order, theirs, dict(os.environ), os.getcwd()),
            name=f"run {order.run_id}",
            daemon=True,
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of threads that libraries started; the child touches none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            with self._told():
                process.start()
        theirs.close()
        return _Child(order, process, ours)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell a nursery that is started now which folder to remove; nobody else may see that."""
        if isinstance(self._context, ForkContext):
            yield
            return
        os.environ[nursery.FOLDER] = get_temp_dir()
        try:
            yield
        finally:
            os.environ.pop(nursery.FOLDER, None)

    def close(self) -> None:
        """Nothing is held: the nursery ends with this process."""


class _Child:
    """A run in a child process."""

    def __init__(
        self, order: RunOrder, process: multiprocessing.process.BaseProcess, line: Connection
    ) -> None:
        self.order = order
        self.refusal: ReconcileError | None = None
        self._process = process
        self._line: Connection | None = line

    def ended(self) -> bool:
        """Whether its process has ended."""
        return not self._process.is_alive()

    def events(self) -> Sequence[Event]:
        """Take the events that came."""
        taken: list[Event] = []
        while self._line is not None:
            try:
                if not self._line.poll():
                    break
                message = _MESSAGE.validate_json(self._line.recv_bytes())
            except (EOFError, OSError):
                self._line.close()
                self._line = None
                break
            if isinstance(message, _Refusal):
                self.refusal = _error(message)
            else:
                taken.append(message)
        return taken

    def wait(self, seconds: float) -> None:
        """Return when there is something to look at."""
        wait([self._process.sentinel, *([self._line] if self._line else [])], seconds)

    def ask_to_stop(self) -> None:
        """Ask it to stop at its next safe point."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group now."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        pid = self._process.pid
        if pid is None or self.ended():
            return
        with suppress(ProcessLookupError, PermissionError):
            # Before it has a group of its own, the child is alone anyway.
            os.killpg(pid, number)
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _error(refusal: _Refusal) -> ReconcileError:
    kind = getattr(errors, refusal.refused, ReconcileError)
    if kind is errors.InvalidWorkspace:
        kind = ReconcileError
    error: ReconcileError = kind(refusal.summary, why=refusal.why, remedy=refusal.remedy)
    return error


def _begin(work: Work, order: RunOrder, line: Connection, environment: dict[str, str], folder: str) -> None:
    """Be the child: leave the parent's terminal and signals, then work."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    os.chdir(folder)
    # The nursery has the environment of its own start.
    os.environ.clear()
    os.environ.update(environment)
    work(order, Teller(line))

"""SIGINT, SIGTERM and a terminal that is closed, as requests to stop at the next safe point."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STOPPING = "\nStopping at the next safe point (again to stop at once) …"


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; a second one ends the process."""
    stop = threading.Event()
    before = {s: signal.getsignal(s) for s in _SIGNALS}

    def request(number: int, frame: FrameType | None) -> None:
        stop.set()
        click.echo(_STOPPING, err=True)
        for s, handler in before.items():
            signal.signal(s, handler)

    with _handled(request, _SIGNALS):
        yield stop


class Signals:
    """How many requests to stop have come; `wake` is set by the first."""

    def __init__(self) -> None:
        self.count = 0
        self.wake = threading.Event()


@contextmanager
def signals_counted() -> Iterator[Signals]:
    """Yield a counter of requests to stop, which never end this process: what it watches must end first."""
    signals = Signals()

    def request(number: int, frame: FrameType | None) -> None:
        signals.count += 1
        signals.wake.set()
        with suppress(OSError):  # a terminal that was closed
            click.echo(_STOPPING if signals.count == 1 else "Stopping at once …", err=True)

    with _handled(request, (*_SIGNALS, signal.SIGHUP)):
        yield signals


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None], numbers: tuple[signal.Signals, ...]
) -> Iterator[None]:
    before = {s: signal.getsignal(s) for s in numbers}
    for s in numbers:
        signal.signal(s, handler)
    try:
        yield
    finally:
        for s, previous in before.items():
            signal.signal(s, previous)

"""A cancel must not wait for a server: what the main thread of a load waits for is cancelled from another one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from olake_reconcile.engine.base import Cancelled
from olake_reconcile.errors import ReconcileError
from olake_reconcile.sources.postgres.connection import Access

_LOOK_SECONDS = 0.5


@contextmanager
def interrupting(access: Access, cancelled: Cancelled) -> Iterator[threading.Event]:
    """Once `cancelled` says so, cancel at the server what the control connections of `access` run, again and again.

    Yields an event that is set by then: errors that come after it are the cancel's.
    """
    done, interrupted = threading.Event(), threading.Event()

    def guard() -> None:
        while not done.wait(_LOOK_SECONDS):
            with suppress(ReconcileError):
                if cancelled():
                    interrupted.set()
                    access.interrupt()

    thread = threading.Thread(target=guard, name="interrupt", daemon=True)
    thread.start()
    try:
        yield interrupted
    finally:
        done.set()
        thread.join()

"""What a run's process does: the run, told to its parent, and its own end when nobody else can see to it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import wait

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.event import Event, Logged, StreamFailed
from olake_reconcile.reconcile.launch import RunOrder
from olake_reconcile.reconcile.launch_process import Teller
from olake_reconcile.reconcile.runs import make_run
from olake_reconcile.reconcile.services import Services
from olake_reconcile.secrets import Secrets


def work(build: Callable[[], Services], project: str, order: RunOrder, teller: Teller) -> None:
    """Make the run of `order` in this process, which is a group of its own; `build` opens the ports."""
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has the terminal, and passes on what it means
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    services = build()

    def tell(event: Event) -> None:
        teller.tell(redacted(event, services.secrets))

    try:
        make_run(services, project, order, tell, stop.is_set, orphaned=_is_orphan, last_resort=_end_group)
    except ReconcileError as error:
        for part in ("summary", "why", "remedy"):
            setattr(error, part, services.secrets.redact(getattr(error, part)))
        teller.refuse(error)


def redacted(event: Event, secrets: Secrets) -> Event:
    """Return the event without secrets: the parent may not know them."""
    match event:
        case StreamFailed():
            texts = {part: secrets.redact(getattr(event, part)) for part in ("summary", "why", "remedy")}
            return event.model_copy(update=texts)
        case Logged():
            return event.model_copy(update={"message": secrets.redact(event.message)})
        case _:
            return event


def _is_orphan() -> bool:
    """Whether the process that started this run has died."""
    parent = multiprocessing.parent_process()
    return parent is not None and bool(wait([parent.sentinel], 0))


def _end_group() -> None:
    os.killpg(0, signal.SIGKILL)

"""Events of runs as lines of the program's own log: each with action, job, run and stream, for those who collect logs."""

from __future__ import annotations

import logging

from olake_reconcile.model.event import (
    Event,
    Level,
    Logged,
    Progress,
    StreamCancelled,
    StreamCheckpoint,
    StreamCommitted,
    StreamFailed,
    StreamStarted,
)
from olake_reconcile.plan.words import counted

_LOG = logging.getLogger("olake_reconcile.run")
_LEVELS = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.ERROR: logging.ERROR}


def log_event(job: str, run: str, event: Event) -> None:
    """Log one event. Progress is for those who ask for everything: it comes every second."""
    figures: dict[str, object] = {}
    match event:
        case Logged():
            level, action, text = _LEVELS[event.level], "engine", event.message
        case StreamStarted():
            level, action, text = logging.INFO, "stream_started", f"loading {counted(event.chunks, 'chunk')}"
            figures = {"chunks": event.chunks, "expected_rows": event.rows}
        case Progress():
            level, action, text = logging.DEBUG, "stream_progress", f"{counted(event.rows, 'row')} so far"
            figures = {"rows": event.rows, "bytes": event.bytes, "chunks": event.chunks}
        case StreamCheckpoint():
            level, action, text = (
                logging.INFO,
                "stream_checkpoint",
                f"checkpoint: {counted(event.rows, 'row')}",
            )
            figures = {"rows": event.rows, "bytes": event.bytes}
        case StreamCommitted():
            level, action, text = logging.INFO, "stream_committed", f"committed {counted(event.rows, 'row')}"
            figures = {"rows": event.rows, "bytes": event.bytes, "seconds": event.seconds}
        case StreamFailed():
            level, action = logging.ERROR, "stream_failed"
            text = "\n".join(p for p in (event.summary, event.why, event.remedy) if p)
            figures = {"retryable": event.retryable}
        case StreamCancelled():
            level, action, text = logging.WARNING, "stream_cancelled", "cancelled"
    stream = {"stream": str(event.stream)} if event.stream else {}
    fields = {"action": action, "job": job, "run": run, **stream, **figures}
    _LOG.log(level, "%s", text, extra={"fields": fields})

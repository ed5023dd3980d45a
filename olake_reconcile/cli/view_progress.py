"""A run while it goes on: bars on a terminal, a line per happening elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as Bars,
)

from olake_reconcile.model.event import (
    Event,
    Level,
    Logged,
    Progress,
    StreamCancelled,
    StreamCommitted,
    StreamFailed,
    StreamStarted,
)
from olake_reconcile.model.names import StreamId
from olake_reconcile.secrets import Secrets


class ProgressView:
    """Shows events as they come, from any thread."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._lock = threading.Lock()
        self._tasks: dict[StreamId, TaskID] = {}
        self._bars = _bars() if sys.stderr.isatty() else None

    def __enter__(self) -> ProgressView:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        with self._lock:
            if self._bars:
                self._move(self._bars, event)
            self._tell(event)

    def _move(self, bars: Bars, event: Event) -> None:
        match event:
            case StreamStarted():
                self._tasks[event.stream] = bars.add_task(str(event.stream), total=event.chunks, rows=0)
            case Progress() if event.stream in self._tasks:
                bars.update(self._tasks[event.stream], completed=event.chunks, rows=event.rows)
            case StreamCommitted() if event.stream in self._tasks:
                task = bars.tasks[self._tasks[event.stream]]
                bars.update(self._tasks[event.stream], completed=task.total, rows=event.rows)
            case _:
                pass

    def _tell(self, event: Event) -> None:
        match event:
            case StreamStarted() if not self._bars:
                about = "" if event.rows is None else f", about {event.rows:,} rows"
                chunks = "1 chunk" if event.chunks == 1 else f"{event.chunks} chunks"
                self._say(f"{event.stream}: loading {chunks}{about}")
            case StreamCommitted():
                for policy in event.policies:
                    text = f"{policy.count:,} values of {policy.column} did not fit ({policy.kind})"
                    self._say(f"{event.stream}: warning: {text}: policy {policy.policy}")
                if not self._bars:
                    self._say(f"{event.stream}: {event.rows:,} rows in {event.seconds:.1f} s")
            case StreamFailed():
                text = "\n  ".join(p for p in (event.summary, event.why, event.remedy) if p)
                self._say(f"{event.stream}: {click.style('failed', fg='red')}: {text}")
            case StreamCancelled():
                self._say(f"{event.stream}: cancelled before its commit; its old data stays")
            case Logged() if event.level is not Level.INFO:
                self._say(f"{event.level.value}: {event.message}")
            case _:
                pass

    def _say(self, text: str) -> None:
        text = self._secrets.redact(text)
        if self._bars:
            self._bars.console.print(click.unstyle(text), markup=False, highlight=False)
        else:
            click.echo(text, err=True)


def _bars() -> Bars:
    return Bars(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("chunks, {task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )

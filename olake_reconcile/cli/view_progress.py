"""A run while it goes on: bars on a terminal, a line per happening elsewhere, JSON where asked for. On stderr."""

from __future__ import annotations

import threading
from types import TracebackType

import click
from rich.console import Console

from olake_reconcile.cli.log import told_as_json
from olake_reconcile.cli.output import printable
from olake_reconcile.cli.view_bars import Bars
from olake_reconcile.clock import Clock, SystemClock
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
from olake_reconcile.model.figures import runtime, size
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.pace import pace
from olake_reconcile.model.run import RunStatus, StreamOutcome
from olake_reconcile.plan.words import counted
from olake_reconcile.reconcile.eventlog import log_event
from olake_reconcile.secrets import Secrets

# Where nobody redraws lines, a stream that takes long says how far it is so often.
_SECONDS_BETWEEN_LINES = 30.0
_COLOURS = {Level.WARNING: "yellow", Level.ERROR: "red"}


class ProgressView:
    """Shows events as they come, from any thread."""

    def __init__(
        self,
        secrets: Secrets,
        clock: Clock | None = None,
        console: Console | None = None,
        *,
        job: str = "",
        run: str = "",
    ) -> None:
        """Show on stderr, or on `console`; `job` and `run` are what JSON lines name."""
        self._job, self._run = job, run
        self._secrets = secrets
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._streams: dict[StreamId, StreamOutcome] = {}
        self._said: dict[StreamId, float] = {}
        console = console or Console(stderr=True, highlight=False)
        redraws = console.is_terminal and not console.is_dumb_terminal and not told_as_json()
        self._bars = Bars(console, self._streams, self._clock) if redraws else None
        self._console = console

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
            if told_as_json():
                log_event(self._job, self._run, event)
            else:
                self._keep(event)
                self._tell(event)

    def _keep(self, event: Event) -> None:
        """Keep the figures that bars and lines are made of."""
        now = self._clock.now()
        match event:
            case StreamStarted():
                self._streams[event.stream] = StreamOutcome(
                    stream=event.stream,
                    status=RunStatus.RUNNING,
                    started=now,
                    told=now,
                    expected=event.rows,
                    chunk_count=event.chunks,
                )
            case Progress():
                self._change(event.stream, rows=event.rows, bytes=event.bytes, chunks=event.chunks, told=now)
            case StreamCheckpoint():
                self._change(event.stream, rows=event.rows, bytes=event.bytes, told=now)
            case StreamCommitted():
                done = RunStatus.COMPLETED
                self._change(event.stream, rows=event.rows, bytes=event.bytes, told=now, status=done)
            case StreamFailed():
                self._change(event.stream, status=RunStatus.FAILED)
            case StreamCancelled():
                self._change(event.stream, status=RunStatus.CANCELED)
            case Logged():
                pass

    def _change(self, stream: StreamId, **figures: object) -> None:
        known = self._streams.get(stream) or StreamOutcome(stream=stream, status=RunStatus.RUNNING)
        self._streams[stream] = known.model_copy(update=figures)

    def _tell(self, event: Event) -> None:
        match event:
            case StreamStarted():
                about = "" if event.rows is None else f", about {counted(event.rows, 'row')}"
                text = f"loading {counted(event.chunks, 'chunk')}{about}"
                self._said[event.stream] = self._clock.monotonic()
                self._say(Level.INFO, event.stream, text, aside=True)
            case Progress():
                self._now_and_then(event.stream)
            case StreamCheckpoint():
                text = f"checkpoint: {counted(event.rows, 'row')} so far"
                self._say(Level.INFO, event.stream, text, aside=True)
            case StreamCommitted():
                for policy in event.policies:
                    text = f"{policy.count:,} values of {policy.column} did not fit ({policy.kind}): policy {policy.policy}"
                    self._say(Level.WARNING, event.stream, text)
                text = f"{counted(event.rows, 'row')}, {size(event.bytes)} in {runtime(event.seconds)}"
                self._say(Level.INFO, event.stream, text)
            case StreamFailed():
                text = "\n  ".join(p for p in (event.summary, event.why, event.remedy) if p)
                self._say(Level.ERROR, event.stream, f"failed: {text}")
            case StreamCancelled():
                text = "cancelled before its last commit; what was committed stays"
                self._say(Level.WARNING, event.stream, text)
            case Logged():
                self._say(event.level, event.stream, event.message, aside=event.level is Level.INFO)

    def _now_and_then(self, stream: StreamId) -> None:
        """Without bars: how far a stream is, when it has not been said for a while."""
        moment = self._clock.monotonic()
        if moment - self._said.setdefault(stream, moment) >= _SECONDS_BETWEEN_LINES:
            self._said[stream] = moment
            words = pace(self._streams[stream]).words()
            self._say(Level.INFO, stream, words, aside=True)

    def _say(self, level: Level, stream: StreamId | None, text: str, *, aside: bool = False) -> None:
        """Print a line; with bars only what they do not show (`aside`: they show it)."""
        text = self._secrets.redact(text)
        if self._bars and aside:
            return
        lines = "\n".join(printable(line) for line in text.split("\n"))
        line = f"{printable(str(stream))}: {lines}" if stream else f"{level.value}: {lines}"
        if self._bars:
            self._console.print(
                line, style=_COLOURS.get(level, ""), markup=False, highlight=False, soft_wrap=True
            )
        else:
            click.echo(line, err=True)

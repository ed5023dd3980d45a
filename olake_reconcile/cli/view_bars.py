"""Streams that move, a line each, redrawn on a terminal: what fits on the screen, trouble and totals always."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.text import Text

from olake_reconcile.cli.output import printable
from olake_reconcile.cli.table import fit
from olake_reconcile.clock import Clock
from olake_reconcile.model.figures import runtime, short_count, size, span
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.pace import Pace, pace
from olake_reconcile.model.run import RunStatus, StreamOutcome
from olake_reconcile.plan.words import counted

_MOST_LINES = 20
_REFRESHES = 4  # a second
_FULL, _EMPTY = "━", "─"
_ASCII_FULL, _ASCII_EMPTY = "#", "-"


class Bars:
    """Shows `streams`, which somebody else keeps up to date, until it is stopped."""

    def __init__(self, console: Console, streams: Mapping[StreamId, StreamOutcome], clock: Clock) -> None:
        self._console = console
        self._streams = streams
        self._clock = clock
        self._began: datetime = clock.now()
        self._live = Live(self, console=console, refresh_per_second=_REFRESHES, transient=True)

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Stop drawing; the lines vanish."""
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Another thread adds streams meanwhile.
        streams = list(self._streams.values())
        running = [s for s in streams if s.status is RunStatus.RUNNING]
        room = max(1, min(_MOST_LINES, console.height - 4))
        lines = [stream_line(s, options.max_width, ascii_only=options.ascii_only) for s in running[:room]]
        if len(running) > room:
            lines.append(Text(f"… and {counted(len(running) - room, 'more stream')} running", style="dim"))
        yield Group(*lines, self._total(streams, len(running), options.max_width))

    def _total(self, streams: list[StreamOutcome], running: int, width: int) -> Text:
        seconds = (self._clock.now() - self._began).total_seconds()
        rows, count = sum(s.rows for s in streams), sum(s.bytes for s in streams)
        failed = sum(s.status is RunStatus.FAILED for s in streams)
        done = sum(s.status.is_final for s in streams)
        parts = [f"{done} done", f"{running} running", f"{short_count(rows)} rows", size(count)]
        if seconds >= 1 and rows:
            parts.append(f"{short_count(rows / seconds)} rows/s")
        parts.append(runtime(round(seconds)))
        text = Text(", ".join(parts), style="bold", no_wrap=True, overflow="ellipsis")
        if failed:
            text = Text.assemble((f"{failed} failed, ", "bold red"), text, no_wrap=True, overflow="ellipsis")
        text.truncate(width, overflow="ellipsis")
        return text


def stream_line(outcome: StreamOutcome, width: int, *, ascii_only: bool = False) -> Text:
    """Return a stream on one line of at most `width` cells: the name gives way first, then the bar, then figures."""
    now = pace(outcome)
    figures = _figures(now)
    name_width = min(max(12, width * 2 // 5), 48)
    while figures and name_width + 2 + sum(len(f) + 2 for f in figures) > width:
        figures.pop()
    room = width - name_width - 2 - sum(len(f) + 2 for f in figures)
    line = Text(no_wrap=True)
    name = fit(printable(str(outcome.stream)), name_width)
    line.append(name)
    line.append(" " * (name_width - Text(name).cell_len + 1))
    if now.fraction is not None and room >= 6:
        full, empty = (_ASCII_FULL, _ASCII_EMPTY) if ascii_only else (_FULL, _EMPTY)
        cells = min(room - 1, 24)
        filled = round(now.fraction * cells)
        line.append(full * filled, style="cyan").append(empty * (cells - filled), style="dim").append(" ")
    line.append("  ".join(figures))
    return line


def _figures(now: Pace) -> list[str]:
    """The figures of a line, what matters most first."""
    figures = [f"{now.fraction:>4.0%}".replace("%", " %")] if now.fraction is not None else []
    rows = f"{short_count(now.rows)} rows"
    if now.expected is not None and now.rows <= now.expected:
        rows = f"{short_count(now.rows)} of about {short_count(now.expected)} rows"
    figures.append(rows)
    if now.rate:
        figures.append(f"{short_count(now.rate)} rows/s")
    if now.left is not None:
        figures.append(f"about {span(max(1, now.left))} left")
    return figures

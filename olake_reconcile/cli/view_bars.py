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
        done = sum(s.status.is_final for s in streams) - failed
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
    """Return a stream on one line of at most `width` cells, its figures below those of other lines.

    Where it is narrow, figures that matter less are left out, then the name is cut.
    """
    now = pace(outcome)
    cells = _cells(now)
    figures = [figure.ljust(room) for figure, room, needs in cells if width >= needs]
    rest = width - sum(len(figure) + 2 for figure in figures)
    bar = max(0, min(24, rest // 4)) if width >= _BAR_NEEDS else 0
    name_width = max(_NARROWEST_NAME, min(48, rest - bar - 1))
    name = fit(printable(str(outcome.stream)), name_width)
    line = Text(no_wrap=True)
    line.append(name).append(" " * (name_width - Text(name).cell_len + 1))
    if bar:
        full, empty = (_ASCII_FULL, _ASCII_EMPTY) if ascii_only else (_FULL, _EMPTY)
        filled = round((now.fraction or 0) * bar)
        # Where nobody knows how much there is, a bar would be a lie.
        line.append(full * filled, style="cyan")
        line.append((empty if now.fraction is not None else " ") * (bar - filled), style="dim")
    for figure in figures:
        line.append("  " + figure)
    line.rstrip()
    return line


_NARROWEST_NAME = 12
_BAR_NEEDS = 60


def _cells(now: Pace) -> list[tuple[str, int, int]]:
    """Return the figures of a line, each with its room and the width of the terminal from which on it is shown."""
    part = f"{now.fraction:.0%}".replace("%", " %").rjust(5) if now.fraction is not None else ""
    rows = short_count(now.rows)
    if now.expected is not None and now.rows <= now.expected:
        rows += f" of ~{short_count(now.expected)}"
    rate = f"{short_count(now.rate)}/s" if now.rate else ""
    left = f"~{span(max(1, now.left))} left" if now.left is not None else ""
    return [(part, 5, 24), (rows, 17, 44), (rate, 8, 78), (left, 12, 64)]

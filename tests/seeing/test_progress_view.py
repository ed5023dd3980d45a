"""A run in front of somebody: lines that fit, on terminals of any width; plain lines and JSON where nobody sits."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from olake_reconcile.cli.view_bars import Bars, stream_line
from olake_reconcile.cli.view_progress import ProgressView
from olake_reconcile.clock import ManualClock
from olake_reconcile.model.event import (
    Event,
    Progress,
    StreamCheckpoint,
    StreamCommitted,
    StreamFailed,
    StreamStarted,
)
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import RunStatus, StreamOutcome
from olake_reconcile.secrets import SystemSecrets
from tests.workspaces import CANARY, Lab

NOW = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
ORDERS = StreamId("public", "orders")


def moving(name: str = "orders", **figures: object) -> StreamOutcome:
    given: dict[str, object] = {
        "stream": StreamId("public", name), "status": RunStatus.RUNNING, "rows": 1_234_000, "bytes": 7,
        "expected": 3_000_000, "started": NOW, "told": NOW + timedelta(seconds=6),
    }  # fmt: skip
    return StreamOutcome.model_validate(given | figures)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 140, 300])
@pytest.mark.parametrize("name", ["orders", "x" * 200, "受注テーブル" * 20, "tab\x1b[2Jle"])
def test_a_stream_is_one_line_that_fits_whatever_its_name(name: str, width: int) -> None:
    line = stream_line(moving(name), width)
    assert line.cell_len <= max(width, 14)
    assert "\x1b" not in line.plain


def test_what_gives_way_first_is_what_matters_least() -> None:
    line = stream_line(moving(), 120).plain
    assert line.startswith("public.orders ")
    assert " ".join(line.split()).endswith("41 % 1.2 M of ~3.0 M 206 k/s ~9 s left")
    assert "/s" in stream_line(moving(), 80).plain
    assert "left" in stream_line(moving(), 80).plain
    assert "left" not in stream_line(moving(), 60).plain
    assert "41 %" in stream_line(moving(), 40).plain


def test_the_figures_of_all_lines_stand_below_each_other() -> None:
    lines = [
        stream_line(moving(name, rows=rows), 80).plain for name, rows in (("a", 12), ("b" * 90, 2_000_000))
    ]
    assert len({line.index(" %") for line in lines}) == 1


def test_of_200_streams_those_that_fit_are_shown_with_a_count_of_the_rest_and_a_total() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24, color_system=None)
    streams = {StreamId("public", f"t{n}"): moving(f"t{n}") for n in range(200)}
    clock = ManualClock(NOW)
    bars = Bars(console, streams, clock)
    clock.advance(timedelta(seconds=10))
    console.print(bars)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 23
    assert lines[-2] == "… and 180 more streams running"
    assert lines[-1] == "0 done, 200 running, 247 M rows, 1.4 kB, 24.7 M rows/s, 10 s"


def a_view(clock: ManualClock) -> ProgressView:
    console = Console(file=io.StringIO(), force_terminal=False)
    return ProgressView(SystemSecrets({}), clock, console)


def test_without_a_terminal_a_long_load_says_how_far_it_is_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = ManualClock(NOW)
    events: list[Event] = [
        StreamStarted(stream=ORDERS, chunks=12, rows=3_000_000),
        *(Progress(stream=ORDERS, rows=n * 50_000, bytes=n, chunks=0) for n in range(1, 41)),
        StreamCheckpoint(stream=ORDERS, rows=2_000_000, bytes=1, snapshot="s", position={}),
        StreamCommitted(stream=ORDERS, rows=3_000_000, bytes=7_000_000, files=3, seconds=80, snapshot="s"),
    ]
    with a_view(clock) as view:
        for event in events:
            clock.advance(timedelta(seconds=2))
            view.show(event)
    assert capsys.readouterr().err.splitlines() == [
        "public.orders: loading 12 chunks, about 3,000,000 rows",
        "public.orders: 750 k of about 3.0 M rows, 25 %, 25.0 k rows/s, about 90 s left",
        "public.orders: 1.5 M of about 3.0 M rows, 50 %, 25.0 k rows/s, about 60 s left",
        "public.orders: checkpoint: 2,000,000 rows so far",
        "public.orders: 3,000,000 rows, 7.0 MB in 1 min 20 s",
    ]


def test_a_failure_is_told_with_its_remedy_and_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with a_view(ManualClock(NOW)) as view:
        view.show(StreamFailed(stream=ORDERS, summary="bad \x1b[2J page", why="It is.", remedy="Mend it."))
    assert capsys.readouterr().err == "public.orders: failed: bad \\u001b[2J page\n  It is.\n  Mend it.\n"


def test_json_lines_name_action_job_run_and_stream_and_nothing_else_is_on_stderr(lab: Lab) -> None:
    lab.apply()
    lab.world(failures={"public.orders": f"password {CANARY} was refused"})
    done = lab.run("--log-format", "json", "sync", "daily")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert CANARY not in done.text
    failed = next(line for line in lines if line["action"] == "stream_failed")
    run = lab.store.runs("daily")[0].id
    assert (failed["level"], failed["job"], failed["run"], failed["stream"]) == (
        "error", "daily", run, "public.orders",
    )  # fmt: skip
    refused = [json.loads(x) for x in lab.run("--log-format", "json", "sync", "nothing").err.splitlines()]
    assert [(line["action"], line["level"]) for line in refused] == [("error", "error")]


def on_a_terminal(lab: Lab, columns: int, *arguments: str) -> tuple[int, str]:
    """Run a command line on a terminal of its own; what held it up is let go as soon as it has drawn that."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, **lab.environment, "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "olake_reconcile", "-C", str(lab.root), *arguments],
        stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    try:
        while data := _read(master):
            seen += data
            if b"0 done, 1 running" in seen or b"1 done, 1 running" in seen:
                lab.world(held_up=[])
    finally:
        os.close(master)
        if process.poll() is None and not seen:
            process.kill()
    return process.wait(), seen.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize("columns", [80, 140])
def test_on_a_real_terminal_bars_come_and_go_and_results_stay(lab: Lab, columns: int) -> None:
    lab.apply()
    lab.world(held_up=["public.orders"])
    code, seen = on_a_terminal(lab, columns, "sync", "daily")
    assert code == 0
    assert "1 running" in seen
    assert "\x1b[31m" not in seen, "NO_COLOR"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).replace("\r", "\n")
    assert "public.orders: 41,200 rows, 4.1 MB in" in plain
    assert re.search(r"Run \S+ completed: 42,400 rows\.", plain)
    assert max(map(len, plain.splitlines())) <= columns

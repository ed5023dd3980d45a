"""A run's log: one JSON object a line, in `.olake/logs/<run>.jsonl`; what people read is made from it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from olake_reconcile.clock import Clock
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.event import Level
from olake_reconcile.reconcile.services import Services

# How often a log that is followed is looked at: a person does not read faster.
FOLLOW_SECONDS = 0.3

_RANK = {level: rank for rank, level in enumerate(Level)}


class RunLog:
    """Appends to a run's log, readable by its owner only. Every text is redacted before it is written."""

    def __init__(self, services: Services, run_id: str) -> None:
        self._services = services
        services.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = log_path(services.logs, run_id)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def write(self, level: Level, action: str, message: str, **fields: Any) -> None:
        """Append one line. `action` is a stable word to search for."""
        text = self._services.secrets.redact(message)
        line = {
            "time": self._services.clock.now().isoformat(),
            "level": level.value,
            "action": action,
            "message": text,
            **fields,
        }
        # One write per line: lines of several threads or processes do not mix.
        os.write(self._file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def log_path(folder: Path, run_id: str) -> Path:
    """Return where a run's log is."""
    return folder / f"{run_id}.jsonl"


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log; a last line that is still being written is left out, as is one that was cut off."""
    yield from _Tail(path).lines()


def follow_log(
    path: Path, is_over: Callable[[], bool], clock: Clock, wake: threading.Event
) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log as they come, from its beginning, until the run is over or `wake` is set.

    The file need not exist yet: a run that waits in the queue has none.
    """
    tail = _Tail(path)
    while True:
        # Asked before the file is read: what was written before the end is never missed.
        over = is_over()
        yield from tail.lines()
        if over or clock.wait(FOLLOW_SECONDS, wake):
            return


class _Tail:
    """Reads complete lines, each once. A file that is not there has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> Iterator[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._offset += len(line)
                    if (found := _parsed(line)) is not None:
                        yield found
        except FileNotFoundError:
            return
        except OSError as error:
            raise ReconcileError(f"{self._path} cannot be read: {error.strerror}") from None


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line that a power cut left in pieces is no reason to show none."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def matches(line: dict[str, Any], level: Level, stream: str | None) -> bool:
    """Whether a line is at least of `level`, and of `stream` if one is given."""
    known = line.get("level") in set(Level)
    loud = not known or _RANK[Level(line["level"])] >= _RANK[level]
    return loud and (stream is None or line.get("stream") == stream)


def shown(line: dict[str, Any]) -> str:
    """Return a line of a log for people."""
    moment = datetime.fromisoformat(line["time"])
    stream = f"{line['stream']}: " if line.get("stream") else ""
    return f"{moment:%Y-%m-%d %H:%M:%S} {line['level']:<7} {stream}{line['message']}"

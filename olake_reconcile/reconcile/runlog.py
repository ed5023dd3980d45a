"""A run's log: one JSON object a line, in `.olake/logs/<run>.jsonl`; what people read is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from olake_reconcile.model.event import Level
from olake_reconcile.reconcile.services import Services


class RunLog:
    """Appends to a run's log. Every text is redacted before it is written."""

    def __init__(self, services: Services, run_id: str) -> None:
        self._services = services
        services.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = log_path(services.logs, run_id).open("ab", buffering=0)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, level: Level, action: str, message: str, **fields: Any) -> None:
        """Append one line. `action` is a stable word to search for."""
        line = {
            "time": self._services.clock.now().isoformat(),
            "level": level.value,
            "action": action,
            "message": self._services.secrets.redact(message),
            **fields,
        }
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def log_path(folder: Path, run_id: str) -> Path:
    """Return where a run's log is."""
    return folder / f"{run_id}.jsonl"


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log; a last line that is still being written is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield orjson.loads(line)


def shown(line: dict[str, Any]) -> str:
    """Return a line of a log for people."""
    moment = datetime.fromisoformat(line["time"])
    stream = f"{line['stream']}: " if line.get("stream") else ""
    return f"{moment:%Y-%m-%d %H:%M:%S} {line['level']:<7} {stream}{line['message']}"
